"""What a sound configuration becomes."""

import shutil
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from settings_samples import BASE, check_rule

from chains.model import ChainId
from walletwatch.domain.findings import Severity
from walletwatch.domain.policies import Threshold
from walletwatch.settings import AmountReader, Fault, Settings, load
from walletwatch.settings.fields import parse_duration, parse_moment, show_duration
from walletwatch.settings.loading import DEFAULT_ORIGIN, render_template
from walletwatch.settings.partial_settings import LISTS, SINGLES

CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {"BITCOIN_NODE_2": "https://n.example", "ETHEREUM_NODE_2": "https://n.example/k", "SLACK_BOT_TOKEN": "xoxb"}
USDT = "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"


@pytest.fixture
def example(tmp_path: Path) -> Settings:
    for file in CONFIG.glob("*.example.toml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "audit.key").write_text("not read here", encoding="utf-8")
    return load(tmp_path / "walletwatch.example.toml", environ=ENVIRON, rule_check=check_rule)


def small(tmp_path: Path, more: str = "") -> Settings:
    path = tmp_path / "w.toml"
    path.write_text(BASE + more, encoding="utf-8")
    return load(path, environ={"KEY": "k"})


def test_the_example_loads_and_uses_every_table(example: Settings) -> None:
    written = {key for file in CONFIG.glob("*.example.toml") for key in tomllib.loads(file.read_text("utf-8"))}
    assert written == {*LISTS, *SINGLES, "timezone", "include"}
    assert example.notes() == ()
    assert example.timezone == "Asia/Tokyo"
    assert {"btc-max", "eth-max", "first-payment", "lookalike_destination"} < {rule.rule_id for rule in example.rules}
    assert example.sinks[0].min_severity is Severity.MEDIUM
    assert example.sinks[0].slack_url().reveal() == "https://slack.com/api/"


def test_the_example_opens_as_sources(example: Settings) -> None:
    bitcoin, ethereum = example.source_specs()
    assert [e.name for e in bitcoin.endpoints] == ["127.0.0.1:8332", "env BITCOIN_NODE_2"]
    assert bitcoin.endpoints[0].cookie_file == Path("/var/lib/bitcoind/.cookie")
    assert bitcoin.endpoints[0].notifier_url == "tcp://127.0.0.1:28332"
    assert (bitcoin.confirmations, bitcoin.finality) == (6, None)
    assert (ethereum.confirmations, ethereum.finality) == (1, "finalized")
    assert [token.symbol for token in ethereum.tokens] == ["USDT"]
    assert [a.text for a in ethereum.contract_wallets] == ["0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"]


def test_two_nodes_on_one_host_keep_different_names(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(BASE.replace('["https://node.example"]', '["https://n.example/a", "https://n.example/b"]', 1))
    spec = load(path, environ={"KEY": "k"}).source_specs()[1]
    assert [e.name for e in spec.endpoints] == ["n.example", "n.example#2"]


def test_an_evm_node_may_ring_over_websocket(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    nodes = '[{ url = "https://n.example", ws = { env = "BELL" } }]'
    path.write_text(BASE.replace('["https://node.example"]', nodes, 1), encoding="utf-8")
    (endpoint,) = load(path, environ={"KEY": "k", "BELL": "wss://n.example/key"}).source_specs()[1].endpoints
    assert endpoint.notifier_url == "wss://n.example/key"


def test_a_capture_is_an_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(BASE.replace("http://127.0.0.1:8332", "recorded:dmm.jsonl"), encoding="utf-8")
    (endpoint,) = load(path, environ={"KEY": "k"}).source_specs()[0].endpoints
    assert (endpoint.name, endpoint.url) == ("dmm.jsonl", f"recorded:{tmp_path}/dmm.jsonl")


@pytest.mark.parametrize(
    ("line", "final"),
    [("", (6, None)), ("confirmations = 2", (2, None)), ("finality = 3", (3, None))],
)
def test_finality_of_bitcoin(tmp_path: Path, line: str, final: tuple[int, str | None]) -> None:
    path = tmp_path / "w.toml"
    path.write_text(BASE.replace('name = "bitcoin"', f'name = "bitcoin"\n{line}'), encoding="utf-8")
    settings = load(path, environ={"KEY": "k"})
    assert settings.chains[0].final_after == final
    assert settings.chains[1].final_after == (1, "finalized")


def test_the_perimeter_holds_the_wallets_of_its_chain(example: Settings) -> None:
    perimeter = example.perimeter(ChainId("eip155", "1"))
    found = {(wallet.name, wallet.role, wallet.kind) for wallet in perimeter.wallets.values()}
    assert found == {("eth-hot", "hot", ""), ("eth-safe", "cold", "safe")}
    (address,) = example.reader.addresses("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
    owner = perimeter.wallet_of(address[1])
    assert owner is not None
    assert owner.name == "eth-hot"


def test_people_keep_their_keys_and_times(example: Settings) -> None:
    found = example.people().by_kid("treasury-1-2026")
    assert found is not None
    person, key = found
    assert (person.id, person.department, person.roles) == ("treasury-1", "treasury", ("requester", "approver"))
    assert key.valid_from == datetime(2025, 12, 31, 15, tzinfo=UTC)
    assert not key.valid_at(datetime(2036, 1, 1, tzinfo=UTC))


def test_policies_are_read_in_order(example: Settings) -> None:
    large, ordinary = example.approval_policies()
    assert (large.name, large.quorum, large.max_age) == ("large", 2, timedelta(hours=24))
    assert large.min_value == Threshold(100_000 * 10**8)
    assert [(g.role, g.department, g.min) for g in large.groups] == [
        ("approver", "treasury", 1),
        ("", "compliance", 1),
    ]
    assert (ordinary.min_value, ordinary.groups) == (None, ())


def test_a_policy_amount_is_of_the_chains_it_names(tmp_path: Path) -> None:
    more = '[[approval_policy]]\nname = "p"\nquorum = 1\nchains = ["base"]\nmin_value = "2 ETH"\n'
    (policy,) = small(tmp_path, more).approval_policies()
    assert policy.min_value is not None
    assert policy.min_value.units == 2 * 10**18
    assert policy.min_value.asset is not None
    assert str(policy.min_value.asset) == "eip155:8453/slip44:60"


def test_a_price_of_a_symbol_is_for_every_chain_that_has_it(tmp_path: Path) -> None:
    settings = small(tmp_path, '[[price]]\nasset = "ETH"\nusd = "2500.5"\n')
    (price,) = settings.prices
    assert price.usd == 250_050_000_000
    assert [str(a.id) for a in settings.priced_assets(price)] == ["eip155:1/slip44:60", "eip155:8453/slip44:60"]


AMOUNTS = [
    ("50 BTC", 50 * 10**8, "50 BTC"),
    ("0.00000001 BTC", 1, "0.00000001 BTC"),
    ("1000000 USD", 10**14, "1,000,000 USD"),
    ("1.5 USDT", 1_500_000, "1.5 USDT"),
    (f"5 {USDT}", 5_000_000, "5 USDT"),
    (f"5 {USDT.replace('dac17', 'DAC17')}", 5_000_000, "5 USDT"),
    ("1 eip155:8453/slip44:60", 10**18, "1 ETH"),
]


@pytest.mark.parametrize(("text", "units", "shown"), AMOUNTS)
def test_amounts_are_exact(tmp_path: Path, text: str, units: int, shown: str) -> None:
    money = small(tmp_path).reader.read(text)
    assert (money.units, money.text) == (units, shown)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("50", "its unit"),
        ("fifty BTC", "not an amount"),
        ("-1 BTC", "not an amount"),
        ("1e3 BTC", "not an amount"),
        ("0.000000001 BTC", "8 decimal places"),
        ("1 btc", "no asset is called"),
        ("1 ETH", "more than one asset"),
        ("1 eip155:1/erc20:0x00", "no asset is called"),
        ("1 eip155:1/", "no asset is called"),
        (f"{2**256} BTC", "above 2**256-1"),
    ],
)
def test_other_amounts_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Fault, match=words.replace("**", r"\*\*")):
        small(tmp_path).reader.read(text)


def test_an_ambiguous_symbol_is_settled_by_the_chain(tmp_path: Path) -> None:
    reader: AmountReader = small(tmp_path).reader
    with pytest.raises(Fault) as caught:
        reader.one_asset("ETH")
    assert caught.value.hint == "write one of: eip155:1/slip44:60, eip155:8453/slip44:60"
    assert str(reader.one_asset("ETH", [reader.chain("base")]).id) == "eip155:8453/slip44:60"


@pytest.mark.parametrize("ref", ["base", "eip155:8453"])
def test_a_chain_is_found_by_name_or_id(tmp_path: Path, ref: str) -> None:
    settings = small(tmp_path)
    assert settings.chain(ref).name == "base"
    assert settings.chain_name(settings.reader.chain(ref)) == "base"
    with pytest.raises(Fault, match="no chain is called"):
        settings.chain("bas")


def test_the_digest_is_of_what_is_in_force(tmp_path: Path) -> None:
    first = small(tmp_path).digest
    assert first.startswith("sha256:")
    assert small(tmp_path, "# a comment\n").digest == first
    assert small(tmp_path, "[run]\ngive_up_after = '60s'\n").digest == first
    assert small(tmp_path, "[run]\ngive_up_after = '61s'\n").digest != first
    other = load(tmp_path / "w.toml", environ={"KEY": "another"})
    assert other.digest == small(tmp_path, "[run]\ngive_up_after = '61s'\n").digest


def test_the_template_loads_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "walletwatch.toml"
    path.write_text(render_template(), encoding="utf-8")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "audit.key").write_text("k", encoding="utf-8")
    settings = load(path, environ={}, rule_check=check_rule)
    assert settings.audit.origin == DEFAULT_ORIGIN
    assert settings.notes() == (
        "no [[chain]] yet: nothing is watched",
        "no [[approval_feed]]: outflows are not checked against approvals",
    )


