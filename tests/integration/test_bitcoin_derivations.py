"""Descriptors against bitcoind's own derivation, and a gap that moves, seen through the whole daemon."""

from __future__ import annotations

from pathlib import Path

import pytest
from exchanges import REGTEST as REGTEST_ID
from exchanges import Exchange, wait_for, watching

from chains.bitcoin.descriptors import derive, open_branches
from chains.bitcoin.params import REGTEST
from chains.model import Address
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from walletwatch.domain.outflows import Outflow
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.bitcoind


@pytest.fixture(scope="module")
def keys(bitcoind: Bitcoind) -> list[str]:
    """Four account keys with their origin, made by wallets of the node: `[fp/84h/1h/0h]tpub…`."""
    found = []
    for name in ("desc-a", "desc-b", "desc-c", "desc-d"):
        rows = bitcoind.wallet(name).cli("listdescriptors")["descriptors"]
        text = next(r["desc"] for r in rows if r["desc"].startswith("wpkh(") and not r["internal"])
        found.append(text.removeprefix("wpkh(").partition("/0/*")[0])
    return found


def kinds_of(keys: list[str]) -> dict[str, str]:
    """Twenty descriptors by what is particular about them."""
    a, b, c, d = keys
    bare, single = a.partition("]")[2], "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    return {
        "pkh": f"pkh({a}/0/*)",
        "wpkh": f"wpkh({a}/0/*)",
        "wpkh without origin": f"wpkh({bare}/1/*)",
        "wpkh of a deep path": f"wpkh({a}/7/2147483647/3/*)",
        "wpkh without path": f"wpkh({b}/*)",
        "wpkh of one key": f"wpkh({single})",
        "wpkh at a fixed index": f"wpkh({b}/0/41)",
        "sh(wpkh)": f"sh(wpkh({a}/0/*))",
        "sh(multi)": f"sh(multi(1,{a}/0/*,{b}/0/*))",
        "sh(sortedmulti)": f"sh(sortedmulti(2,{a}/0/*,{b}/0/*,{c}/0/*))",
        "wsh(multi)": f"wsh(multi(2,{a}/0/*,{b}/0/*,{c}/0/*))",
        "wsh(sortedmulti)": f"wsh(sortedmulti(3,{a}/0/*,{b}/0/*,{c}/0/*,{d}/0/*))",
        "sh(wsh(sortedmulti))": f"sh(wsh(sortedmulti(2,{c}/0/*,{b}/0/*,{a}/0/*)))",
        "wsh(pk)": f"wsh(pk({a}/0/*))",
        "wsh with a time lock": f"wsh(and_v(v:pk({a}/0/*),older(144)))",
        "wsh with a recovery": f"wsh(or_d(pk({a}/0/*),and_v(v:pkh({b}/0/*),older(65535))))",
        "tr": f"tr({a}/0/*)",
        "tr with a leaf": f"tr({a}/0/*,pk({b}/0/*))",
        "tr with a tree": f"tr({a}/0/*,{{pk({b}/0/*),{{pk({c}/0/*),and_v(v:pk({d}/0/*),older(10))}}}})",
        "tr with multi_a": f"tr({a}/0/*,multi_a(2,{b}/0/*,{c}/0/*,{d}/0/*))",
    }


def test_addresses_equal_the_nodes_for_twenty_kinds(bitcoind: Bitcoind, keys: list[str]) -> None:
    kinds = kinds_of(keys)
    assert len(kinds) == 20
    for kind, text in kinds.items():
        whole = bitcoind.cli("getdescriptorinfo", text)["descriptor"]
        ranged = "*" in text
        theirs = bitcoind.cli("deriveaddresses", whole, *([[0, 49]] if ranged else []))
        for ours in (text, whole):
            assert [a.text for a in derive(REGTEST.chain, ours, 0, 50)] == theirs, kind
        far = bitcoind.cli("deriveaddresses", whole, [10**6, 10**6 + 1]) if ranged else []
        assert [a.text for a in derive(REGTEST.chain, whole, 10**6, 2)] == far, kind


def test_a_multipath_step_is_both_rows(bitcoind: Bitcoind, keys: list[str]) -> None:
    for kind, text in kinds_of(keys).items():
        if "/0/*" not in text:
            continue
        theirs = []
        for row in ("/0/*", "/1/*"):
            whole = bitcoind.cli("getdescriptorinfo", text.replace("/0/*", row))["descriptor"]
            theirs += bitcoind.cli("deriveaddresses", whole, [0, 9])
        both = text.replace("/0/*", "/<0;1>/*")
        checksum = bitcoind.cli("getdescriptorinfo", both)["checksum"]
        assert [a.text for a in derive(REGTEST.chain, f"{both}#{checksum}", 0, 10)] == theirs, kind


def test_every_wrong_character_is_caught_by_the_checksum(bitcoind: Bitcoind, keys: list[str]) -> None:
    whole = bitcoind.cli("getdescriptorinfo", f"wpkh({keys[0]}/0/*)")["descriptor"]
    at = whole.index("/0/*") + 1
    with pytest.raises(ValueError, match="checksum"):
        open_branches(REGTEST.chain, f"{whole[:at]}1{whole[at + 1 :]}")


# --- the gap, through the daemon --------------------------------------------------------------------------------------

