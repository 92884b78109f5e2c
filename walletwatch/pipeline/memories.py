"""What a chain's worker keeps in memory, all of it rebuilt from the store: the watch set and the known payees.

A transaction notes what it learned; only a commit makes that known. After a failed transaction the whole is loaded
again, so that memory can never be ahead of the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chains.model import Address, Outpoint, TxId, TxOutput
from chains.source import WatchSet
from walletwatch.pipeline.deployments import Deployment, WatchedChain
from walletwatch.rules.resemblances import PayeeIndex
from walletwatch.store import UnitOfWork


@dataclass(slots=True)
class Learned:
    """What one transaction will have taught us, if it commits."""

    created: dict[Outpoint, TxOutput] = field(default_factory=dict)
    spent: list[Outpoint] = field(default_factory=list)
    payees: list[Address] = field(default_factory=list)
    suspects: set[bytes] = field(default_factory=set)


class Memory:
    """One chain's memory. Owned by its worker thread."""

    def __init__(self, deployment: Deployment, chain: WatchedChain) -> None:
        self._deployment = deployment
        self._chain = chain
        self.watch = WatchSet()
        self.payees = PayeeIndex()
        self.learned = Learned()
        self.dull: set[TxId] = set()
        """Pending transactions that were looked at and mean nothing to us; forgotten with each block."""

    def load(self, unit: UnitOfWork) -> None:
        """Everything anew from the store."""
        chain = self._chain.chain
        self.learned = Learned()
        if self._chain.perimeter.ranges:
            used = set(unit.ledger.used_addresses(chain))
            while self._chain.perimeter.use(used):  # what was used beyond the first gap is known once that has moved
                pass
        self.watch.addresses.clear()
        self.watch.addresses.update(self._chain.perimeter.keys())
        self.watch.outpoints.clear()
        self.watch.outpoints.update(unit.ledger.unspent(chain))
        self.payees = PayeeIndex(allowlisted=self._deployment.allowlisted.get(chain, ()))
        for address, _at, _tx in unit.outflows.payees(chain):
            self.payees.add(address)

    def commit(self) -> None:
        """The transaction that learned this is durable."""
        learned, self.learned = self.learned, Learned()
        self.watch.outpoints.update(learned.created)
        for outpoint in learned.spent:
            self.watch.outpoints.pop(outpoint, None)
        self.watch.addresses.update(learned.suspects)
        for address in learned.payees:
            self.payees.add(address)
