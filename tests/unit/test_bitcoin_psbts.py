"""PSBTs made of real transactions: both versions say the same, and no amount is believed on the file's word."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import bdkpython as bdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.decode import RawTransaction, parse_transaction, write_compact_size
from chains.bitcoin.params import MAINNET
from chains.bitcoin.psbt import MAGIC, read_psbt
from chains.bitcoin.unsigned_transactions import read_unsigned_transaction
from chains.family import KnownBefore, NotATransaction, UnsignedTransaction
from chains.model import Outpoint, TxOutput, UtxoTransaction
from contracts.recorded_blocks import DATA

ROWS: dict[str, dict[str, Any]] = {
    row["txid"]: row for row in json.loads((DATA / "transactions_mainnet_signed_every_way.json").read_text())
}
THEFT = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7"
FUNDING = "c03acb80562302248f8be621e765315345a85cd3856bf49583e97b0428342908"
TAPROOT = "37777defed8717c581b4c0509329550e344bdc14ac38f71fc050096887e535c8"
SIGNABLE = sorted(txid for txid, row in ROWS.items() if row["prevouts"])

Pairs = dict[bytes, bytes]


def le(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def sized(data: bytes) -> bytes:
    return write_compact_size(len(data)) + data


def the_theft() -> dict[str, Any]:
    """As an explorer tells it, its signatures left out: nine coins of a nested 2 of 3."""
    told = next(
        tx
        for tx in json.loads((DATA.parent / "tracing" / "esplora_bitcoin_845752_dmm_theft.json").read_text())
        if tx["txid"] == THEFT
    )
    raw = le(told["version"], 4) + write_compact_size(len(told["vin"]))
    for i in told["vin"]:
        raw += bytes.fromhex(i["txid"])[::-1] + le(i["vout"], 4) + b"\0" + le(i["sequence"], 4)
    raw += write_compact_size(len(told["vout"]))
    raw += b"".join(le(o["value"], 8) + sized(bytes.fromhex(o["scriptpubkey"])) for o in told["vout"])
    spent = [{"value": i["prevout"]["value"], "script": i["prevout"]["scriptpubkey"]} for i in told["vin"]]
    return {"raw": (raw + le(told["locktime"], 4)).hex(), "prevouts": spent}


ROWS[THEFT] = the_theft()


def a_map(pairs: Pairs) -> bytes:
    return b"".join(sized(key) + sized(value) for key, value in pairs.items()) + b"\0"


def real(txid: str) -> RawTransaction:
    return parse_transaction(bytes.fromhex(ROWS[txid]["raw"]))


def unsigned(tx: RawTransaction) -> bytes:
    raw = le(tx.version, 4) + write_compact_size(len(tx.inputs))
    for i in tx.inputs:
        raw += i.outpoint.txid[::-1] + le(i.outpoint.vout, 4) + b"\0" + le(i.sequence, 4)
    raw += write_compact_size(len(tx.outputs))
    return raw + b"".join(le(v, 8) + sized(script) for v, script in tx.outputs) + le(tx.locktime, 4)


def claims(txid: str) -> list[Pairs]:
    """What the inputs are worth by the chain's word, as `witness_utxo`."""
    return [{b"\x01": le(p["value"], 8) + sized(bytes.fromhex(p["script"]))} for p in ROWS[txid]["prevouts"]]


def version_0(txid: str, inputs: list[Pairs]) -> bytes:
    tx = real(txid)
    return MAGIC + a_map({b"\0": unsigned(tx)}) + b"".join(map(a_map, inputs)) + a_map({}) * len(tx.outputs)


def version_2(txid: str, inputs: list[Pairs], more: Pairs | None = None) -> bytes:
    tx = real(txid)
    counts = {b"\x04": write_compact_size(len(tx.inputs)), b"\x05": write_compact_size(len(tx.outputs))}
    whole = {b"\x02": le(tx.version, 4), b"\x03": le(tx.locktime, 4), **counts, b"\xfb": le(2, 4), **(more or {})}
    rows = [
        given | {b"\x0e": i.outpoint.txid[::-1], b"\x0f": le(i.outpoint.vout, 4), b"\x10": le(i.sequence, 4)}
        for given, i in zip(inputs, tx.inputs, strict=True)
    ]
    outputs = [{b"\x03": le(value, 8), b"\x04": script} for value, script in tx.outputs]
    return MAGIC + a_map(whole) + b"".join(map(a_map, [*rows, *outputs]))


def read(content: bytes, known: KnownBefore | None = None) -> UnsignedTransaction:
    return read_unsigned_transaction(MAINNET.chain, content, known or KnownBefore())


