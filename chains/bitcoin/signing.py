"""Which keys signed an input, and how the wallet that signed builds its transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from chains.bitcoin.addresses import witness_program
from chains.bitcoin.decode import RawInput, RawTransaction, fee_of
from chains.bitcoin.scripts import SigningDigests, multisig_keys, pushes, script_items, script_type
from chains.model import Outpoint, SigningFacts, TxOutput

_PREHASHED: Final = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
_CURVE: Final = ec.SECP256K1()
_ANNEX: Final = 0x50
_SCHNORR_SIZES: Final = (64, 65)
_OP_CHECKSIG, _OP_CHECKSIGVERIFY, _OP_CHECKSIGADD = 0xAC, 0xAD, 0xBA


@dataclass(frozen=True, slots=True)
class InputSignatures:
    """What signed one input: `signers` in hexadecimal (33 or 65 bytes for ECDSA, 32 for taproot), `ecdsa` the DER
    signatures with their hash type byte, `kind` the script type with what is inside (`p2sh-p2wpkh`).
    """

    kind: str
    signers: tuple[str, ...] = ()
    ecdsa: tuple[bytes, ...] = ()


def read_signatures(digests: SigningDigests, index: int, spent: TxOutput) -> InputSignatures:
    """The signatures of input `index`, which spends `spent`. A script whose signers its bytes do not tell has none."""
    tx_input = digests.tx.inputs[index]
    script = spent.address.key
    kind = script_type(script)
    stack = pushes(tx_input.script)
    if kind == "p2sh" and stack:
        redeem = stack[-1]
        inner = script_type(redeem)
        if witness_program(redeem) is not None:
            return _read_witness(digests, index, spent, inner, f"p2sh-{inner}")
        return _read_script(digests, index, None, redeem, stack[:-1], f"p2sh-{inner}")
    if witness_program(script) is not None:
        return _read_witness(digests, index, spent, kind, kind)
    return _read_script(digests, index, None, script, stack, kind)


def _read_witness(digests: SigningDigests, index: int, spent: TxOutput, inner: str, kind: str) -> InputSignatures:
    witness = digests.tx.inputs[index].witness
    if inner == "p2wpkh" and len(witness) == 2:
        return InputSignatures(kind, (witness[1].hex(),), (witness[0],))
    if inner == "p2wsh" and witness:
        script = witness[-1]
        return _read_script(digests, index, spent.value, script, witness[:-1], f"{kind}-{script_type(script)}")
    if inner == "p2tr":
        return _read_taproot(digests.tx.inputs[index], spent.address.key[2:])
    return InputSignatures(kind)


def _read_script(
    digests: SigningDigests, index: int, value: int | None, script: bytes, stack: tuple[bytes, ...], kind: str
) -> InputSignatures:
    """A script of the original language; `value` is given where it is signed by BIP 143."""
    inner = script_type(script)
    if inner == "p2pkh" and len(stack) == 2:
        return InputSignatures(kind, (stack[1].hex(),), (stack[0],))
    if inner == "p2pk" and len(stack) == 1:
        return InputSignatures(kind, (script[1:-1].hex(),), stack)
    if inner == "multisig":
        signatures = tuple(item for item in stack if item)
        keys = _multisig_signers(digests, index, value, script, signatures)
        return InputSignatures(kind, tuple(key.hex() for key in keys), signatures)
    return InputSignatures(kind)


def _multisig_signers(
    digests: SigningDigests, index: int, value: int | None, script: bytes, signatures: tuple[bytes, ...]
) -> list[bytes]:
    """The keys that made `signatures`, which stand in the order of their keys (OP_CHECKMULTISIG)."""
    keys = list(multisig_keys(script))
    signers = []
    for signature in signatures:
        hash_type = signature[-1]
        if value is None:
            digest = digests.legacy_hash(index, script, hash_type)
        else:
            digest = digests.segwit_hash(index, script, value, hash_type)
        while keys:
            key = keys.pop(0)
            if _verifies(key, signature[:-1], digest):
                signers.append(key)
                break
    return signers


def _verifies(key: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether `key` made the DER `signature` over `digest`; False for what is no key or signature."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, key).verify(signature, digest, _PREHASHED)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read_taproot(tx_input: RawInput, output_key: bytes) -> InputSignatures:
    """Key path: the output key signed. Script path: the keys of the leaf whose signature is not empty (BIP 342)."""
    witness = tx_input.witness
    if len(witness) > 1 and witness[-1][:1] == bytes([_ANNEX]):
        witness = witness[:-1]
    if len(witness) == 1:
        return InputSignatures("p2tr-key", (output_key.hex(),))
    if len(witness) < 2:
        return InputSignatures("p2tr")
    keys = _leaf_keys(witness[-2])
    given = [item for item in reversed(witness[:-2]) if len(item) in (0, *_SCHNORR_SIZES)]
    if len(keys) != len(given):
        return InputSignatures("p2tr-script")
    return InputSignatures("p2tr-script", tuple(k.hex() for k, item in zip(keys, given, strict=True) if item))


def _leaf_keys(script: bytes) -> list[bytes]:
    """The 32-byte keys each followed by a signature check, in order."""
    items = script_items(script) or []
    checks = (_OP_CHECKSIG, _OP_CHECKSIGVERIFY, _OP_CHECKSIGADD)
    return [a for a, b in pairwise(items) if isinstance(a, bytes) and len(a) == 32 and b in checks]


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
