"""A PSBT as the transaction it will be, with every amount either proved or doubted.

The amounts of inputs are the word of whoever made the file. They are proved by our own unspent outputs, by the whole
transaction that is spent (its hash is in the outpoint), or, of taproot, by the signature, which covers them (BIP 341).
A bare `witness_utxo` proves nothing: signers were made to pay any fee with two such files (Trezor, 2020-06-03).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from chains.bitcoin.addresses import address_of
from chains.bitcoin.decode import fee_of, transaction_facts
from chains.bitcoin.params import Network, network_of
from chains.bitcoin.psbt import Psbt, PsbtInput, read_psbt
from chains.bitcoin.scripts import multisig_keys, script_items, script_type
from chains.bitcoin.signing import signing_facts
from chains.errors import LyingNode
from chains.family import Doubt, KnownBefore, NotATransaction, UnsignedTransaction
from chains.model import ChainId, Outpoint, SigningFacts, TxOutput

_WHOLE: Final = frozenset({0, 1})
"""SIGHASH_DEFAULT and SIGHASH_ALL: the signature covers every input and output."""
_BEFORE_SIGNING: Final = frozenset({"feerate_milli", "input_types", "signatures", "low_r", "sighash"})
"""Features of a signing fingerprint that only signatures show."""
_SIGNED_WEIGHT: Final = {"p2pkh": 4 * 107, "p2wpkh": 108, "p2tr": 66}
"""What signing adds to an input, in weight units: pushes, signature of 72 bytes (taproot: 64), key."""
_SIGNATURE, _COUNTS = 73, 3


def read_unsigned_transaction(chain: ChainId, content: bytes, known: KnownBefore) -> UnsignedTransaction:
    """The unsigned a PSBT is. Raises NotATransaction."""
    network = network_of(chain)
    psbt = read_psbt(content)
    spent: dict[Outpoint, TxOutput] = {}
    doubts = [Doubt(f"by its own word {' and '.join(psbt.open_parts)} may still be added")] if psbt.open_parts else []
    for n, row in enumerate(psbt.inputs):
        output, why = _spent(network, n, row, known)
        doubts += why
        if output is not None:
            spent[row.outpoint] = output
        doubts += _unbound(n, row)
    try:
        facts = transaction_facts(network, psbt.unsigned, -1, spent, _signing(psbt, spent, known))
    except LyingNode as error:
        raise NotATransaction(f"the PSBT: {error}") from None
    facts = replace(facts, vsize=_signed_vsize(psbt, spent))
    named = "txid" if all(_keeps_txid(spent.get(row.outpoint)) for row in psbt.inputs) else "unsigned_txid"
    return UnsignedTransaction("psbt", facts, {named: psbt.unsigned.txid.hex()}, doubts=tuple(doubts))


def _spent(network: Network, n: int, row: PsbtInput, known: KnownBefore) -> tuple[TxOutput | None, list[Doubt]]:
    """What input `n` spends by the best word there is, and what is wrong with the others."""
    claims = {"witness_utxo": row.witness_utxo()}
    whole, doubts = _from_previous(n, row)
    if whole is not None:
        claims["non_witness_utxo"] = whole
    own = known.outputs.get(row.outpoint)
    proved = (own.value, own.address.key) if own is not None else whole
    if proved is not None:
        who = "the chain" if own is not None else "the transaction it spends"
        doubts += [
            _contradiction(n, name, claim, who, proved) for name, claim in claims.items() if claim not in (None, proved)
        ]
        return _output(network, row, proved), doubts
    claimed = claims["witness_utxo"]
    if claimed is None:
        return None, [*doubts, Doubt(f"nothing tells what input {n} ({row.outpoint}) spends, or whose it is")]
    if script_type(claimed[1]) != "p2tr" or claimed[1] not in known.accounts or not row.sighash_types() <= _WHOLE:
        doubts.append(Doubt(f"the amount of input {n} is only claimed, by a bare witness_utxo: the fee may be larger"))
    return _output(network, row, claimed), doubts


def _from_previous(n: int, row: PsbtInput) -> tuple[tuple[int, bytes] | None, list[Doubt]]:
    previous = row.previous()
    if previous is None:
        return None, []
    if previous.txid != row.outpoint.txid:
        text = f"the transaction given for input {n} hashes to {previous.txid.hex()}, and {row.outpoint} is spent"
        return None, [Doubt(text, wrong=True)]
    if row.outpoint.vout >= len(previous.outputs):
        raise NotATransaction(
            f"input {n} spends output {row.outpoint.vout} of a transaction with {len(previous.outputs)}"
        )
    return previous.outputs[row.outpoint.vout], []


def _contradiction(n: int, name: str, claim: tuple[int, bytes] | None, who: str, proved: tuple[int, bytes]) -> Doubt:
    said = "another script" if claim is None or claim[0] == proved[0] else f"{claim[0]} satoshi"
    return Doubt(f"{name} of input {n} says {said}; by {who} it is worth {proved[0]} satoshi", wrong=True)


def _output(network: Network, row: PsbtInput, paid: tuple[int, bytes]) -> TxOutput:
    return TxOutput(row.outpoint.vout, paid[0], address_of(network, paid[1]))


def _unbound(n: int, row: PsbtInput) -> list[Doubt]:
    loose = sorted(row.sighash_types() - _WHOLE)
    return [
        Doubt(f"input {n} is signed with hash type {kind:#04x}: outputs or inputs can be exchanged after signing")
        for kind in loose
    ]


def _keeps_txid(spent: TxOutput | None) -> bool:
    """Whether signing leaves the txid as it is: a native witness program has no scriptSig."""
    return spent is not None and script_type(spent.address.key) in {"p2wpkh", "p2wsh", "p2tr"}


def _signing(psbt: Psbt, spent: Mapping[Outpoint, TxOutput], known: KnownBefore) -> SigningFacts | None:
    """The builder's habits as far as they show before anybody signs."""
    facts = signing_facts(psbt.unsigned, spent, known.accounts)
    if facts is None or fee_of(psbt.unsigned, spent) is None:
        return None
    return SigningFacts((), tuple((name, value) for name, value in facts.features if name not in _BEFORE_SIGNING))


