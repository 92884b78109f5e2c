"""The fast way to canonical JSON gives the bytes of the rfc8785 library, and leaves are what CONTRACT §6 says."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from walletwatch.audit.leaves import canonical_json, entry_hash, leaf_bytes, make_entry

ASCII_KEYS = st.text(st.characters(max_codepoint=0x7F), max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | TEXTS | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ASCII_KEYS, inner, max_size=4),
    max_leaves=20,
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | TEXTS | st.integers(-(2**60), 2**60) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_values_take_the_fast_way_to_the_same_bytes(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(ANY_JSON)
def test_any_json_value_has_the_library_s_bytes_or_is_refused_as_the_library_does(value: Any) -> None:
    try:
        expected = rfc8785.dumps(value)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            canonical_json(value)
    else:
        assert canonical_json(value) == expected


def test_members_are_ordered_by_utf_16_and_not_by_code_point() -> None:
    """RFC 8785 §3.2.3: U+1F600 is d83d de00 in UTF-16 and comes before U+FB33; orjson would order them otherwise."""
    value = {"\ufb33": 1, "\U0001f600": 2}
    assert canonical_json(value) == '{"\U0001f600":2,"\ufb33":1}'.encode()
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != canonical_json(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), "\ud800", {"\ud800": 1}, {1: 2}, b"x", object()])
def test_what_json_cannot_hold_exactly_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        canonical_json(value)


def test_deep_nesting_is_refused_before_it_hurts() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested"):
        canonical_json(deep)


@given(TEXTS, TEXTS, TEXTS, st.dictionaries(ASCII_KEYS, PLAIN, max_size=4), st.integers(0, 2**53 - 1))
def test_a_leaf_is_the_canonical_json_of_the_entry(
    actor: str, action: str, subject: str, payload: dict[str, Any], seq: int
) -> None:
    entry = make_entry(seq, datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC), actor, action, subject, payload)
    whole = {
        "seq": seq,
        "recorded_at": "2026-11-22T01:02:03.000000Z",
        "actor": actor,
        "action": action,
        "subject": subject,
        "payload": payload,
    }
    leaf = rfc8785.dumps(whole)
    assert leaf_bytes(seq, entry.recorded_at, actor, action, subject, entry.payload) == leaf
    assert entry.leaf_hash == hashlib.sha256(b"\x00" + leaf).digest() == entry_hash(entry)
    assert entry.as_json() == {**whole, "leaf_hash": entry.leaf_hash.hex()}


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        make_entry(0, datetime(2026, 11, 22), "a", "b", "c", {})  # noqa: DTZ001 - the fault that is tested
