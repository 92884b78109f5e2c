"""The whole pipeline over a range of blocks, in a database of its own: `record`, `replay`, `scan`. Nothing is sent, and
no cursor of the watch is moved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from chains.captures import CaptureRange, read_range, write_range
from chains.errors import BlockGone, Unsupported
from chains.model import Address, BlockFacts, BlockRef, PendingFacts, TxId
from chains.registry import open_source
from chains.source import ChainSource, DelegatingSource, Unspent, WatchSet
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.times import utc_now
from walletwatch.labels.label_book import LabelBook
from walletwatch.service.application import Application
from walletwatch.settings import Settings
from walletwatch.settings.chains import ChainSettings
from walletwatch.store import Store, open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import ChainWorker, Tick

Progress = Callable[[int, int], None]
"""Called with (blocks done, blocks in all)."""

_MAX_FAILURES = 20


class TrialFailed(Exception):
    """The node did not answer to the end; the message says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the pipeline said of a range."""

    covered: CaptureRange
    outflows: tuple[Outflow, ...]
    findings: tuple[Finding, ...]


class BoundedSource(DelegatingSource):
    """A source whose chain ends at `high`, without a mempool: the past, and nothing of now."""

    def __init__(self, inner: ChainSource, high: int) -> None:
        super().__init__(inner)
        self._high = high

    def tip(self) -> BlockRef:
        """The block at `high`."""
        return self.inner.ref_at(self._high)

    def ref_at(self, height: int) -> BlockRef:
        """Raises BlockGone above `high`."""
        self._check(height)
        return self.inner.ref_at(height)

    def final_height(self) -> int:
        """As the inner source, at most `high`."""
        return min(self.inner.final_height(), self._high)

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """Raises BlockGone above `high`."""
        self._check(height)
        return self.inner.block(height, watch)

    def past_block(self, height: int, watch: WatchSet, txids: Iterable[TxId]) -> BlockFacts:
        """Raises BlockGone above `high`."""
        self._check(height)
        return self.inner.past_block(height, watch, txids)

    def pending(self, watch: WatchSet) -> PendingFacts:  # noqa: ARG002 - the port's signature
        """Nothing: the past has no mempool."""
        return PendingFacts(self.chain, utc_now(), (), supported=False)

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:  # noqa: ARG002 - the port's signature
        """Raises Unsupported: a node lists what is unspent now, not then."""
        raise Unsupported("unspent outputs of the past cannot be listed")

    def wait(self, timeout_secs: float) -> None:
        """Nothing to wait for."""

    def _check(self, height: int) -> None:
        if height > self._high:
            raise BlockGone(f"the range ends at {self._high}")


def record(settings: Settings, covered: CaptureRange, path: Path, progress: Progress | None = None) -> Trial:
    """Run the pipeline over the range and keep every answer of the node in `path`."""
    write_range(path, covered)
    chain = settings.chain(str(covered.chain))
    return _run(settings, chain, open_source(settings.source_spec(chain, path)), covered, progress)


def replay(settings: Settings, path: Path, progress: Progress | None = None) -> Trial:
    """Run the pipeline on a capture. Raises ValueError for a file that is none, or of a chain not configured."""
    covered = read_range(path)
    chain = settings.chain(str(covered.chain))
    spec = settings.source_spec(chain)
    recorded = replace(spec.endpoints[0], name=path.name, url=f"recorded:{path}", cookie_file=None, notifier_url="")
    return _run(settings, chain, open_source(replace(spec, endpoints=(recorded,))), covered, progress)


def scan(settings: Settings, covered: CaptureRange, progress: Progress | None = None) -> Trial:
    """Judge past blocks. Raises TrialFailed, or the errors of `chains.errors`."""
    chain = settings.chain(str(covered.chain))
    return _run(settings, chain, open_source(settings.source_spec(chain)), covered, progress)


def _run(
    settings: Settings, chain: ChainSettings, source: ChainSource, covered: CaptureRange, progress: Progress | None
) -> Trial:
    with _scratch() as store:
        app = Application(settings, store, labels=LabelBook())
        try:
            app.deployment.chains[chain.id].start = covered.low
            worker = app.worker(chain, BoundedSource(source, covered.high))
            _drive(worker, covered, progress)
            with store.reading() as unit:
                return Trial(
                    covered, tuple(unit.outflows.find(Filter())), tuple(unit.findings.find(Filter(chain=str(chain.id))))
                )
        finally:
            source.close()
            app.close()


@contextmanager
def _scratch() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="walletwatch-trial-") as folder:
        store = open_store(f"sqlite:///{folder}/trial.db")
        store.upgrade()
        yield store


def _drive(worker: ChainWorker, covered: CaptureRange, progress: Progress | None) -> None:
    failures = 0
    while True:
        tick = worker.tick()
        if tick is Tick.INGESTED and worker.position is not None and progress is not None:
            progress(worker.position.height - covered.low + 1, covered.high - covered.low + 1)
        failures = failures + 1 if tick is Tick.FAILED else 0
        if worker.halted or failures > _MAX_FAILURES:
            raise TrialFailed(worker.halted or worker.last_error)
        if worker.synced:
            return
        if tick is Tick.FAILED:
            worker.source.wait(0.5)
