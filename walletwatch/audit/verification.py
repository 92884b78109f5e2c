"""Holding a whole log against what was signed: which entry was changed, which are missing, which were added.

One pass over the rows, in memory that grows with the logarithm of the log and with the number of checkpoints only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from walletwatch.audit.leaves import AuditEntry, entry_hash
from walletwatch.audit.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, Tree
from walletwatch.audit.notes import InvalidNote, VerifyingKey, open_checkpoint
from walletwatch.audit.verdicts import MAX_PROBLEMS, LogProblem, Verification

Progress = Callable[[int, int | None], None]
"""Called now and then with the entries done and, where known, how many there are."""

_PROGRESS_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """What the log's own head row says: `frontier` as `Frontier.to_bytes` wrote it."""

    size: int
    root: bytes
    frontier: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """A root that was deposited elsewhere; `place` says where, for a person."""

    size: int
    root: bytes
    place: str


@dataclass(slots=True)
class _LogScan:
    """The state of the pass. `good` is the largest size known to agree with a signed root; `broken` is set from the
    first missing row on, behind which no root can be recomputed. `tree` grows by the stored hashes; `contents`, from
    the first row on whose hash does not fit, by those of the contents: whichever gives the root tells what was changed.
    """

    tree: Tree = field(default_factory=Tree)
    contents: Tree | None = None
    expected: int = 0
    good: int = 0
    broken: bool = False
    problems: list[LogProblem] = field(default_factory=list)

    def report(self, kind: str, message: str, seq: int | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(LogProblem(kind, message, seq))


def verify_log(
    entries: Iterable[AuditEntry],
    *,
    head: Head | None,
    checkpoints: Iterable[str],
    vkey: VerifyingKey,
    anchors: Sequence[Anchor] = (),
    outside_checkpoint: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Recompute every leaf and the root of `entries` (rows in order of `seq`) and hold them against the stored head,
    every checkpoint, the anchors, and a checkpoint that was kept outside the database.
    """
    scan = _LogScan()
    marks = sorted(_read_marks(scan, checkpoints, vkey, anchors, outside_checkpoint), key=lambda mark: mark.size)
    pending = _agree(scan, marks)
    for entry in entries:
        _take(scan, entry)
        if pending and pending[0].size <= scan.expected:
            pending = _agree(scan, pending)
        if progress is not None and scan.expected % _PROGRESS_EVERY == 0:
            progress(scan.expected, head.size if head is not None else None)
    _hold_to_sizes(scan, pending)
    _hold_to_head(scan, head)
    signed = max((mark.size for mark in marks), default=0)
    return Verification(
        size=scan.expected,
        root=None if scan.broken else scan.tree.root(),
        signed_size=min(signed, scan.expected),
        checkpoints=len(marks),
        problems=tuple(scan.problems),
        notices=(f"entries from {scan.good} on could not be held to a signed root",) if scan.broken or pending else (),
    )


def _read_marks(
    scan: _LogScan, notes: Iterable[str], vkey: VerifyingKey, anchors: Sequence[Anchor], outside: str | None
) -> Iterator[Anchor]:
    """Every signed or deposited root, after its signature was checked."""
    sources = [(note, f"stored checkpoint {n}") for n, note in enumerate(notes, 1)]
    if outside is not None:
        sources.append((outside, "the checkpoint kept outside"))
    for note, where in sources:
        try:
            checkpoint = open_checkpoint(note, vkey)
        except InvalidNote as error:
            scan.report("checkpoint", f"{where} is not valid: {error}")
            continue
        yield Anchor(checkpoint.size, checkpoint.root, f"{where} (size {checkpoint.size})")
    for anchor in anchors:
        yield replace(anchor, place=f"the anchor at {anchor.place} (size {anchor.size})")


def _take(scan: _LogScan, entry: AuditEntry) -> None:
    """Check one row and grow the trees by it."""
    if entry.seq != scan.expected and _out_of_order(scan, entry):
        return
    stored, found = entry.leaf_hash, entry.leaf_hash
    try:
        found = entry_hash(entry)
    except ValueError as error:
        scan.report("changed", f"entry {entry.seq} cannot be read: {error}", entry.seq)
    if found != stored:
        scan.report("changed", f"entry {entry.seq} was changed: its content does not fit its leaf hash", entry.seq)
    if not isinstance(stored, bytes) or len(stored) != HASH_BYTES:
        scan.broken = True
    elif not scan.broken:
        if found != stored and scan.contents is None:
            scan.contents = Tree(scan.tree.frontier())
        scan.tree.push(stored)
        if scan.contents is not None:
            scan.contents.push(found)
    scan.expected = entry.seq + 1


def _out_of_order(scan: _LogScan, entry: AuditEntry) -> bool:
    """Report a gap or a repeat; True if the row must be passed over."""
    if not isinstance(entry.seq, int) or entry.seq < scan.expected:
        scan.report("order", f"entry {entry.seq!r} stands where {scan.expected} was expected", scan.expected)
        return True
    scan.report("missing", _missing(scan.expected, entry.seq), scan.expected)
    scan.broken = True
    return False


def _missing(start: int, end: int) -> str:
    return f"entry {start} is missing" if end == start + 1 else f"entries {start} to {end - 1} are missing"


def _agree(scan: _LogScan, marks: list[Anchor]) -> list[Anchor]:
    """Hold the marks that are of the present size to the tree; returns those of larger sizes."""
    later = [mark for mark in marks if mark.size > scan.expected]
    for mark in marks[: len(marks) - len(later)]:
        if scan.broken or mark.size != scan.expected:
            continue
        if (scan.tree.root() if mark.size else EMPTY_ROOT) == mark.root:
            scan.good = mark.size
        else:
            _report_root(scan, mark)
    return later


def _report_root(scan: _LogScan, mark: Anchor) -> None:
    """Say which entries a wrong root is about: those already named, if only their hashes were changed, else any since
    the last root that agreed.
    """
    named = [p.seq for p in scan.problems if p.seq is not None and scan.good <= p.seq < mark.size]
    what = f"the log does not have the root that {mark.place} has"
    if named and scan.contents is not None and scan.contents.root() == mark.root:
        scan.report(
            "root", f"{what}: the stored hash of entry {min(named)} was changed, its content was not", min(named)
        )
    else:
        span = f"an entry in {scan.good} to {mark.size - 1} was changed together with its hash"
        scan.report("root", f"{what}: {span}", scan.good)


def _hold_to_sizes(scan: _LogScan, unreached: Sequence[Anchor]) -> None:
    for mark in unreached:
        lost = _missing(scan.expected, mark.size)
        scan.report(
            "cut", f"{mark.place} covers {mark.size} entries, the log has {scan.expected}: {lost}", scan.expected
        )


def _hold_to_head(scan: _LogScan, head: Head | None) -> None:
    if head is None:
        if scan.expected:
            scan.report("head", f"the stored head is gone, the log has {scan.expected} entries")
        return
    if head.size > scan.expected:
        lost = _missing(scan.expected, head.size)
        scan.report(
            "cut", f"the stored head says {head.size} entries, the log has {scan.expected}: {lost}", scan.expected
        )
    elif head.size < scan.expected:
        scan.report(
            "appended",
            f"the stored head says {head.size} entries, the log has {scan.expected}: "
            f"those from {head.size} on were added past it",
            head.size,
        )
    elif not scan.broken and head.root != scan.tree.root():
        scan.report("head", f"the stored head's root is not that of the {scan.expected} entries")
    try:
        sound = (frontier := Frontier.from_bytes(head.frontier)).size == head.size and frontier.root() == head.root
    except ValueError:
        sound = False
    if not sound:
        scan.report("head", "the stored head contradicts itself: its frontier does not give its root")
