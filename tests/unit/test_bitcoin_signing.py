"""Who signed and how a transaction was built, on real transactions; hashes against python-bitcoinlib."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from bitcoin.core import CTransaction
from bitcoin.core.script import SIGVERSION_WITNESS_V0, CScript, SignatureHash
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.addresses import address_of
from chains.bitcoin.decode import RawTransaction, parse_transaction
from chains.bitcoin.params import MAINNET
from chains.bitcoin.scripts import SigningDigests, multisig_keys, pushes, script_type
from chains.bitcoin.signing import signing_facts
from chains.model import Outpoint, SigningFacts, TxOutput
from contracts.recorded_blocks import DATA, RecordedBlock

ROWS: list[dict[str, Any]] = json.loads((DATA / "transactions_mainnet_signed_every_way.json").read_text())
BY_TXID = {row["txid"]: row for row in ROWS}
DMM_FUNDING = "c03acb80562302248f8be621e765315345a85cd3856bf49583e97b0428342908"
TAPROOT = "37777defed8717c581b4c0509329550e344bdc14ac38f71fc050096887e535c8"
BATCH = "3d81a6b95903dd457d45a2fc998acc42fe96f59ef01157bdcbc331fe451c8d9e"


def load(txid: str) -> tuple[RawTransaction, dict[Outpoint, TxOutput]]:
    row = BY_TXID[txid]
    tx = parse_transaction(bytes.fromhex(row["raw"]))
    outputs = [
        TxOutput(i.outpoint.vout, p["value"], address_of(MAINNET, bytes.fromhex(p["script"])))
        for i, p in zip(tx.inputs, row["prevouts"], strict=True)
    ]
    return tx, {i.outpoint: output for i, output in zip(tx.inputs, outputs, strict=True)}


def facts_of(txid: str) -> SigningFacts:
    tx, prevouts = load(txid)
    facts = signing_facts(tx, prevouts, {output.address.key for output in prevouts.values()})
    assert facts is not None
    return facts


def test_the_two_keys_of_a_real_two_of_three_are_found() -> None:
    """The exchange's transaction that funded the coins stolen on 2024-05-31."""
    facts = facts_of(DMM_FUNDING)
    assert facts.signers == (
        "022279489fa3e9886b25f0c455e510f8b0f0d636930768d7d440dd103077597ffe",
        "0344402b39b5efbd49f88400cdf041d1cd15bee795e672c8fefdc9790f78233c00",
    )
    features = facts.as_dict()
    assert features["input_types"] == "p2sh-multisig"
    assert (features["version"], features["locktime"], features["locktime_kind"]) == (2, 837658, "height")
    assert (features["signatures"], features["low_r"], features["sighash"]) == (2, 1, "all")
    assert (features["sequence"], features["rbf"]) == ("fffffffe", 0)
    assert features["feerate_milli"] == 126700 * 1000 // 1266
    assert (features["inputs"], features["outputs"]) == (1, 30)


def test_a_forged_multisig_signature_names_nobody() -> None:
    tx, prevouts = load(DMM_FUNDING)
    other = replace(tx, locktime=tx.locktime + 1)
    facts = signing_facts(other, prevouts, {output.address.key for output in prevouts.values()})
    assert facts is not None
    assert facts.signers == ()


def test_taproot_by_key_and_by_script() -> None:
    facts = facts_of(TAPROOT)
    assert facts.signers == (
        "5f4237bd7dae576b34abc8a9c6fa4f0e4787c04234ca963e9e96c8f9b67b56d1",
        "f5b059b9a72298ccbefff59d9b943f7e0fc91d8a3b944a95e7b6390cc99eb5f4",
    )
    assert facts.as_dict()["input_types"] == "p2tr-key,p2tr-script"
    assert "signatures" not in facts.as_dict()


def test_a_batch_of_143_payouts() -> None:
    features = facts_of(BATCH).as_dict()
    assert features["input_types"] == "p2wpkh"
    assert features["output_types"] == "p2pkh,p2sh,p2wpkh,p2wsh"
    assert features["outputs"] == 143


def test_positions_that_pay_back_are_told() -> None:
    tx, prevouts = load(BATCH)
    ours = {output.address.key for output in prevouts.values()} | {tx.outputs[3][1], tx.outputs[7][1]}
    facts = signing_facts(tx, prevouts, ours)
    assert facts is not None
    positions = [n for n, (_, script) in enumerate(tx.outputs) if script in ours]
    assert facts.as_dict()["own_outputs"] == ",".join(map(str, positions))
    assert {3, 7} <= set(positions)


def test_a_strangers_transaction_has_no_signing_facts() -> None:
    tx, prevouts = load(BATCH)
    assert signing_facts(tx, prevouts, {tx.outputs[0][1]}) is None
    assert signing_facts(tx, {}, {output.address.key for output in prevouts.values()}) is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["txid"][:8])
def test_fees_are_those_of_the_explorer(row: dict[str, Any]) -> None:
    facts = facts_of(row["txid"])
    tx, _ = load(row["txid"])
    assert facts.as_dict()["feerate_milli"] == row["fee"] * 1000 // tx.vsize


