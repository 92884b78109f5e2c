"""Verifying a whole log against its signed roots: finds entries that were changed, removed or added.

One pass over the rows; memory grows only with the logarithm of the log's size and the number of checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from walletwatch.audit.leaves import AuditEntry, entry_hash
from walletwatch.audit.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, Tree
from walletwatch.audit.notes import InvalidNote, VerifyingKey, open_checkpoint
from walletwatch.audit.verdicts import MAX_PROBLEMS, LogProblem, Verification

Progress = Callable[[int, int | None], None]
"""Called regularly with the number of entries done and, if known, of all entries."""

_PROGRESS_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """The log's stored head; `frontier` as written by `Frontier.to_bytes`."""

    size: int
    root: bytes
    frontier: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """A root that was deposited elsewhere; `where` says where, for people."""

    size: int
    root: bytes
    where: str


@dataclass(slots=True)
class _LogScan:
    """The state of the pass. `good` is the largest size that agrees with a signed root; `broken` is set at the first
    missing row, after which no root can be recomputed. `tree` has the stored hashes. `contents`, which begins at the
    first row with a wrong hash, has the hashes of the contents: the one with the signed root shows what was changed.
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
    """Recompute every leaf and the root of `entries` (rows in order of `seq`) and compare them with the stored head,
    every checkpoint, the anchors, and a checkpoint that was kept outside the database.
    """
    scan = _LogScan()
    marks = sorted(_read_marks(scan, checkpoints, vkey, anchors, outside_checkpoint), key=lambda mark: mark.size)
    pending = _check_roots(scan, marks)
    for entry in entries:
        _check_entry(scan, entry)
        if pending and pending[0].size <= scan.expected:
            pending = _check_roots(scan, pending)
        if progress is not None and scan.expected % _PROGRESS_EVERY == 0:
            progress(scan.expected, head.size if head is not None else None)
    for mark in pending:
        lost = _missing(scan.expected, mark.size)
        message = f"{mark.where} covers {mark.size} entries, the log has {scan.expected}: {lost}"
        scan.report("cut", message, scan.expected)
    _check_head(scan, head)
    signed = max((mark.size for mark in marks), default=0)
    return Verification(
        size=scan.expected,
        root=None if scan.broken else scan.tree.root(),
        signed_size=min(signed, scan.expected),
        checkpoints=len(marks),
        problems=tuple(scan.problems),
        notices=(f"entries from {scan.good} on could not be checked against a signed root",)
        if scan.broken or pending
        else (),
    )


def _read_marks(
    scan: _LogScan, notes: Iterable[str], vkey: VerifyingKey, anchors: Sequence[Anchor], outside: str | None
) -> Iterator[Anchor]:
    """Every signed or deposited root; signatures are checked."""
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
        yield replace(anchor, where=f"the anchor at {anchor.where} (size {anchor.size})")


def _check_entry(scan: _LogScan, entry: AuditEntry) -> None:
    """Check one row and append it to the trees."""
    if entry.seq != scan.expected and _out_of_order(scan, entry):
        return
    stored, found = entry.leaf_hash, entry.leaf_hash
    try:
        found = entry_hash(entry)
    except ValueError as error:
        scan.report("changed", f"entry {entry.seq} cannot be read: {error}", entry.seq)
    if found != stored:
        scan.report("changed", f"entry {entry.seq} was changed: its content does not match its leaf hash", entry.seq)
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
    """Report a gap or a repeated row; returns whether the row must be skipped."""
    if not isinstance(entry.seq, int) or entry.seq < scan.expected:
        scan.report("order", f"found entry {entry.seq!r} where {scan.expected} was expected", scan.expected)
        return True
    scan.report("missing", _missing(scan.expected, entry.seq), scan.expected)
    scan.broken = True
    return False


def _missing(start: int, end: int) -> str:
    return f"entry {start} is missing" if end == start + 1 else f"entries {start} to {end - 1} are missing"


def _check_roots(scan: _LogScan, marks: list[Anchor]) -> list[Anchor]:
    """Compare the marks of the current size with the tree; returns those of larger sizes."""
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
    """Report a wrong root with the entries it concerns: those already reported, if only their hashes were changed, else
    any after the last root that agreed.
    """
    named = [p.seq for p in scan.problems if p.seq is not None and scan.good <= p.seq < mark.size]
    message = f"the log does not have the root of {mark.where}"
    if named and scan.contents is not None and scan.contents.root() == mark.root:
        scan.report(
            "root", f"{message}: the stored hash of entry {min(named)} was changed, its content was not", min(named)
        )
    else:
        span = f"an entry in {scan.good} to {mark.size - 1} was changed together with its hash"
        scan.report("root", f"{message}: {span}", scan.good)


def _check_head(scan: _LogScan, head: Head | None) -> None:
    if head is None:
        if scan.expected:
            scan.report("head", f"the stored head is missing, the log has {scan.expected} entries")
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
            f"those from {head.size} on were added without updating it",
            head.size,
        )
    elif not scan.broken and head.root != scan.tree.root():
        scan.report("head", f"the stored head's root is not that of the {scan.expected} entries")
    try:
        sound = (frontier := Frontier.from_bytes(head.frontier)).size == head.size and frontier.root() == head.root
    except ValueError:
        sound = False
    if not sound:
        scan.report("head", "the stored head is inconsistent: its frontier does not give its root")
