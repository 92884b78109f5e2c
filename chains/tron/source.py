"""TRON is known by its addresses and its coin; its blocks are not followed."""

from __future__ import annotations

from typing import NoReturn

from chains.registry import SourceSpec


def open_source(spec: SourceSpec) -> NoReturn:
    """Raises ValueError: no source for TRON's blocks exists in this version."""
    raise ValueError(
        f"chain {spec.name} ({spec.chain}): TRON blocks cannot be followed by this version; "
        "TRON addresses are understood in labels and cases. Remove the chain from the configuration."
    )