def test_every_signer_of_a_real_block_signed() -> None:
    """All inputs of block 300025: one signer each where the script names one, the threshold where it is a multisig."""
    recorded = RecordedBlock.load("block_mainnet_300025_many_inputs", 300025)
    prevouts = {o: TxOutput(o.vout, v, address_of(MAINNET, s)) for o, (v, s) in recorded.spent.items()}
    scripts = {script for _, script in recorded.spent.values()}
    seen = set()
    for theirs in recorded.block.vtx[1:]:
        facts = signing_facts(parse_transaction(theirs.serialize()), prevouts, scripts)
        assert facts is not None
        assert facts.signers
        seen.update(str(facts.as_dict()["input_types"]).split(","))
    assert seen == {"p2pkh", "multisig"}


SCRIPTS = st.binary(min_size=1, max_size=60).map(lambda b: b.replace(b"\xab", b"\xac"))


@given(
    row=st.sampled_from(ROWS),
    place=st.integers(0, 200),
    script=SCRIPTS,
    value=st.integers(0, 21 * 10**14),
    hash_type=st.sampled_from([1, 2, 3, 0x81, 0x82, 0x83, 0, 4, 0x50]),
)
def test_segwit_hashes_are_those_of_python_bitcoinlib(
    row: dict[str, Any], place: int, script: bytes, value: int, hash_type: int
) -> None:
    raw = bytes.fromhex(row["raw"])
    ours, theirs = parse_transaction(raw), CTransaction.deserialize(raw)
    index = place % len(ours.inputs)
    expected = SignatureHash(CScript(script), theirs, index, hash_type, value, SIGVERSION_WITNESS_V0)
    assert SigningDigests.of(ours).segwit_hash(index, script, value, hash_type) == expected


@given(
    row=st.sampled_from(ROWS),
    place=st.integers(0, 200),
    key=st.binary(min_size=33, max_size=33),
    hash_type=st.sampled_from([1, 2, 3, 0x81, 0x82, 0x83, 0, 4, 0x50]),
)
def test_legacy_hashes_are_those_of_python_bitcoinlib(
    row: dict[str, Any], place: int, key: bytes, hash_type: int
) -> None:
    raw = bytes.fromhex(row["raw"])
    ours, theirs = parse_transaction(raw), CTransaction.deserialize(raw)
    index = place % len(ours.inputs)
    script = b"\x21" + key + b"\xac"
    if hash_type & 0x1F == 3 and index >= len(ours.outputs):
        expected = (1).to_bytes(32, "little")
    else:
        expected = SignatureHash(CScript(script), theirs, index, hash_type)
    assert SigningDigests.of(ours).legacy_hash(index, script, hash_type) == expected


def test_a_locktime_beyond_2038_is_hashed_too() -> None:
    """python-bitcoinlib packs it as a signed number and raises."""
    tx, prevouts = load(BATCH)
    late = replace(tx, locktime=0xFFFFFFFF)
    assert signing_facts(late, prevouts, {o.address.key for o in prevouts.values()}) is not None


KEY, KEY2 = b"\x02" + b"\x11" * 32, b"\x04" + b"\x22" * 64


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (b"\x21" + KEY + b"\xac", "p2pk"),
        (b"\x41" + KEY2 + b"\xac", "p2pk"),
        (b"\x51\x21" + KEY + b"\x41" + KEY2 + b"\x52\xae", "multisig"),
        (b"\x52\x21" + KEY + b"\x21" + KEY + b"\x51\xae", "nonstandard"),
        (b"\x53\x21" + KEY + b"\x21" + KEY + b"\x52\xae", "nonstandard"),
        (b"\x51" + b"\x21" + KEY + b"\x21", "nonstandard"),
        (b"\x6a", "op_return"),
        (b"\x6a\x4c", "op_return"),
        (b"\x51\x02\x4e\x73", "anchor"),
        (b"\x52\x20" + bytes(32), "witness"),
        (b"\x00\x14" + bytes(20), "p2wpkh"),
        (b"\x00\x20" + bytes(32), "p2wsh"),
        (b"\x00\x15" + bytes(21), "nonstandard"),
        (b"\x51\x20" + bytes(32), "p2tr"),
        (b"", "nonstandard"),
        (b"\x4e\xff\xff\xff\xff", "nonstandard"),
    ],
)
def test_script_types(script: bytes, kind: str) -> None:
    assert script_type(script) == kind


@given(st.binary(max_size=200))
def test_any_bytes_are_some_script(script: bytes) -> None:
    assert script_type(script)
    assert isinstance(pushes(script), tuple)
    assert isinstance(multisig_keys(script), tuple)


@given(st.binary(max_size=120), st.binary(max_size=120), st.lists(st.binary(max_size=80), max_size=4))
def test_hostile_inputs_of_ours_never_raise(script: bytes, redeem: bytes, witness: list[bytes]) -> None:
    """Whoever pays to a script of his own chooses every byte of the input that spends it."""
    tx, prevouts = load(TAPROOT)
    inputs = tuple(replace(i, script=script, witness=tuple(witness)) for i in tx.inputs)
    for locking in (redeem, b"\xa9\x14" + bytes(20) + b"\x87", b"\x00\x20" + bytes(32), b"\x51\x20" + bytes(32)):
        spent = {o: replace(p, address=address_of(MAINNET, locking)) for o, p in prevouts.items()}
        facts = signing_facts(replace(tx, inputs=inputs), spent, {locking})
        assert facts is not None
