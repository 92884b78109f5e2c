"""What blocks alone do not show, the balance does: the books held to the node's word on a real node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evm_proxies import EvmProxy, untraced
from evm_watches import (
    ETH,
    ETHER,
    Deployed,
    OwnWallet,
    Watch,
    calldata,
    crooked_token,
    erc20,
    made_for_tests,
    settled,
    watch,
)

from nodes.anvils import Anvil
from nodes.contracts import Contract, deploy, deploy_erc20
from walletwatch.domain.findings import Finding

pytestmark = pytest.mark.anvil

THIEF = "0x" + "7e" * 20


@pytest.fixture
def payer(fresh_anvil: Anvil) -> Contract:
    """A contract wallet of ours with 100 ether, which pays whomever it is told to."""
    made = deploy(fresh_anvil, made_for_tests("payer"))
    settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[9], made.address, value=100 * ETHER))
    return made


@pytest.fixture
def without_traces(fresh_anvil: Anvil) -> Iterator[EvmProxy]:
    with EvmProxy(fresh_anvil.url, untraced) as proxy:
        yield proxy


def drain(node: Anvil, payer: Contract, amount: int) -> int:
    """The height at which somebody else's call made the contract pay the thief."""
    data = calldata("pay(address,uint256)", THIEF, amount)
    return settled(node, node.send(node.accounts[5], payer.address, data=data))


def shown(found: Finding) -> tuple[str, str, str, int, str]:
    evidence = found.evidence
    return found.wallet, found.asset, evidence["difference"], evidence["height"], evidence["narrowed_to"]


def test_a_drain_that_a_node_without_traces_hides_is_found_in_its_block_and_said_once(
    fresh_anvil: Anvil, payer: Contract, without_traces: EvmProxy, tmp_path: Path
) -> None:
    hot = fresh_anvil.accounts[0]
    wallets = [OwnWallet("payout", [payer.address]), OwnWallet("eth-hot", [hot])]
    with watch(Deployed(tmp_path, [without_traces.url], wallets)) as desk:
        desk.settle()
        fresh_anvil.mine(40)
        at = drain(fresh_anvil, payer, 7 * ETHER)
        fresh_anvil.mine(30)
        settled(fresh_anvil, fresh_anvil.send(hot, payer.address, value=2 * ETHER))
        fresh_anvil.mine(20)
        desk.settle()
        (found,) = desk.findings("unexplained_balance")
        assert shown(found) == ("payout", ETH, str(-7 * ETHER), at, "block")
        assert (found.severity, found.verdict, found.tx) == ("critical", "violation", None)
        assert found.summary == (
            f"7 ETH left payout in block {at}, and no transaction that was seen explains it "
            "(the node shows no internal calls)"
        )
        assert found.evidence["above_height"] == at - 1
        assert found.evidence["opening"] == str(100 * ETHER)
        assert found.evidence["balance"] == str(93 * ETHER)
        assert found.evidence["accounts"] == [
            {"address": payer.address, "before": str(100 * ETHER), "after": str(93 * ETHER)}
        ]
        assert found.evidence["not_shown_by_the_node"][0].startswith("internal calls")
        assert found.id in {f for alert in desk.alerts() for f in alert.findings}
        fresh_anvil.mine(5)
        desk.settle()
        assert desk.worker.conservation.check() == ()
        assert desk.findings("unexplained_balance") == [found]
    with watch(Deployed(tmp_path, [without_traces.url], wallets)) as again:
        again.settle()
        assert again.findings("unexplained_balance") == [found]


def test_with_traces_the_same_drain_is_an_outflow_and_the_books_balance(
    fresh_anvil: Anvil, payer: Contract, tmp_path: Path
) -> None:
    with watch(Deployed(tmp_path, [fresh_anvil.url], [OwnWallet("payout", [payer.address])])) as desk:
        desk.settle()
        drain(fresh_anvil, payer, 7 * ETHER)
        fresh_anvil.mine(5)
        desk.settle()
        assert desk.losses() == {("payout", ETH, 7 * ETHER): 1}
        assert desk.findings("unexplained_balance") == []


def test_drains_of_several_blocks_are_told_each_by_its_own(
    fresh_anvil: Anvil, payer: Contract, without_traces: EvmProxy, tmp_path: Path
) -> None:
    with watch(Deployed(tmp_path, [without_traces.url], [OwnWallet("payout", [payer.address])])) as desk:
        desk.settle()
        heights = []
        for amount in (1, 2, 3):
            heights.append(drain(fresh_anvil, payer, amount))
            fresh_anvil.mine(7)
        desk.settle()
        found = {(f.evidence["height"], f.evidence["difference"]) for f in desk.findings("unexplained_balance")}
        assert found == {(h, f"-{n}") for h, n in zip(heights, (1, 2, 3), strict=True)}