def test_the_template_with_its_comments_taken_away_is_sound_but_for_its_dots() -> None:
    lines = render_template().splitlines()
    start = next(n for n, line in enumerate(lines) if "What is watched" in line)
    bare = [line.removeprefix("# ") for line in lines[start:] if not line.startswith("# --")]
    tables = tomllib.loads("\n".join(lines[:start] + bare))
    assert {*LISTS, "store", "audit", "trace"} <= tables.keys()
    assert tables["chain"][0]["confirmations"] == 6


@pytest.mark.parametrize(
    ("text", "secs"), [("30s", 30), ("24h", 86_400), ("1h30m", 5_400), ("2w", 1_209_600), ("1d12h", 129_600)]
)
def test_durations(text: str, secs: int) -> None:
    assert parse_duration(text) == timedelta(seconds=secs)
    assert parse_duration(show_duration(timedelta(seconds=secs))) == timedelta(seconds=secs)


@pytest.mark.parametrize("text", ["", "30", "s", "1.5h", "-1s", "1 h", 30, None, "1y"])
def test_no_durations(text: object) -> None:
    with pytest.raises(Fault):
        parse_duration(text)


def test_times_are_turned_to_utc() -> None:
    tokyo = parse_moment("2026-01-31T09:00:00+09:00")
    assert tokyo == datetime(2026, 1, 31, tzinfo=UTC)
    for naive in ("2026-01-31T09:00:00", datetime(2026, 1, 31), 5, "soon"):  # noqa: DTZ001 - a naive time is refused
        with pytest.raises(Fault):
            parse_moment(naive)
