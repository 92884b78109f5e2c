"""Asking a second endpoint where much hangs on one node's word: before a block is taken back, and after a critical
finding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from chains.errors import BlockGone, ChainError
from chains.model import BlockRef, format_hash
from chains.source import ChainSource, GivesSecondOpinion
from walletwatch.domain.findings import Finding, Severity
from walletwatch.pipeline.deployments import WatchedChain

_log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=60)
"""Endpoints differ for seconds while a reorg spreads. One that insists longer does not stop the watch: taking a block
back can be undone.
"""


class SecondOpinions:
    """One chain's. `tell` makes a finding of a rule, a summary and a period, at most one for each."""

    def __init__(self, watched: WatchedChain, source: ChainSource, tell: Callable[[str, str, str], None]) -> None:
        self._watched = watched
        self._source = source
        self._tell = tell
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

    def confirm_findings(self, ref: BlockRef, findings: Iterable[Finding]) -> None:
        """Tell if a critical finding rests on a block that another endpoint does not have. The alert went out before:
        it is late to be silent about a theft, and not to say that a node may be lying.
        """
        if any(finding.severity is Severity.CRITICAL for finding in findings):
            self._other_than(ref)

    def _other_than(self, ref: BlockRef) -> BlockRef | None:
        """The block another endpoint has at `ref.height` if it is not `ref`, which is told. None if it agrees, knows
        none there, or there is no other endpoint that answers.
        """
        if not isinstance(self._source, GivesSecondOpinion):
            return None
        try:
            other = self._source.second_ref_at(ref.height)
        except ChainError as error:
            _log.debug("no second opinion on block %s: %s", ref, error)
            return None
        if other == ref:
            return None
        hashes = " or ".join(format_hash(self._watched.chain, block.hash) for block in (ref, other))
        summary = f"{self._watched.name}: the endpoints disagree on block {ref.height}: {hashes}"
        self._tell("node_disagreement", summary, f"{ref.height}/{other.hash.hex()[:16]}")
        return other
