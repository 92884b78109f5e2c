"""Decoding answers: what a node sends is hostile until it has been read."""

from __future__ import annotations

import sys

import pytest

from chains.rpc.jsonrpc import loads_exact, loads_fast


@pytest.mark.parametrize("loads", [loads_exact, loads_fast])
@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000, b"[1.5," + b"[" * 200_000])
def test_brackets_without_end_are_no_json(loads: object, body: bytes) -> None:
    """py_ecc raises the recursion limit when web3 imports it; 200,000 brackets then crashed the process."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        with pytest.raises(ValueError, match=r"recursion|depth|unexpected|EOF|nest"):
            loads(body)  # type: ignore[operator]
    finally:
        sys.setrecursionlimit(before)


def test_a_number_with_a_point_stays_the_text_it_was() -> None:
    assert loads_exact(b'{"value": 0.10000000, "n": 3}') == {"value": "0.10000000", "n": 3}
