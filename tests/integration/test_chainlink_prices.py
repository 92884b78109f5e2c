"""Prices of a feed whose contract lies on a real chain: read at a block, pinned, undetermined where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from evm_proxies import EvmProxy
from evm_watches import ANVIL, DATA, ETHER, Deployed, OwnWallet, settled, watch
from exchanges import Exchange
from lying_proxies import Call
from typer.testing import CliRunner

from chains.model import AssetId
from nodes.anvils import Anvil
from nodes.contracts import Compiled, Contract, deploy
from walletwatch.cli.main import app
from walletwatch.domain.prices import Unknown
from walletwatch.service.prices import ConfiguredPrices, open_prices
from walletwatch.settings import SettingsError

pytestmark = pytest.mark.anvil

ABI = [
    {
        "type": "function",
        "name": name,
        "inputs": [{"type": kind, "name": f"x{n}"} for n, kind in enumerate(kinds)],
        "outputs": [],
    }
    for name, kinds in (("write", ["uint80", "int256", "uint256", "uint80"]), ("break_down", ["bool", "uint8"]))
]
CONSTRUCTOR = [{"type": "constructor", "inputs": [{"type": k, "name": k} for k in ("uint8", "string", "uint80")]}]
PHASE = 6 << 64
FIRST = PHASE + 1
USD = 345_612_345_678
"""3,456.12345678 USD at 8 decimals."""


@dataclass
class Feed:
    """A feed of the test's own, deployed."""

    node: Anvil
    decimals: int = 8
    description: str = "ETH / USD"
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        code = bytes.fromhex((DATA / "contract_price_feed.hex").read_text().strip()[2:])
        made = deploy(self.node, Compiled(CONSTRUCTOR, code), self.decimals, self.description, FIRST)
        self.contract = Contract(self.node, made.address, ABI)

    def now(self) -> int:
        """The chain's clock."""
        return int(self.node.rpc("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)

    def write(self, number: int, answer: int, *, age: int = 0, carried: int | None = None) -> datetime:
        """Write a round that is `age` seconds old; when it was."""
        at = self.now() - age
        sender = self.node.accounts[0]
        settled(
            self.node, self.contract.send(sender, "write", number, answer, at, number if carried is None else carried)
        )
        return datetime.fromtimestamp(at, UTC)


@pytest.fixture
def feed(anvil: Anvil) -> Feed:
    return Feed(anvil)


def toml(url: str, feed: Feed, more: str = "") -> str:
    return (
        f'[[chain]]\nname = "anvil"\nid = "{ANVIL}"\nendpoints = ["{url}"]\nfinality = 1\n'
        f'[[price]]\nasset = "ETH"\nsource = "chainlink"\nfeed = "{feed.contract.address}"\n{more}'
    )


@pytest.fixture
def prices(tmp_path: Path, feed: Feed) -> Iterator[ConfiguredPrices]:
    found = open_prices(Exchange(tmp_path, toml(feed.node.url, feed)).settings())
    yield found
    found.close()


def eth() -> AssetId:
    return AssetId.parse(f"{ANVIL}/slip44:60")


def soon() -> datetime:
    """Now, and a little more: the node's clock may run ahead by the blocks mined in one second."""
    return datetime.now(UTC) + timedelta(minutes=2)


def why_not(prices: ConfiguredPrices) -> str:
    with pytest.raises(Unknown) as unknown:
        prices.price(eth(), soon())
    return str(unknown.value)


def test_the_round_in_force_is_read_at_a_block_and_pinned(feed: Feed, prices: ConfiguredPrices) -> None:
    written = feed.write(FIRST, USD)
    found = prices.price(eth(), soon())
    assert (found.usd_e8, found.at) == (USD, written)
    height = int(feed.node.rpc("eth_blockNumber"), 16)
    block_hash = feed.node.rpc("eth_getBlockByNumber", [hex(height), False])["hash"]
    assert found.source == (
        f"chainlink {feed.contract.address} on anvil: round {FIRST}, answer {USD} (8 decimals), "
        f"read at block {height} {block_hash}"
    )
    assert found.value_e8(2 * ETHER) == 2 * USD


def test_the_price_of_a_past_moment_is_that_of_the_round_in_force_then(feed: Feed, prices: ConfiguredPrices) -> None:
    """No archive is needed: the contract keeps its rounds."""
    times = [feed.write(FIRST + n, USD + n, age=600 - 60 * n) for n in range(5)]
    for n, at in enumerate(times):
        assert prices.price(eth(), at).usd_e8 == USD + n, "from the second it was written"
        assert prices.price(eth(), at + timedelta(seconds=59)).usd_e8 == USD + n
    with pytest.raises(Unknown, match="no round at or before"):
        prices.price(eth(), times[0] - timedelta(seconds=1))


def test_rounds_written_between_two_looks_are_not_lost(feed: Feed, prices: ConfiguredPrices) -> None:
    first = feed.write(FIRST, USD, age=500)
    prices.refresh()
    times = [feed.write(FIRST + n, USD + n, age=400 - 100 * n) for n in (1, 2, 3)]
    assert prices.edition() == ((FIRST, FIRST),)
    prices.refresh()
    assert [prices.price(eth(), at).usd_e8 for at in (first, *times)] == [USD, USD + 1, USD + 2, USD + 3]
    assert prices.edition() == ((FIRST, FIRST + 3),)


def test_a_new_phase_begins_anew(feed: Feed, prices: ConfiguredPrices) -> None:
    """Chainlink exchanged the aggregator behind the proxy: rounds count from 1 again in the next phase."""
    feed.write(FIRST, USD, age=300)
    prices.refresh()
    feed.write((7 << 64) + 1, USD + 9, age=100)
    prices.refresh()
    assert prices.price(eth(), soon()).usd_e8 == USD + 9


def test_a_stale_round_is_no_price(feed: Feed, prices: ConfiguredPrices) -> None:
    feed.write(FIRST, USD, age=3_700)
    assert "is stale, of" in why_not(prices)


@pytest.mark.parametrize(
    ("answer", "age", "carried", "why"),
    [
        (0, 0, None, "its answer is 0"),
        (-1, 0, None, "its answer is -1"),
        (USD, 0, FIRST - 1, "carried over from round"),
        (USD, -3600, None, "after"),
    ],
)
def test_a_round_that_cannot_be_a_price_is_none(
    feed: Feed, prices: ConfiguredPrices, answer: int, age: int, carried: int | None, why: str
) -> None:
    """Not even the good round before it: that one is no longer in force."""
    feed.write(FIRST, USD, age=60)
    assert prices.price(eth(), soon()).usd_e8 == USD
    feed.write(FIRST + 1, answer, age=age, carried=carried)
    prices.refresh()
    said = why_not_later(prices)
    assert "is no price" in said
    assert why in said


def why_not_later(prices: ConfiguredPrices) -> str:
    with pytest.raises(Unknown) as unknown:
        prices.price(eth(), datetime.now(UTC) + timedelta(minutes=3))
    return str(unknown.value)


def test_an_incomplete_round_is_no_price(feed: Feed, prices: ConfiguredPrices) -> None:
    assert "it is not complete" in why_not(prices) or "its answer is 0" in why_not(prices)


def test_a_contract_that_reverts_is_undetermined_with_its_reason(feed: Feed, prices: ConfiguredPrices) -> None:
    feed.write(FIRST, USD)
    settled(feed.node, feed.contract.send(feed.node.accounts[0], "break_down", True, 8))
    said = why_not(prices)
    assert "does not answer" in said
    assert "out of order" in said


def test_other_decimals_and_other_quotes(anvil: Anvil, tmp_path: Path) -> None:
    for n, (decimals, description, answer, expected) in enumerate(
        (
            (18, "ETH / USD", 3_456 * 10**18, 3_456 * 10**8),
            (0, "ETH / USD", 3_456, 3_456 * 10**8),
            (8, "", 7, 7),
            (37, "ETH / USD", 1, "decimals are no number up to 36"),
            (8, "ETH / BTC", 7_000_000, "quoted in 'BTC'"),
            (30, "ETH / USD", 1, "less than 1e-8 USD"),
        )
    ):
        feed = Feed(anvil, decimals, description)
        feed.write(FIRST, answer)
        prices = open_prices(Exchange(tmp_path / str(n), toml(anvil.url, feed)).settings())
        if isinstance(expected, int):
            assert prices.price(eth(), soon()).usd_e8 == expected
        else:
            assert expected in why_not(prices)
        prices.close()


def test_an_account_without_a_contract_is_no_feed(feed: Feed, tmp_path: Path) -> None:
    text = toml(feed.node.url, feed).replace(feed.contract.address, "0x" + "5e" * 20)
    prices = open_prices(Exchange(tmp_path / "none", text).settings())
    assert "0 bytes where a round has 160" in why_not(prices)
    prices.close()


# --- a node that lies -------------------------------------------------------------------------------------------------


@dataclass
class PriceLiar(EvmProxy):
    """Changes what contracts answer: `negative`, `short`, `long`, `round` (a number of more than 80 bits)."""

    def distort(self, fault: str, call: Call, said: bytes, authorization: str) -> bytes:
        del authorization
        answers = json.loads(said)
        rows = answers if isinstance(answers, list) else [answers]
        for row in rows:
            if isinstance(row.get("result"), str) and len(row["result"]) == 2 + 320:
                raw = bytes.fromhex(row["result"][2:])
                row["result"] = (
                    "0x"
                    + {
                        "forge": raw[:32] + (2 * USD).to_bytes(32, "big") + raw[64:],
                        "negative": raw[:32] + (-USD).to_bytes(32, "big", signed=True) + raw[64:],
                        "short": raw[:-1],
                        "long": raw + bytes(32),
                        "round": b"\xff" + raw[1:],
                    }[fault].hex()
                )
        return json.dumps(answers).encode()


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("negative", f"its answer is -{USD}"),
        ("short", "answers 159 bytes"),
        ("long", "answers 192 bytes"),
        ("round", "more than 80 bits"),
    ],
)
def test_a_lying_answer_is_undetermined(feed: Feed, tmp_path: Path, fault: str, why: str) -> None:
    feed.write(FIRST, USD)
    with PriceLiar(feed.node.url) as proxy:
        proxy.fault = lambda call, _number: fault if call["method"] == "eth_call" else "pass"
        prices = open_prices(Exchange(tmp_path / "liar", toml(proxy.url, feed)).settings())
        assert why in why_not(prices)
        prices.close()


