"""Proofs of single entries, to be checked without the log (CONTRACT §6, `audit prove SEQ`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from walletwatch.audit.leaves import AuditEntry, canonical_json, leaf_bytes, leaf_hash
from walletwatch.audit.merkle import prove_inclusions, verify_inclusion
from walletwatch.audit.notes import Checkpoint, InvalidNote, VerifyingKey, open_checkpoint
from walletwatch.audit.verdicts import LogProblem, Verification

MAX_PROOF_BYTES = 4_000_000
_HEX_HASH = re.compile(r"[0-9a-f]{64}\Z")


class InvalidProof(ValueError):
    """The proof is invalid; the message says which part."""


def build_proofs(
    entries: Sequence[AuditEntry], note: str, vkey: VerifyingKey, leaf_hashes: Iterable[bytes]
) -> list[dict[str, Any]]:
    """The proof objects of these entries under one checkpoint, from one pass over the log's leaf hashes.

    Raises InvalidNote for a checkpoint that this key did not sign, ValueError if it does not cover an entry or if the
    leaves do not give the signed root, so that an invalid proof is never returned.
    """
    checkpoint = open_checkpoint(note, vkey)
    proofs = prove_inclusions([entry.seq for entry in entries], checkpoint.size, leaf_hashes)
    return [_build(entry, proofs[entry.seq], checkpoint, note, vkey) for entry in entries]


def _build(
    entry: AuditEntry, hashes: tuple[bytes, ...], checkpoint: Checkpoint, note: str, vkey: VerifyingKey
) -> dict[str, Any]:
    if not verify_inclusion(entry.leaf_hash, entry.seq, checkpoint.size, hashes, checkpoint.root):
        raise InvalidProof(f"entry {entry.seq} does not lead to the signed root: the log was tampered with")
    return {
        "entry": entry.as_json(),
        "leaf_index": entry.seq,
        "tree_size": checkpoint.size,
        "hashes": [h.hex() for h in hashes],
        "checkpoint": note,
        "vkey": str(vkey),
    }


def verify_proof(proof: bytes | str | Mapping[str, Any], trusted: VerifyingKey | None = None) -> Verification:
    """Check a proof object. Without `trusted`, the key is the one in the proof, and a notice says so."""
    try:
        body = _read(proof)
        vkey = VerifyingKey.parse(_text(body, "vkey"))
        notices = _trust(vkey, trusted)
        checkpoint = open_checkpoint(_text(body, "checkpoint"), vkey)
        seq = _check_entry(body, checkpoint)
    except InvalidNote as error:
        return Verification(0, problems=(LogProblem("checkpoint", f"the checkpoint is not valid: {error}"),))
    except ValueError as error:
        return Verification(0, problems=(LogProblem("proof", str(error)),))
    return Verification(1, checkpoint.root, signed_size=1, checkpoints=1, notices=(*notices, f"entry {seq} is proved"))


def _trust(vkey: VerifyingKey, trusted: VerifyingKey | None) -> tuple[str, ...]:
    if trusted is None:
        return (f"the key comes from the proof itself, compare it with the published one: {vkey}",)
    if trusted != vkey:
        raise InvalidProof(f"the proof's key is {vkey}, the trusted one is {trusted}")
    return ()


def _read(proof: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(proof, (bytes, str)):
        if len(proof) > MAX_PROOF_BYTES:
            raise InvalidProof(f"a proof of {len(proof)} bytes is too long")
        proof = orjson.loads(proof)
    if not isinstance(proof, Mapping):
        raise InvalidProof("a proof must be a JSON object")
    return proof


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise InvalidProof(f"{key} must be a string")
    return value


def _count(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key)
    if type(value) is not int or not 0 <= value < 2**53:
        raise InvalidProof(f"{key} must be an integer from 0 to 2**53 - 1")
    return value


def _check_entry(body: Mapping[str, Any], checkpoint: Checkpoint) -> int:
    """The seq of the proved entry. Raises ValueError with the part that is invalid."""
    entry, hashes = body.get("entry"), body.get("hashes")
    if not isinstance(entry, Mapping) or not isinstance(entry.get("payload"), Mapping):
        raise InvalidProof("entry must be an object with a payload object")
    if not isinstance(hashes, list) or not all(isinstance(h, str) and _HEX_HASH.match(h) for h in hashes):
        raise InvalidProof("hashes must be a list of strings of 64 lower-case hex digits")
    seq = _count(entry, "seq")
    moment, actor, action, subject = (_text(entry, key) for key in ("recorded_at", "actor", "action", "subject"))
    payload = canonical_json(entry["payload"]).decode()
    digest = leaf_hash(leaf_bytes(seq, moment, actor, action, subject, payload))
    if _text(entry, "leaf_hash") != digest.hex():
        raise InvalidProof(f"entry {seq} was changed: its content does not match its leaf hash")
    if _count(body, "leaf_index") != seq or _count(body, "tree_size") != checkpoint.size:
        raise InvalidProof(
            f"leaf_index and tree_size do not match entry {seq} and the checkpoint's {checkpoint.size} entries"
        )
    path = [bytes.fromhex(h) for h in hashes]
    if not verify_inclusion(digest, seq, checkpoint.size, path, checkpoint.root):
        raise InvalidProof(f"entry {seq} does not lead to the signed root")
    return seq
