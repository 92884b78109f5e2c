"""What a chain's worker keeps in memory, all of it rebuilt from the store: the watch set and the known payees.

What a transaction taught is gathered, block by block. After a failed transaction the whole is loaded again, so that
memory is never ahead of the database when the next one begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chains.model import Address, BlockFacts, Outpoint, TxId, TxOutput, UtxoTransaction
from chains.source import WatchSet
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.store import UnitOfWork


@dataclass(slots=True)
class Learned:
    """What one block will have taught us, if its transaction commits."""

    created: dict[Outpoint, TxOutput] = field(default_factory=dict)
    spent: list[Outpoint] = field(default_factory=list)
    payees: list[Address] = field(default_factory=list)
    suspects: set[bytes] = field(default_factory=set)


class WatchMemory:
    """One chain's memory. Owned by its worker thread."""

    def __init__(self, deployment: Deployment, chain: WatchedChain) -> None:
        self._deployment = deployment
        self._chain = chain
        self.watch = WatchSet()
        self.payees = PayeeIndex()
        self.learned = Learned()
        self.dull: set[TxId] = set()
        """Pending transactions that do not concern us; forgotten with each block."""

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

    def foresee(self, facts: BlockFacts) -> None:
        """Look for the spending of what `facts` pays us in the blocks after it, though it is not kept yet."""
        own = self._chain.perimeter.wallet_of
        for tx in facts.transactions:
            if isinstance(tx, UtxoTransaction):
                self.watch.outpoints.update({Outpoint(tx.txid, o.vout): o for o in tx.outputs if own(o.address)})

    def learn(self) -> None:
        """What the block taught counts from the next one on. Whoever calls this within a transaction loads anew if that
        fails.
        """
        learned, self.learned = self.learned, Learned()
        self.watch.outpoints.update(learned.created)
        for outpoint in learned.spent:
            self.watch.outpoints.pop(outpoint, None)
        self.watch.addresses.update(learned.suspects)
        for address in learned.payees:
            self.payees.add(address)