def own(txid: str) -> KnownBefore:
    """The wallet that spends in `txid` is ours, by its addresses alone."""
    return KnownBefore(accounts=frozenset(bytes.fromhex(p["script"]) for p in ROWS[txid]["prevouts"]))


def facts(draft: UnsignedTransaction) -> UtxoTransaction:
    assert isinstance(draft.transaction, UtxoTransaction)
    return draft.transaction


@pytest.mark.parametrize("txid", SIGNABLE)
def test_both_versions_are_the_transaction_they_became(txid: str) -> None:
    """Inputs, outputs, fee and, for native witness programs, the txid: before signing as after it."""
    tx = real(txid)
    drafts = [read(make(txid, claims(txid)), own(txid)) for make in (version_0, version_2)]
    assert drafts[0] == drafts[1]
    was = facts(drafts[0])
    assert [i.outpoint for i in was.inputs] == [i.outpoint for i in tx.inputs]
    assert [(o.value, o.address.key) for o in was.outputs] == list(tx.outputs)
    assert was.fee == sum(p["value"] for p in ROWS[txid]["prevouts"]) - sum(v for v, _ in tx.outputs)
    named = dict(drafts[0].digests)
    assert named.get("txid", txid) == txid
    assert named.keys() in ({"txid"}, {"unsigned_txid"})
    if "txid" in named and txid != TAPROOT:
        assert abs(was.vsize - tx.vsize) <= 2 * len(tx.inputs), "a signature may be shorter than 72 bytes"


def test_the_library_that_derives_our_addresses_reads_version_0_alike_and_no_other() -> None:
    for txid in SIGNABLE:
        content = version_0(txid, claims(txid))
        theirs = bdk.Psbt(base64.b64encode(content).decode())
        assert (
            theirs.extract_tx_unchecked_fee_rate().compute_txid().serialize()[::-1] == read_psbt(content).unsigned.txid
        )
    with pytest.raises(bdk.PsbtParseError):
        bdk.Psbt(base64.b64encode(version_2(TAPROOT, claims(TAPROOT))).decode())


def test_binary_base64_and_hexadecimal_are_the_same() -> None:
    content = version_0(TAPROOT, claims(TAPROOT))
    folded = base64.encodebytes(content)
    assert read(content) == read(folded) == read(content.hex().upper().encode() + b"\n")


# --- amounts ----------------------------------------------------------------------------------------------------------


def whole(txid: str, previous: RawTransaction) -> list[Pairs]:
    return [row | {b"\0": previous.raw} for row in claims(txid)]


def test_the_transaction_that_is_spent_proves_what_an_input_is_worth() -> None:
    """DMM's theft and the transaction that funded it, both real: nine coins, 4,503 BTC."""
    draft = read(version_0(THEFT, whole(THEFT, real(FUNDING))), own(THEFT))
    assert draft.doubts == ()
    assert facts(draft).fee == 10_000_000
    assert sum(i.value or 0 for i in facts(draft).inputs) == 450_300_000_000


def test_a_bare_claim_is_doubted_as_the_fee_may_be_larger() -> None:
    """Trezor, 2020-06-03: two files that each understate another input made signers pay any fee."""
    draft = read(version_0(THEFT, claims(THEFT)), own(THEFT))
    assert len(draft.doubts) == 9
    assert all("only claimed" in d.text and not d.wrong for d in draft.doubts)


def test_another_transaction_than_the_one_spent_is_a_lie() -> None:
    draft = read(version_0(THEFT, whole(THEFT, real(TAPROOT))), own(THEFT))
    lies = [d for d in draft.doubts if d.wrong]
    assert len(lies) == 9
    assert f"hashes to {TAPROOT}" in lies[0].text


def test_a_claim_that_contradicts_the_transaction_spent_is_a_lie_and_is_not_counted() -> None:
    rows = whole(THEFT, real(FUNDING))
    script = rows[0][b"\x01"][8:]
    rows[0] = rows[0] | {b"\x01": le(1, 8) + script}
    draft = read(version_0(THEFT, rows), own(THEFT))
    assert [d.wrong for d in draft.doubts] == [True]
    assert "says 1 satoshi; by the transaction it spends it is worth" in draft.doubts[0].text
    assert facts(draft).fee == 10_000_000


def test_our_own_books_prove_and_contradict() -> None:
    """What the chain paid us is known, whatever the file says."""
    right = facts(read(version_0(THEFT, whole(THEFT, real(FUNDING)))))
    books = {
        i.outpoint: TxOutput(i.outpoint.vout, i.value or 0, i.address) for i in right.inputs if i.address is not None
    }
    known = replace(own(THEFT), outputs=books)
    assert read(version_0(THEFT, claims(THEFT)), known).doubts == ()
    assert read(version_0(THEFT, [{}] * 9), known).doubts == (), "the file need not even say it"
    first = right.inputs[0].outpoint
    wrong = replace(known, outputs=books | {first: replace(books[first], value=books[first].value + 5)})
    (doubt,) = read(version_0(THEFT, claims(THEFT)), wrong).doubts
    assert doubt.wrong


