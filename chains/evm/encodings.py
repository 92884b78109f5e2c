"""RLP, typed: the one place that knows the library, which ships no types."""

from __future__ import annotations

from collections.abc import Sequence

import rlp  # type: ignore[import-untyped]  # rlp 5 has no py.typed

Item = bytes | int | Sequence["Item"]


def rlp_encode(items: Sequence[Item]) -> bytes:
    """The RLP of a list; integers become their shortest big-endian bytes."""
    encoded: bytes = rlp.encode(items)
    return encoded