def test_tokens_that_lie_are_held_to_their_balances(fresh_anvil: Anvil, tmp_path: Path) -> None:
    """A Transfer log is the contract's word. What it logs and does not do, what it does and does not log, and what it
    keeps for itself on the way in are all differences.
    """
    hot, thief = fresh_anvil.accounts[:2]
    pretending, seized = (crooked_token(fresh_anvil, hot, 10_000) for _ in range(2))
    taxed = crooked_token(fresh_anvil, thief, 10_000, 10)
    straight = deploy_erc20(fresh_anvil, "TKN", 10_000, hot)
    tokens = [("PRE", pretending), ("SEI", seized), ("TAX", taxed), ("TKN", straight)]
    deployed = Deployed(
        tmp_path,
        [fresh_anvil.url],
        [OwnWallet("eth-hot", [hot])],
        tokens=[(symbol, token.address) for symbol, token in tokens],
    )
    with watch(deployed) as desk:
        desk.settle()
        send = fresh_anvil.send
        said = settled(
            fresh_anvil,
            send(thief, pretending.address, data=calldata("pretend(address,address,uint256)", hot, THIEF, 500)),
        )
        took = settled(fresh_anvil, send(thief, seized.address, data=calldata("seize(address,uint256)", hot, 600)))
        kept = settled(fresh_anvil, send(thief, taxed.address, data=calldata("transfer(address,uint256)", hot, 1_000)))
        settled(fresh_anvil, straight.send(hot, "transfer", THIEF, 250))
        desk.settle()
        found = {(*shown(f), f.severity) for f in desk.findings("unexplained_balance")}
        assert found == {
            ("eth-hot", erc20(pretending.address), "500", said, "block", "low"),
            ("eth-hot", erc20(seized.address), "-600", took, "block", "critical"),
            ("eth-hot", erc20(taxed.address), "-100", kept, "block", "critical"),
        }


def test_logs_hidden_by_a_node_that_is_believed_are_told_by_the_books(
    fresh_anvil: Anvil, without_traces: EvmProxy, tmp_path: Path
) -> None:
    """Without `prove` an own node is believed that lists no logs; that tokens left is told by conservation."""
    hot, stranger = fresh_anvil.accounts[:2]
    token = deploy_erc20(fresh_anvil, "TKN", 10_000, hot)
    settled(fresh_anvil, token.send(hot, "approve", stranger, 1_000))
    without_traces.fault = lambda call, _number: "empty" if call["method"] == "eth_getLogs" else "pass"
    deployed = Deployed(tmp_path, [without_traces.url], [OwnWallet("eth-hot", [hot])], tokens=[("TKN", token.address)])
    with watch(deployed) as desk:
        desk.settle()
        at = settled(fresh_anvil, token.send(stranger, "transferFrom", hot, THIEF, 77))
        desk.settle()
        assert desk.losses() == {}
        assert [shown(f)[2:] for f in desk.findings("unexplained_balance")] == [("-77", at, "block")]


def test_a_state_the_node_no_longer_keeps_leaves_an_interval_and_says_so(
    fresh_anvil: Anvil, payer: Contract, without_traces: EvmProxy, tmp_path: Path
) -> None:
    """A full node keeps the state of 128 blocks: of older ones it says `missing trie node`."""
    with watch(Deployed(tmp_path, [without_traces.url], [OwnWallet("payout", [payer.address])])) as desk:
        desk.settle()
        first = desk.worker.tip
        assert first is not None
        drain(fresh_anvil, payer, 5)
        fresh_anvil.mine(30)
        tip = int(fresh_anvil.rpc("eth_blockNumber"), 16)
        kept = {fresh_anvil.rpc("eth_getBlockByNumber", [hex(h), False])["hash"] for h in range(tip - 9, tip + 1)}

        def pruned(call: dict[str, object], number: int) -> str:
            params = call["params"]
            old = call["method"] == "eth_getBalance" and isinstance(params, list) and _asked_at(params) not in kept
            return "refuse" if old else untraced(call, number)

        without_traces.fault = pruned
        desk.settle()
        (found,) = desk.findings("unexplained_balance")
        assert found.evidence["narrowed_to"] == "interval"
        assert (found.evidence["above_height"], found.evidence["height"]) == (first.height, tip - 9)
        assert f"between blocks {first.height} and {tip - 9}" in found.summary
        assert found.evidence["accounts"] == []


