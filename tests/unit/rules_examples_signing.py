"""Examples of signing habits and of control over wallets."""

from __future__ import annotations

from chains.model import AccountTransaction, ControlChange, ControlKind, SigningFacts
from unit.rules_examples import (
    ETHEREUM,
    NOON,
    SAFE,
    SPENDER,
    Example,
    ago,
    fires,
    out,
    passes,
    txid,
    unknown,
    utxo_tx,
    world,
)
from unit.rules_facts import World
from walletwatch.rules.facts import ControlEvent, SentTransaction

HOT = {"roles": ["hot"]}
ZERO = "0x" + "0" * 40
SINGLETON = "0x34CfAC646f301356fAa8B21e94227e3583Fe3F5F"
ATTACKER = "0xbDd077f651EBe7f7b3cE16fe5F2b025BE2969516"


def signed(version: int, sequence: str, order: str, locktime: int, *signers: str) -> SigningFacts:
    features = (("version", version), ("sequence", sequence), ("output_order", order), ("locktime", locktime))
    return SigningFacts(signers, features)


def habit(count: int, now: SigningFacts | None) -> World:
    """`count` transactions of the same habit, each with a lock time of its own, then `now`."""
    past = [out(at=ago(60 * (count - n)), name=f"s{n}") for n in range(count)]
    usual = {
        o.tx: utxo_tx(f"s{n}", signing=signed(2, "fffffffd", "bip69", 900_000 + n, "A", "B"))
        for n, o in enumerate(past)
    }
    return world(past, transactions={**usual, txid("now"): utxo_tx(signing=now)})


ODD = signed(1, "ffffffff", "other", 900_101, "A", "B")
LESS_ODD = signed(1, "ffffffff", "bip69", 900_101, "A", "B")

SIGNING = [
    fires("signing_fingerprint", "version, sequence and order unlike the last 20", {}, out(), habit(20, ODD)),
    passes("signing_fingerprint", "version and sequence unlike the last 20", {}, out(), habit(20, LESS_ODD)),
    unknown("signing_fingerprint", "only 19 earlier transactions", {}, out(), habit(19, ODD)),
    fires("unusual_signers", "keys A and C, where A and B signed", {}, out(), habit(5, signed(2, "", "", 0, "A", "C"))),
    passes("unusual_signers", "keys B and A, as ever", {}, out(), habit(5, signed(2, "", "", 0, "B", "A"))),
    unknown("unusual_signers", "who signed is not known", {}, out(), habit(5, None)),
]


def control(kind: ControlKind, before: str, after: str, **detail: str) -> ControlEvent:
    change = ControlChange(txid("control"), SAFE, kind, before, after, detail)
    return ControlEvent(ETHEREUM, txid("control"), "hot", NOON, (change,))


def sent(*, ok: bool) -> SentTransaction:
    tx = AccountTransaction(txid("sent"), 0, SAFE, SPENDER, 7, ok, 21_000 * 10**9, (), traced=True)
    return SentTransaction(ETHEREUM, tx.txid, "hot", NOON, tx)


def allowed(amount: str) -> ControlEvent:
    return control(ControlKind.ALLOWANCE, "0", amount, token="USDT", spender=str(SPENDER))


CONTROL: list[Example] = [
    fires("allowance_granted", "an allowance of 1 base unit", {}, allowed("1"), world()),
    passes("allowance_granted", "an allowance taken back to 0", {}, allowed("0"), world()),
    unknown("allowance_granted", "an allowance whose amount cannot be read", {}, allowed("?"), world()),
    fires(
        "wallet_control_changed",
        "a Safe's singleton replaced, as at Bybit",
        HOT,
        control(ControlKind.SINGLETON, SINGLETON, ATTACKER),
        world(),
    ),
    passes(
        "wallet_control_changed",
        "the same guard written over itself",
        HOT,
        control(ControlKind.GUARD, ZERO, ZERO),
        world(),
    ),
    unknown(
        "wallet_control_changed",
        "for hot wallets only, and the role is not known",
        HOT,
        control(ControlKind.SINGLETON, SINGLETON, ATTACKER),
        world(roles={}),
    ),
    fires("failed_transaction", "a transaction of ours failed", HOT, sent(ok=False), world()),
    passes("failed_transaction", "a transaction of ours that did what it should", HOT, sent(ok=True), world()),
    unknown(
        "failed_transaction", "for hot wallets only, and the role is not known", HOT, sent(ok=False), world(roles={})
    ),
]

EXAMPLES = SIGNING + CONTROL