def test_an_input_nobody_tells_anything_of_is_doubted() -> None:
    draft = read(version_0(TAPROOT, [{}] * len(real(TAPROOT).inputs)), own(TAPROOT))
    assert "nothing tells what input 0" in draft.doubts[0].text
    assert facts(draft).fee is None


def test_of_taproot_the_signature_covers_what_is_claimed() -> None:
    """BIP 341; of a stranger's input, whose signature is not ours, it proves nothing to us."""
    assert read(version_0(TAPROOT, claims(TAPROOT)), own(TAPROOT)).doubts == ()
    assert read(version_0(TAPROOT, claims(TAPROOT))).doubts


@pytest.mark.parametrize("kind", [0x02, 0x03, 0x81, 0x83])
@pytest.mark.parametrize("where", [b"\x03", b"\x02" + b"\x02" * 33, b"\x13"])
def test_a_signature_that_leaves_parts_open_is_doubted(kind: int, where: bytes) -> None:
    """SIGHASH_NONE, SINGLE or ANYONECANPAY, asked for or signed already: outputs can be exchanged afterwards."""
    value = le(kind, 4) if where == b"\x03" else b"\x30" * 64 + bytes([kind])
    rows = [row | {where: value} for row in claims(TAPROOT)]
    texts = [d.text for d in read(version_0(TAPROOT, rows), own(TAPROOT)).doubts]
    assert any(f"hash type {kind:#04x}" in text for text in texts)


def test_what_may_still_be_added_is_said() -> None:
    texts = [d.text for d in read(version_2(TAPROOT, claims(TAPROOT), {b"\x06": b"\x03"}), own(TAPROOT)).doubts]
    assert texts == ["by its own word inputs and outputs may still be added"]


# --- files nobody should believe --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "magic"),
        (b"hello", "neither"),
        (MAGIC, "cut short"),
        (MAGIC + b"\0", "no transaction"),
        (version_0(TAPROOT, claims(TAPROOT)) + b"\0", "follow the end"),
        (version_0(TAPROOT, claims(TAPROOT))[:-1], "cut short"),
        (MAGIC + a_map({b"\xfb": le(1, 4)}), "version 1"),
        (MAGIC + a_map({b"\0": real(TAPROOT).raw}), "is signed"),
        (MAGIC + sized(b"\0") + sized(b"x") + sized(b"\0") + sized(b"y") + b"\0", "twice"),
        (MAGIC + a_map({b"\xfb": le(2, 4), b"\x04": b"\xff" + b"\xff" * 8, b"\x05": b"\x01"}), "inputs or outputs"),
        (version_0(TAPROOT, [{b"\0": b"\0\0\0\0\0"}] * len(real(TAPROOT).inputs)), "non_witness_utxo"),
        (version_0(TAPROOT, [{b"\x01": b"\0"}] * len(real(TAPROOT).inputs)), "cut short"),
    ],
)
def test_each_broken_file_is_refused_in_its_own_words(content: bytes, why: str) -> None:
    with pytest.raises(NotATransaction, match=why):
        read(content)


def test_a_file_that_pays_out_more_than_it_spends_is_no_draft() -> None:
    rows = [{b"\x01": le(1, 8) + row[b"\x01"][8:]} for row in claims(TAPROOT)]
    with pytest.raises(NotATransaction, match="more than it spends"):
        read(version_0(TAPROOT, rows))


def test_an_output_that_is_spent_twice_is_no_draft() -> None:
    rows = claims(TAPROOT)
    tx = real(TAPROOT)
    doubled = replace(tx, inputs=(*tx.inputs, tx.inputs[0]))
    content = (
        MAGIC + a_map({b"\0": unsigned(doubled)}) + b"".join(map(a_map, [*rows, rows[0]])) + b"\0" * len(tx.outputs)
    )
    with pytest.raises(NotATransaction, match="spend the same output"):
        read(content)


@given(st.data())
def test_damage_anywhere_is_refused_or_read_and_raises_nothing_else(data: st.DataObject) -> None:
    make = data.draw(st.sampled_from([version_0, version_2]))
    content = bytearray(make(THEFT, whole(THEFT, real(FUNDING))[:1] + claims(THEFT)[1:]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(5, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    with suppress(NotATransaction):
        assert all(isinstance(i.outpoint, Outpoint) for i in facts(read(bytes(content[:end]))).inputs)
