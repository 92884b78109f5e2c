"""The object `audit prove` prints: it verifies alone, and nothing in it can be changed."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from walletwatch.audit.leaves import make_entry
from walletwatch.audit.merkle import Frontier
from walletwatch.audit.notes import InvalidNote, SigningKey, sign_checkpoint
from walletwatch.audit.proofs import build_proofs, verify_proof

KEY = SigningKey.generate("audit.exchange.example/log")
LOG = [make_entry(n, datetime(2026, 11, 22, tzinfo=UTC), "system", "a", "tx-1", {"n": n, "x": "é"}) for n in range(13)]
LEAVES = [e.leaf_hash for e in LOG]
NOTE = sign_checkpoint(KEY, 11, Frontier().extend(LEAVES[:11]).root())


def proof_of(seq: int) -> dict[str, Any]:
    return build_proofs([LOG[seq]], NOTE, KEY.verifying_key, LEAVES)[0]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in places(item, (*path, key))]
    if isinstance(value, list):
        return [p for n, item in enumerate(value) for p in places(item, (*path, n))]
    return [path]


def test_a_proof_has_contract_s_members_and_verifies_alone_and_under_the_trusted_key() -> None:
    proof = json.loads(json.dumps(proof_of(7)))
    assert set(proof) == {"entry", "leaf_index", "tree_size", "hashes", "checkpoint", "vkey"}
    assert (proof["leaf_index"], proof["tree_size"], proof["entry"]["payload"]["n"]) == (7, 11, 7)
    alone = verify_proof(json.dumps(proof))
    assert alone.ok
    assert any("compare it with the published one" in notice for notice in alone.notices)
    assert verify_proof(proof, KEY.verifying_key).ok
    stranger = verify_proof(proof, SigningKey.generate(KEY.name).verifying_key)
    assert "the trusted one is" in stranger.problems[0].message


def test_every_value_changed_anywhere_in_a_proof_fails() -> None:
    proof = proof_of(7)
    for path in places(proof):
        changed = copy.deepcopy(proof)
        at = changed
        for step in path[:-1]:
            at = at[step]
        value = at[path[-1]]
        at[path[-1]] = value + 1 if isinstance(value, int) else ("0" if value[:1] != "0" else "1") + value[1:]
        assert not verify_proof(changed).ok, path


@pytest.mark.parametrize(
    "junk", [b"", b"[]", b"{}", b"[" * 100_000, b'{"vkey":5}', b" " * 5_000_000, {"vkey": "a+b+c"}, b"\xff"]
)
def test_junk_is_refused_with_a_reason(junk: Any) -> None:
    found = verify_proof(junk)
    assert not found.ok
    assert found.problems[0].message


@pytest.mark.parametrize(
    ("member", "value"),
    [("hashes", "x"), ("hashes", ["zz"]), ("leaf_index", "7"), ("leaf_index", True), ("tree_size", -1), ("entry", [])],
)
def test_members_of_other_types_are_refused(member: str, value: Any) -> None:
    assert not verify_proof({**proof_of(7), member: value}).ok


def test_no_proof_is_made_that_would_fail() -> None:
    with pytest.raises(ValueError, match="no leaf 11"):
        build_proofs([LOG[11]], NOTE, KEY.verifying_key, LEAVES)
    with pytest.raises(ValueError, match="tampered"):
        build_proofs([LOG[3]], NOTE, KEY.verifying_key, [bytes(32), *LEAVES[1:]])
    with pytest.raises(InvalidNote):
        build_proofs([LOG[3]], NOTE, SigningKey.generate("other").verifying_key, LEAVES)