GAP = 20


@pytest.fixture
def hot(fresh_bitcoind: Bitcoind) -> BitcoinWallet:
    wallet = fresh_bitcoind.wallet("hot")
    fresh_bitcoind.mine(101)
    return wallet


def rows_of(hot: BitcoinWallet) -> tuple[str, list[str]]:
    """The wallet's descriptors as its node exports them: the receiving wpkh, and change of every kind, of which the
    node chooses one at random.
    """
    rows = hot.cli("listdescriptors")["descriptors"]
    (receiving,) = [r["desc"] for r in rows if r["desc"].startswith("wpkh(") and not r["internal"]]
    return receiving, [r["desc"] for r in rows if r["internal"]]


@pytest.fixture
def exchange(tmp_path: Path, fresh_bitcoind: Bitcoind, hot: BitcoinWallet) -> Exchange:
    receiving, change = rows_of(hot)
    listed = ", ".join(f'"{text}"' for text in (receiving, *change))
    node = f'url = "{fresh_bitcoind.url}", cookie = "{fresh_bitcoind.cookie}", zmq = "{fresh_bitcoind.zmq_address}"'
    return Exchange(
        tmp_path / "exchange",
        f"""
[[chain]]
name = "bitcoin"
id = "{REGTEST_ID}"
endpoints = [{{ {node} }}]
confirmations = 3
poll = "1s"
[[wallet]]
name = "btc-hot"
role = "hot"
chain = "bitcoin"
descriptors = [{listed}]
gap_limit = {GAP}
""",
    )


def place(hot: BitcoinWallet, index: int) -> Address:
    (address,) = derive(REGTEST.chain, rows_of(hot)[0], index, 1)
    return address


def caught_up(app: Application, node: Bitcoind) -> bool:
    with app.store.reading() as unit:
        cursor = unit.chain_state.cursor(REGTEST.chain)
    return cursor is not None and cursor.ref.hash.hex() == node.tip()[1]


def received(app: Application) -> int:
    with app.store.reading() as unit:
        return sum(m.received for _, wallet, _, _, m in unit.ledger.movements() if wallet == "btc-hot")


def outflows(app: Application) -> list[Outflow]:
    with app.store.reading() as unit:
        return list(unit.outflows.find(Filter()))


def pay_in(node: Bitcoind, app: Application, payments: dict[str, str]) -> None:
    node.wallet("miner").pay(payments)
    node.mine()
    wait_for(lambda: caught_up(app, node), "the block is in the books")


def test_what_is_paid_beyond_the_first_gap_after_use_moved_it_is_seen(
    exchange: Exchange, fresh_bitcoind: Bitcoind, hot: BitcoinWallet
) -> None:
    """The gap is 20: index 50 is a stranger's until use has moved the gap over it, and a spend from it is ours then,
    with its change; a daemon that starts again knows as much.
    """
    node, far = fresh_bitcoind, GAP + 30
    with watching(exchange) as app:
        wait_for(lambda: caught_up(app, node), "the chain is watched")
        pay_in(node, app, {place(hot, far).text: "1"})
        assert received(app) == 0
        # One block in which each payment is known only because another in it moved the gap.
        pay_in(node, app, {place(hot, n).text: "0.1" for n in (15, 30, 45)})
        assert received(app) == 30_000_000
        pay_in(node, app, {place(hot, far).text: "2"})
        assert received(app) == 230_000_000
    with watching(exchange) as app:
        pay_in(node, app, {place(hot, far + 10).text: "4"})
        assert received(app) == 630_000_000
        # What was paid to it before anybody knew it is in the wallet, too: the node was asked again.
        wait_for(lambda: balance(app) == 730_000_000, "the books hold what came before")
        sent = hot.cli("send", {node.wallet("miner").address(): "6.5"})["txid"]
        (seen,) = wait_for(lambda: outflows(app), "the outflow is seen in the mempool")
        assert (seen.tx.hex(), seen.amount, len(seen.payments)) == (sent, 650_000_000, 1)


def balance(app: Application) -> int:
    with app.store.reading() as unit:
        return sum(output.value for output in unit.ledger.unspent(REGTEST.chain).values())


def test_the_mempool_moves_the_gap_for_what_waits_behind_it(
    exchange: Exchange, fresh_bitcoind: Bitcoind, hot: BitcoinWallet
) -> None:
    """An outflow whose change goes to an address that only the unconfirmed payment before it made our own."""
    node = fresh_bitcoind
    with watching(exchange) as app:
        wait_for(lambda: caught_up(app, node), "the chain is watched")
        pay_in(node, app, {place(hot, 0).text: "10"})
        (coin,) = hot.cli("listunspent")
        spent = {"txid": coin["txid"], "vout": coin["vout"]}
        node.wallet("miner").pay({place(hot, GAP + 5).text: "1"})
        options = {"inputs": [spent], "add_inputs": False, "change_address": place(hot, GAP + 20).text}
        sent = hot.cli("send", [{node.wallet("miner").address(): "3"}], None, "unset", 2, options)["txid"]
        (seen,) = wait_for(lambda: outflows(app), "the outflow is seen in the mempool")
        assert (seen.tx.hex(), seen.amount) == (sent, 300_000_000)
