"""What one destination was paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.model import AssetId, TxId
from walletwatch.store.histories import PastOutflow, Receipt


@dataclass(slots=True)
class Reach:
    """The longest window over the payments to a destination that any rule asked for, in seconds: the next subject's
    payments are read once for all rules.
    """

    secs: int = 0


def add_up(receipts: Sequence[Receipt], wallet: str | None, asset: AssetId | None) -> list[PastOutflow]:
    """The outflows of a wallet and asset (None: any) that paid, newest first, each with what it paid: a payment that
    several wallets made counts on the first judged.
    """
    if len(receipts) == 1:
        row, _, paid = receipts[0]
        fits = wallet in (None, row.wallet) and asset in (None, row.asset)
        return [row if paid == row.amount else row._replace(amount=paid)] if fits else []
    found: dict[str, PastOutflow] = {}
    counted: set[tuple[TxId, AssetId, int]] = set()
    for row, payment, paid in receipts:
        if wallet not in (None, row.wallet) or asset not in (None, row.asset):
            continue
        name = (row.tx, row.asset, payment)
        if name not in counted:
            counted.add(name)
            known = found.get(row.id)
            found[row.id] = row._replace(amount=paid if known is None else known.amount + paid)
    return list(reversed(found.values()))
