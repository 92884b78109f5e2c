"""Where following ends: at somebody who mixes funds with others', at amounts too small, after too many hops."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chains.model import Address, ChainId
from walletwatch.domain.cases import Onward, TraceOptions
from walletwatch.domain.labels import STOP_CATEGORIES, Label
from walletwatch.tracing.flows import HOPS, THRESHOLD, Stop

LabelLookup = Callable[[ChainId, Address, datetime], tuple[Label, ...]]
"""Labels of an address that were held true at a moment."""

_LOUDEST_FIRST = ("sanctioned", "exchange", "mixer", "bridge", "service")


def pick_label(labels: tuple[Label, ...]) -> Label | None:
    """The label to show where several are given: one that stops the trace before one that does not, then the surest."""
    return min(labels, key=_rank, default=None)


def _rank(label: Label) -> tuple[bool, int, int, str, str]:
    stops = label.category in STOP_CATEGORIES
    place = _LOUDEST_FIRST.index(label.category) if stops else len(_LOUDEST_FIRST)
    return (not stops, -label.confidence_milli, place, label.label, label.source)


def stop_at_label(labels: tuple[Label, ...], onward: Onward | None) -> Stop | None:
    """The stop that a place's labels make, or the bridge deposit that was made there; None to go on."""
    label = pick_label(labels)
    if label is not None and label.category in STOP_CATEGORIES:
        return Stop(label.category, label.label, label.category, onward)
    if onward is not None:
        return Stop("bridge", "THORChain vault", "bridge", onward)
    return None


def stop_at_limits(options: TraceOptions, threshold: int, measure: int, hop: int) -> Stop | None:
    """The stop that `measure` tainted units at `hop` make; None to go on."""
    if measure < threshold:
        return Stop(THRESHOLD)
    return Stop(HOPS) if hop >= options.max_hops else None