def _signed_vsize(psbt: Psbt, spent: Mapping[Outpoint, TxOutput]) -> int:
    """Virtual bytes once signed, by the scripts spent; 0 (not known) if one of them does not tell."""
    weight = 4 * psbt.unsigned.base_size + 2
    for row in psbt.inputs:
        output = spent.get(row.outpoint)
        added = None if output is None else _input_weight(output.address.key, row)
        if added is None:
            return 0
        weight += added
    return (weight + 3) // 4


def _input_weight(script: bytes, row: PsbtInput) -> int | None:
    kind = script_type(script)
    if kind == "p2sh" and script_type(row.redeem_script) in {"p2wpkh", "p2wsh"}:
        inner = _input_weight(row.redeem_script, row)
        return None if inner is None else 4 * (len(row.redeem_script) + 1) + inner
    if kind == "p2wsh" and row.witness_script:
        return _multisig_bytes(row.witness_script)
    if kind == "p2sh" and row.redeem_script:
        inner = _multisig_bytes(row.redeem_script)
        return None if inner is None else 4 * inner
    return _SIGNED_WEIGHT.get(kind)


def _multisig_bytes(script: bytes) -> int | None:
    """Signatures and script of `m <keys> n OP_CHECKMULTISIG`; None for another script."""
    items = script_items(script)
    if not multisig_keys(script) or not items:
        return None
    needed = items[0] - 0x50 if isinstance(items[0], int) else items[0][0]
    return needed * _SIGNATURE + len(script) + _COUNTS
