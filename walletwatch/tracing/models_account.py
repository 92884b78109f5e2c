"""How tainted and clean value of one asset mix at one account, and which of it a payment takes (CONTRACT §5, *models*).

A purse is a queue of lots in order of arrival that begins with the balance before the theft as one clean lot. Purses
are values: `put` and `take` give a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from walletwatch.domain.cases import TaintModel

Lot = tuple[int, bool]
"""Base units that arrived together, and whether they are tainted."""
Lots = tuple[Lot, ...]


def clean_lot(amount: int) -> Lots:
    """`amount` clean units; no lot for 0."""
    return ((amount, False),) if amount else ()


def tainted_lot(amount: int) -> Lots:
    """`amount` tainted units; no lot for 0."""
    return ((amount, True),) if amount else ()


def tainted_of(lots: Lots) -> int:
    """Tainted base units among `lots`."""
    return sum(amount for amount, tainted in lots if tainted)


def _joined(lots: Lots) -> Lots:
    """Neighbours of one kind as one lot: the queue's order, in the shortest form."""
    out: list[Lot] = []
    for amount, tainted in lots:
        if not amount:
            continue
        if out and out[-1][1] == tainted:
            out[-1] = (out[-1][0] + amount, tainted)
        else:
            out.append((amount, tainted))
    return tuple(out)


def _split(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    """The first `amount` units, and the rest."""
    for index, (size, tainted) in enumerate(lots):
        if amount < size:
            head = (*lots[:index], (amount, tainted)) if amount else lots[:index]
            return head, ((size - amount, tainted), *lots[index + 1 :])
        amount -= size
    return lots, ()


@dataclass(frozen=True, slots=True)
class Purse:
    """What an account holds of one asset, by one model."""

    model: TaintModel
    lots: Lots = ()

    @property
    def balance(self) -> int:
        """All base units here, as far as known."""
        return sum(amount for amount, _ in self.lots)

    @property
    def tainted(self) -> int:
        """Tainted base units here."""
        return tainted_of(self.lots)

    def put(self, lots: Lots) -> Purse:
        """Value arrived. By poison one tainted unit taints all that is here."""
        joined = _joined(self.lots + lots)
        if self.model is TaintModel.POISON and tainted_of(joined):
            joined = tainted_lot(sum(amount for amount, _ in joined))
        return Purse(self.model, joined)

    def take(self, amount: int) -> tuple[Lots, Purse]:
        """Value left: which lots, and what stays.

        More than is known to be here was here unseen (an inner call on a node without traces, a rebase): the excess
        counts as clean and older than all else.
        """
        missing = max(0, amount - self.balance)
        taken, kept = _TAKERS[self.model](self.lots, amount - missing)
        if missing:
            poisoned = self.model is TaintModel.POISON and bool(tainted_of(taken))
            taken = ((missing, poisoned), *taken)
        return _joined(taken), Purse(self.model, _joined(kept))


def _take_oldest(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    return _split(lots, amount)


def _take_newest(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    """The last units of the queue; they keep their order."""
    kept, taken = _split(lots, sum(size for size, _ in lots) - amount)
    return taken, kept


def _take_in_proportion(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    """The floor of the proportional share; a part of a unit stays."""
    balance, tainted = sum(size for size, _ in lots), tainted_of(lots)
    share = tainted * amount // balance if balance else 0
    taken = tainted_lot(share) + clean_lot(amount - share)
    return taken, tainted_lot(tainted - share) + clean_lot(balance - tainted - (amount - share))


def _take_tainted_first(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    balance, tainted = sum(size for size, _ in lots), tainted_of(lots)
    share = min(amount, tainted)
    taken = tainted_lot(share) + clean_lot(amount - share)
    return taken, tainted_lot(tainted - share) + clean_lot(balance - tainted - (amount - share))


_TAKERS: Mapping[TaintModel, Callable[[Lots, int], tuple[Lots, Lots]]] = {
    TaintModel.POISON: _take_oldest,  # all of one kind: any order will do
    TaintModel.HAIRCUT: _take_in_proportion,
    TaintModel.FIFO: _take_oldest,
    TaintModel.LIFO: _take_newest,
    TaintModel.TIHO: _take_tainted_first,
}
