"""Other ways to read what an account chain's transaction paid: transfer by transfer, or by who received it on the way.

An outflow's payments are net: one for each account where value came to rest. A request may be for one of several
transfers to that account, or for a contract that passed the value on at once (CONTRACT §3 "Keys and edges").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from chains.model import AssetId, ChainTransaction, Transfer, UtxoTransaction
from walletwatch.domain.wallets import Perimeter
from walletwatch.domain.withdrawals import FIRST_TRANSFER, Payment, Reading


def readings_of(
    tx: ChainTransaction, perimeter: Perimeter, asset: AssetId, payments: Sequence[Payment]
) -> tuple[Reading, ...]:
    """Every other reading of `payments`, which are what `tx` paid outside in `asset`, the smallest first.

    A reading stands only if it accounts for the same base units: nothing joined on the way, and nothing came back.
    """
    if isinstance(tx, UtxoTransaction):
        return ()
    transfers = [t for t in tx.transfers if t.asset == asset and t.amount and t.sender.key != t.receiver.key]
    if len(transfers) < 2:
        return ()
    return tuple(_Flow(transfers, perimeter, payments).readings())


class _Flow:
    """The transfers of one asset in one transaction, by account; `own` are the accounts inside the perimeter."""

    def __init__(self, transfers: Sequence[Transfer], perimeter: Perimeter, payments: Sequence[Payment]) -> None:
        self.into: dict[bytes, list[Transfer]] = defaultdict(list)
        self.out_of: dict[bytes, list[Transfer]] = defaultdict(list)
        addresses = {a.key: a for t in transfers for a in (t.sender, t.receiver)}
        self.own = {key for key, address in addresses.items() if perimeter.wallet_of(address) is not None}
        for transfer in transfers:
            self.into[transfer.receiver.key].append(transfer)
            self.out_of[transfer.sender.key].append(transfer)
        self.resting = {p.address.key: p for p in payments}

    def readings(self) -> Iterator[Reading]:
        """Splits of one payment, then what passed through one account, then what several accounts passed on."""
        for key, payment in self.resting.items():
            if len(self.into[key]) > 1 and not self.out_of[key]:
                yield Reading((payment,), _one_by_one(self.into[key]))
        senders = [key for key in self.out_of if key not in self.own]
        groups = {key: self._reached_from(key) for key in senders}
        for key in sorted(senders, key=lambda k: (len(groups[k]), self.into[k][0].ordinal if self.into[k] else 0)):
            yield from self._passed_on(groups[key], frozenset((key,)))
        for whole in self._joined(groups.values()):
            yield from self._passed_on(whole, whole)

    def _reached_from(self, key: bytes) -> frozenset[bytes]:
        found, waiting = {key}, [key]
        while waiting:
            nexts = {t.receiver.key for t in self.out_of[waiting.pop()]} - found - self.own
            found |= nexts
            waiting += nexts
        return frozenset(found)

    def _joined(self, groups: Iterable[frozenset[bytes]]) -> list[frozenset[bytes]]:
        """Groups that share an account, as one; those that were one group already are left out."""
        parts: list[frozenset[bytes]] = []
        known = set(groups)
        for group in sorted(known, key=sorted):
            shared = [part for part in parts if part & group]
            parts = [part for part in parts if not part & group] + [group.union(*shared)]
        return [part for part in parts if part not in known]

    def _passed_on(self, group: frozenset[bytes], doors: AbstractSet[bytes]) -> Iterator[Reading]:
        """What came into `group` from elsewhere, in place of where it came to rest there."""
        entered = [t for key in group for t in self.into[key] if t.sender.key not in group]
        left = any(t.receiver.key not in group for key in group for t in self.out_of[key])
        rests = tuple(p for key, p in self.resting.items() if key in group)
        if left or not rests or any(t.receiver.key not in doors for t in entered):
            return
        if sum(t.amount for t in entered) != sum(p.amount for p in rests):
            return
        merged, single = _by_receiver(entered), _one_by_one(entered)
        yield Reading(rests, merged)
        if len(single) > len(merged):
            yield Reading(rests, single)


def _one_by_one(transfers: Iterable[Transfer]) -> tuple[Payment, ...]:
    ordered = sorted(transfers, key=lambda t: t.ordinal)
    return tuple(Payment(FIRST_TRANSFER + t.ordinal, t.receiver, t.amount) for t in ordered)


def _by_receiver(transfers: Iterable[Transfer]) -> tuple[Payment, ...]:
    found: dict[bytes, Payment] = {}
    for payment in _one_by_one(transfers):
        first = found.get(payment.address.key, Payment(payment.ordinal, payment.address, 0))
        found[payment.address.key] = Payment(first.ordinal, first.address, first.amount + payment.amount)
    return tuple(found.values())
