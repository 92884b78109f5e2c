"""The tree against RFC 6962's own recursive definition, and proofs that must fail when anything about them changes."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walletwatch.audit.leaves import leaf_hash
from walletwatch.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    prove_consistency,
    prove_inclusions,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(n.to_bytes(4, "big")) for n in range(300)]


def mth(hashes: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def path(m: int, hashes: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*path(m, hashes[:k]), mth(hashes[k:])]
    return [*path(m - k, hashes[k:]), mth(hashes[:k])]


def subproof(m: int, hashes: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 §2.1.2."""
    if m == len(hashes):
        return [] if whole else [mth(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m <= k:
        return [*subproof(m, hashes[:k], whole), mth(hashes[k:])]
    return [*subproof(m - k, hashes[k:], False), mth(hashes[:k])]


@st.composite
def sizes_and_index(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, 300))
    return size, draw(st.integers(0, size - 1))


def flipped(hashes: tuple[bytes, ...], at: int, bit: int) -> tuple[bytes, ...]:
    changed = bytearray(hashes[at])
    changed[bit // 8] ^= 1 << bit % 8
    return (*hashes[:at], bytes(changed), *hashes[at + 1 :])


def test_every_size_up_to_300_has_the_root_of_the_definition() -> None:
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES[:130], 1):
        frontier = frontier.append(leaf)
        assert frontier.root() == mth(LEAVES[:size])
        assert Frontier.from_bytes(frontier.to_bytes()) == frontier


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_stored_frontier_goes_on_as_if_it_had_never_stopped(first: int, second: int) -> None:
    stored = Frontier().extend(LEAVES[:first]).to_bytes()
    assert Frontier.from_bytes(stored).extend(LEAVES[first:second]).root() == mth(LEAVES[: max(first, second)])


@given(sizes_and_index())
def test_inclusion_proofs_are_those_of_the_definition_and_verify(at: tuple[int, int]) -> None:
    size, index = at
    proof = prove_inclusions([index], size, LEAVES)[index]
    assert list(proof) == path(index, LEAVES[:size])
    assert verify_inclusion(LEAVES[index], index, size, proof, mth(LEAVES[:size]))


@given(st.integers(1, 300), st.data())
def test_many_proofs_from_one_pass_equal_single_ones(size: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, size - 1), unique=True, max_size=20))
    proofs = prove_inclusions(indices, size, iter(LEAVES))
    assert {i: list(p) for i, p in proofs.items()} == {i: path(i, LEAVES[:size]) for i in indices}


@given(sizes_and_index(), st.data())
def test_any_flipped_bit_fails_an_inclusion_proof(at: tuple[int, int], data: st.DataObject) -> None:
    size, index = at
    root = mth(LEAVES[:size])
    proof = prove_inclusions([index], size, LEAVES)[index]
    bit = data.draw(st.integers(0, 255))
    (leaf,) = flipped((LEAVES[index],), 0, bit)
    assert not verify_inclusion(leaf, index, size, proof, root)
    assert not verify_inclusion(LEAVES[index], index, size, proof, flipped((root,), 0, bit)[0])
    for n in range(len(proof)):
        assert not verify_inclusion(LEAVES[index], index, size, flipped(proof, n, bit), root)


@given(sizes_and_index(), st.data())
def test_a_proof_of_another_place_shape_or_size_fails(at: tuple[int, int], data: st.DataObject) -> None:
    size, index = at
    root, proof = mth(LEAVES[:size]), prove_inclusions([index], size, LEAVES)[index]
    other = data.draw(st.integers(-2, 310).filter(lambda n: n != index))
    assert not verify_inclusion(LEAVES[index], other, size, proof, root)
    assert not verify_inclusion(LEAVES[index], index, size, (*proof, root), root)
    assert not verify_inclusion(LEAVES[index], index, size, proof[:-1], root) or not proof
    assert not verify_inclusion(LEAVES[index], index, 2**80, proof, root)


@given(st.integers(0, 300), st.integers(0, 300))
def test_consistency_proofs_are_those_of_the_definition_and_verify(a: int, b: int) -> None:
    old, new = sorted((a, b))
    proof = prove_consistency(old, new, LEAVES)
    if old > 0:
        assert list(proof) == subproof(old, LEAVES[:new], True)
    assert verify_consistency(old, new, proof, mth(LEAVES[:old]), mth(LEAVES[:new]))


@given(st.integers(1, 299), st.integers(1, 300), st.data())
def test_any_flipped_bit_fails_a_consistency_proof(a: int, b: int, data: st.DataObject) -> None:
    old, new = sorted((a, b))
    roots = mth(LEAVES[:old]), mth(LEAVES[:new])
    proof = prove_consistency(old, new, LEAVES)
    bit = data.draw(st.integers(0, 255))
    for n in range(len(proof)):
        assert not verify_consistency(old, new, flipped(proof, n, bit), *roots)
    assert not verify_consistency(old, new, proof, flipped(roots, 0, bit)[0], roots[1])
    assert not verify_consistency(old, new, proof, roots[0], flipped(roots, 1, bit)[1])
    assert not verify_consistency(old, new, (*proof, roots[0]), *roots)


def test_a_log_that_was_rewritten_is_not_consistent_with_its_past() -> None:
    rewritten = [*LEAVES[:40], leaf_hash(b"another"), *LEAVES[41:100]]
    proof = prove_consistency(70, 100, rewritten)
    assert not verify_consistency(70, 100, proof, mth(LEAVES[:70]), mth(rewritten))


@pytest.mark.parametrize("raw", [b"", b"\0" * 7, b"\0" * 8 + b"x" * 32, (3).to_bytes(8, "big") + b"x" * 32, b"\0" * 9])
def test_bytes_that_are_no_frontier_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="frontier"):
        Frontier.from_bytes(raw)


def test_a_proof_cannot_be_made_for_leaves_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="too few leaves: 5"):
        prove_inclusions([2], 9, LEAVES[:5])
    with pytest.raises(ValueError, match="no leaf 9"):
        prove_inclusions([9], 9, LEAVES)