def _asked_at(params: list[object]) -> object:
    last = params[-1]
    return last.get("blockHash") if isinstance(last, dict) else last


def test_a_token_that_cannot_be_read_is_said_and_hides_no_other(
    fresh_anvil: Anvil, payer: Contract, without_traces: EvmProxy, tmp_path: Path
) -> None:
    """An account without code in place of a token once kept the whole chain from starting."""
    wallets = [OwnWallet("payout", [payer.address])]
    deployed = Deployed(tmp_path, [without_traces.url], wallets, tokens=[("NON", "0x" + "ab" * 20)])
    with watch(deployed) as desk:
        desk.settle()
        drain(fresh_anvil, payer, 5)
        desk.settle()
        unread, drained = sorted(desk.findings("unexplained_balance"), key=lambda f: f.verdict)
        assert (unread.verdict, unread.asset) == ("undetermined", erc20("0x" + "ab" * 20))
        assert "NON cannot be read: no contract answers" in unread.summary
        assert drained.evidence["difference"] == "-5"


def test_another_address_in_a_wallet_opens_its_books_anew(fresh_anvil: Anvil, tmp_path: Path) -> None:
    first, second = fresh_anvil.accounts[:2]
    for own in ([first], [first, second]):
        with watch(Deployed(tmp_path, [fresh_anvil.url], [OwnWallet("eth-hot", own)])) as desk:
            desk.settle()
            fresh_anvil.mine(3)
            desk.settle()
            assert desk.findings("unexplained_balance") == []


def test_books_opened_in_the_past_are_checked_from_there(
    fresh_anvil: Anvil, payer: Contract, without_traces: EvmProxy, tmp_path: Path
) -> None:
    at = drain(fresh_anvil, payer, 5)
    fresh_anvil.mine(4)
    deployed = Deployed(
        tmp_path,
        [without_traces.url],
        [OwnWallet("payout", [payer.address])],
        more=f'finality = 1\ncheck_balances = "1h"\nstart = {at}',
    )
    with watch(deployed) as desk:
        desk.settle()
        assert [shown(f)[2:] for f in desk.findings("unexplained_balance")] == [("-5", at, "block")]


def test_a_start_whose_state_the_node_dropped_opens_the_books_at_the_tip(
    anvils: Callable[..., Anvil], tmp_path: Path
) -> None:
    """anvil calls such a block out of range, and the chain never started: its state is gone, the block is not."""
    node = anvils(options=["--prune-history", "4"])
    hot = node.accounts[0]
    settled(node, node.send(hot, THIEF, value=5))
    node.mine(90)
    deployed = Deployed(
        tmp_path, [node.url], [OwnWallet("eth-hot", [hot])], more='finality = 1\ncheck_balances = "1ms"\nstart = 1'
    )
    with watch(deployed) as desk:
        desk.settle()
        assert desk.losses() == {("eth-hot", ETH, 5): 1}
        assert desk.shown == []
        with desk.app.store.reading() as unit:
            (opening,) = unit.ledger.balances(desk.worker.watched.chain, "eth-hot", desk.source.native.id)
        assert opening.at == desk.worker.tip


def test_only_final_blocks_are_held_to_the_books_and_not_more_often_than_configured(
    fresh_anvil: Anvil, payer: Contract, without_traces: EvmProxy, tmp_path: Path
) -> None:
    def ask(more: str, folder: str, act: Callable[[Watch], None]) -> int:
        deployed = Deployed(tmp_path / folder, [without_traces.url], [OwnWallet("payout", [payer.address])], more=more)
        with watch(deployed) as desk:
            desk.settle()
            act(desk)
            desk.settle()
            return len(desk.findings("unexplained_balance"))

    assert ask('finality = 5\ncheck_balances = "1ms"', "a", lambda _: drain(fresh_anvil, payer, 5) and None) == 0

    def later(_desk: Watch) -> None:
        drain(fresh_anvil, payer, 5)
        fresh_anvil.mine(4)

    assert ask('finality = 5\ncheck_balances = "1ms"', "b", later) == 1

    def again(desk: Watch) -> None:
        fresh_anvil.mine(2)
        desk.settle()
        later(desk)

    assert ask('finality = 1\ncheck_balances = "1h"', "c", again) == 0
