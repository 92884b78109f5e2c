"""The signing fingerprint of a transaction: who signed, and the habits of whoever built it.

Features (all exact): `version`, `locktime`, `locktime_kind` (none, height, time), `sequence` (the inputs' common one
in hexadecimal, or `mixed`), `rbf` (BIP 125), `input_types`, `output_types` (sorted, joined by commas), `inputs`,
`outputs`, `inputs_sorted`, `outputs_sorted` (BIP 69), `feerate_milli` (milli-satoshi per virtual byte), `own_outputs`
(positions that pay back to watched addresses), `signatures` and `low_r` (how many ECDSA signatures, how many with an r
below 2**255: wallets that grind have all, others half), `sighash` (types, joined by commas).

Witnesses are not covered by the merkle root of txids: a lying node could alter signers, never amounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from chains.bitcoin.decode import RawTransaction, fee_of
from chains.bitcoin.scripts import script_type
from chains.bitcoin.sighashes import SigningDigests
from chains.bitcoin.signatures import InputSignatures, read_signatures
from chains.model import Outpoint, SigningFacts, TxOutput

LOCKTIME_THRESHOLD: Final = 500_000_000
"""Below: a height. From here on: seconds since 1970."""
_RBF_BELOW: Final = 0xFFFFFFFE
_SIGHASH_NAMES: Final = {0: "default", 1: "all", 2: "none", 3: "single"}


def signing_facts(
    tx: RawTransaction, prevouts: Mapping[Outpoint, TxOutput], addresses: AbstractSet[bytes]
) -> SigningFacts | None:
    """How `tx` was made, if it spends from `addresses`; None otherwise, for a stranger's habits are no fact of ours."""
    ours = [
        (n, prevouts[i.outpoint])
        for n, i in enumerate(tx.inputs)
        if i.outpoint in prevouts and prevouts[i.outpoint].address.key in addresses
    ]
    if not ours or tx.is_coinbase:
        return None
    digests = SigningDigests.of(tx)
    signed = [read_signatures(digests, n, spent) for n, spent in ours]
    signers = sorted({signer for found in signed for signer in found.signers})
    features = {**_shape(tx), **_habits(tx), **_fee(tx, prevouts), **_ecdsa(signed)}
    features["input_types"] = _joined(found.kind for found in signed)
    own = (str(n) for n, (_, script) in enumerate(tx.outputs) if script in addresses)
    features["own_outputs"] = ",".join(own)
    return SigningFacts(tuple(signers), tuple(sorted(features.items())))


def _shape(tx: RawTransaction) -> dict[str, int | str]:
    keys = [(i.outpoint.txid, i.outpoint.vout) for i in tx.inputs]
    return {
        "inputs": len(tx.inputs),
        "outputs": len(tx.outputs),
        "inputs_sorted": int(keys == sorted(keys)),
        "outputs_sorted": int(list(tx.outputs) == sorted(tx.outputs)),
        "output_types": _joined(script_type(script) for _, script in tx.outputs),
    }


def _habits(tx: RawTransaction) -> dict[str, int | str]:
    sequences = {i.sequence for i in tx.inputs}
    kind = "none" if tx.locktime == 0 else "height" if tx.locktime < LOCKTIME_THRESHOLD else "time"
    return {
        "version": tx.version,
        "locktime": tx.locktime,
        "locktime_kind": kind,
        "sequence": f"{sequences.pop():08x}" if len(sequences) == 1 else "mixed",
        "rbf": int(any(i.sequence < _RBF_BELOW for i in tx.inputs)),
    }


def _fee(tx: RawTransaction, prevouts: Mapping[Outpoint, TxOutput]) -> dict[str, int | str]:
    fee = fee_of(tx, prevouts)
    return {} if fee is None else {"feerate_milli": fee * 1000 // tx.vsize}


def _ecdsa(signed: Iterable[InputSignatures]) -> dict[str, int | str]:
    signatures = [signature for found in signed for signature in found.ecdsa if len(signature) > 8]
    if not signatures:
        return {}
    return {
        "signatures": len(signatures),
        "low_r": sum(signature[3] <= 32 for signature in signatures),  # DER: 30 len 02 len-of-r r…
        "sighash": _joined(_sighash_name(signature[-1]) for signature in signatures),
    }


def _sighash_name(hash_type: int) -> str:
    base = _SIGHASH_NAMES.get(hash_type & 0x1F, f"{hash_type:#04x}")
    return f"{base}|anyonecanpay" if hash_type & 0x80 else base


def _joined(words: Iterable[str]) -> str:
    return ",".join(sorted(set(words)))
