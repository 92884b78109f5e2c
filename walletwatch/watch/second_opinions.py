"""Asking a second endpoint where much hangs on one node's word: before a block is taken back, and after a critical
finding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from chains.errors import BlockGone, ChainError, Unsupported
from chains.model import BlockFacts, BlockRef, ChainTransaction, UtxoTransaction
from chains.registry import format_hash
from chains.source import ChainSource
from walletwatch.deployment import WatchedChain
from walletwatch.domain.findings import Finding, Severity

_log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=60)
"""Endpoints differ for seconds while a reorg spreads. One that insists longer does not stop the watch: taking a block
back can be undone.
"""


class SecondOpinions:
    """One chain's. `report` makes a finding of a rule, a summary and a period, at most one for each."""

    def __init__(self, watched: WatchedChain, source: ChainSource, report: Callable[[str, str, str], None]) -> None:
        self._watched = watched
        self._source = source
        self._report = report
        self._since: datetime | None = None

    def confirm_reorg(self, seen: BlockRef, now: datetime) -> None:
        """`seen` stands where our block stood, says one endpoint. Raises BlockGone while another says otherwise, for
        `PATIENCE` at most.
        """
        other = self._other_than(seen)
        if other is None:
            self._since = None
            return
        self._since = self._since or now
        if now - self._since <= PATIENCE:
            raise BlockGone(f"the endpoints disagree on block {seen.height}: {seen.hash.hex()} or {other.hash.hex()}")

    def confirm_findings(self, facts: BlockFacts, findings: Iterable[Finding]) -> None:
        """Tell if a critical finding rests on a block that another endpoint does not have, or on a transaction whose
        inputs were worth something else by its word. The alert went out before: it is late to be silent about a theft,
        and not to say that a node may be lying.
        """
        accused = {finding.tx for finding in findings if finding.severity is Severity.CRITICAL}
        if not accused:
            return
        transactions = [tx for tx in facts.transactions if tx.txid in accused]
        self._compare(facts.ref, transactions)

    def _compare(self, ref: BlockRef, transactions: Sequence[ChainTransaction]) -> None:
        """A coin chain's block proves its transactions, and not what their inputs were: that is the node's word."""
        try:
            other_ref, others = self._source.second_transactions(ref.height, [tx.txid for tx in transactions])
        except Unsupported:
            self._other_than(ref)
            return
        except ChainError as error:
            _log.debug("no second opinion on block %s: %s", ref, error)
            return
        if other_ref != ref:
            self._report_blocks(ref, other_ref)
            return
        for tx, other in zip(transactions, others, strict=True):
            if _contradict(tx, other):
                text = format_hash(self._watched.chain, tx.txid)
                summary = f"{self._watched.name}: the endpoints disagree on what the inputs of {text} were"
                self._report("node_disagreement", summary, f"{ref.height}/{text[:16]}")

    def _other_than(self, ref: BlockRef) -> BlockRef | None:
        """The block another endpoint has at `ref.height` if it is not `ref`, which is reported. None if it agrees,
        knows none there, or there is no other endpoint that answers.
        """
        try:
            other = self._source.second_ref_at(ref.height)
        except ChainError as error:
            _log.debug("no second opinion on block %s: %s", ref, error)
            return None
        if other == ref:
            return None
        self._report_blocks(ref, other)
        return other

    def _report_blocks(self, ref: BlockRef, other: BlockRef) -> None:
        hashes = " or ".join(format_hash(self._watched.chain, block.hash) for block in (ref, other))
        summary = f"{self._watched.name}: the endpoints disagree on block {ref.height}: {hashes}"
        self._report("node_disagreement", summary, f"{ref.height}/{other.hash.hex()[:16]}")


def _contradict(ours: ChainTransaction, theirs: ChainTransaction | None) -> bool:
    """Whether two nodes report different inputs; what one of them does not know contradicts nothing."""
    if not isinstance(ours, UtxoTransaction) or not isinstance(theirs, UtxoTransaction):
        return False
    pairs = zip(ours.inputs, theirs.inputs, strict=False)
    known = ((a, b) for a, b in pairs if a.value is not None and b.value is not None)
    return any((a.outpoint, a.value, a.address) != (b.outpoint, b.value, b.address) for a, b in known)