@pytest.mark.parametrize("fault", ["negative", "forge"])
def test_two_nodes_that_contradict_each_other_give_no_price(feed: Feed, tmp_path: Path, fault: str) -> None:
    """A captured node that tells another price makes limits in dollars too wide; the other one does not agree."""
    feed.write(FIRST, USD)
    with PriceLiar(feed.node.url) as proxy:
        text = toml(proxy.url, feed).replace(f'["{proxy.url}"]', f'["{proxy.url}", "{feed.node.url}"]')
        prices = open_prices(Exchange(tmp_path / "two", text).settings())
        assert prices.price(eth(), soon()).usd_e8 == USD, "two that agree"
        proxy.fault = lambda call, _number: fault if call["method"] == "eth_call" else "pass"
        prices.refresh()
        assert "contradict each other" in why_not_later(prices)
        proxy.fault = lambda _call, _number: "drop"
        prices.refresh()
        assert prices.price(eth(), soon()).usd_e8 == USD, "one that is away contradicts nobody"
        prices.close()


def test_a_node_that_is_away_leaves_the_known_round_good_for_as_long_as_it_promised(feed: Feed, tmp_path: Path) -> None:
    feed.write(FIRST, USD, age=60)
    with PriceLiar(feed.node.url) as proxy:
        prices = open_prices(Exchange(tmp_path / "away", toml(proxy.url, feed, 'max_age = "10m"\n')).settings())
        known = prices.price(eth(), soon())
        proxy.fault = lambda _call, _number: "drop"
        prices.refresh()
        assert prices.price(eth(), soon()) == known
        assert prices.edition() is None
        with pytest.raises(Unknown, match="is stale"):
            prices.price(eth(), soon() + timedelta(minutes=10))
        prices.close()


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_a_limit_in_dollars_is_held_by_the_feed_and_undetermined_without_it(fresh_anvil: Anvil, tmp_path: Path) -> None:
    """Through the pipeline: the finding's evidence lets a person read the same round again."""
    node, feed = fresh_anvil, Feed(fresh_anvil)
    feed.write(FIRST, USD)
    deployed = Deployed(tmp_path, [node.url], (OwnWallet("eth-hot", [node.accounts[6]]),), rules=())
    deployed.more += (
        f'\n[[price]]\nasset = "ETH"\nsource = "chainlink"\nfeed = "{feed.contract.address}"\n'
        '[[rule]]\nid = "usd-max"\ntype = "transaction_limit"\nmax = "5000 USD"'
    )
    with watch(deployed) as seen:
        seen.settle()
        small = node.send(node.accounts[6], "0x" + "5e" * 20, value=ETHER)
        settled(node, small)
        large = node.send(node.accounts[6], "0x" + "5e" * 20, value=2 * ETHER)
        settled(node, large)
        seen.settle()
        assert seen.findings("transaction_limit", small) == []
        (found,) = seen.findings("transaction_limit", large)
        assert str(found.verdict) == "violation"
        assert f"round {FIRST}, answer {USD}" in json.dumps(dict(found.evidence))
        settled(node, feed.contract.send(node.accounts[0], "break_down", True, 8))
        seen.app.read_prices()
        node.rpc("evm_increaseTime", [60])  # a block's time is a whole second, and may lie before the last good look
        after = node.send(node.accounts[6], "0x" + "5e" * 20, value=ETHER)
        settled(node, after)
        seen.settle()
        (found,) = seen.findings("transaction_limit", after)
        assert (str(found.verdict), "does not answer" in found.summary) == ("undetermined", True)


def test_check_live_asks_the_feed(feed: Feed, tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, toml(feed.node.url, feed))
    broken = CliRunner().invoke(app, ["--config", str(exchange.config), "check", "--live"])
    assert "BAD price of ETH: round" in broken.output
    feed.write(FIRST, USD, age=60)
    well = CliRunner().invoke(app, ["--config", str(exchange.config), "check", "--live"])
    assert "ok  price of ETH: 3,456.12345678 USD, of " in well.output
    assert feed.contract.address in well.output


def test_on_which_chain_a_feed_lies_must_be_clear(feed: Feed, tmp_path: Path) -> None:
    other = '[[chain]]\nname = "other"\nid = "eip155:10"\nendpoints = ["http://127.0.0.1:9"]\n'
    with pytest.raises(SettingsError, match="ambiguous"):
        Exchange(tmp_path / "a", toml(feed.node.url, feed) + other)
    settings = Exchange(tmp_path / "b", toml(feed.node.url, feed, 'chain = "anvil"\n') + other).settings()
    (price,) = settings.prices
    assert settings.feed_of(price)[0].name == "anvil"
    assert keccak(text="latestRoundData()")[:4].hex() == "feaf968c"
