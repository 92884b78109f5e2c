"""A vendor's export as a source of acts: a JSON file that is replaced by a newer one, record by record.

Such a file is no log: records change as approvals come in, and an export may begin later than the one before. A record
is read again when it changed; what it says again is a duplicate, and a request whose content changed is a finding like
any second request under a known id.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from walletwatch.approvals.act_files import write_unsigned
from walletwatch.approvals.act_sources import FeedUnreadable, Taken
from walletwatch.approvals.acts import Malformed, ParseAddress, malformed_line, parse_act
from walletwatch.approvals.documents import Unreadable, parse_json
from walletwatch.approvals.read_times import MAX_LATE
from walletwatch.approvals.signatures import KeyRing
from walletwatch.approvals.vendors.bitgo import read_approval
from walletwatch.approvals.vendors.fireblocks import read_transaction
from walletwatch.approvals.vendors.records import ReadRecord, Record, RequestTerms, VendorAct
from walletwatch.approvals.vendors.safe import mark_replaced, read_multisig
from walletwatch.domain.withdrawals import Act, Grade

READERS: Mapping[str, ReadRecord] = {
    "fireblocks": read_transaction,
    "bitgo": read_approval,
    "safe": read_multisig,
}
"""How a record of each vendor is read."""

MAX_FILE = 32 * 1024 * 1024
"""Reading 19 MB (20,000 transactions) took 2.2 s: exports of the last days are enough, what was read is known."""
MAX_RECORDS = 100_000
MAX_DEPTH = 40
"""Decoded calls of a Safe transaction nest deeply."""
PAGE = 500
"""Changed records of one look."""
_LISTS = ("results", "transactions", "pendingApprovals", "transfers")
_IDS = ("safeTxHash", "id")


@dataclass(frozen=True, slots=True)
class _Item:
    """A record with digests of what the vendor calls it, and of all of it."""

    record: Any
    name: str
    digest: str

    @classmethod
    def of(cls, record: Any) -> _Item:
        text = _text(record)
        name = _name(record) or text
        return cls(record, hashlib.sha256(name).hexdigest()[:32], hashlib.sha256(text).hexdigest()[:32])


@dataclass(frozen=True, slots=True)
class _Export:
    records: list[_Item]
    digest: str
    """SHA-256 of the file."""


@dataclass(slots=True)
class ExportFeed:
    """An export of `vendor`. Not thread-safe: whoever looks holds the approval service."""

    name: str
    path: Path
    vendor: str
    terms: RequestTerms
    ring: KeyRing
    parse_address: ParseAddress
    silent_after: timedelta | None = None
    max_late: timedelta = MAX_LATE
    _parsed: tuple[tuple[str, ...], _Export] | None = field(default=None, repr=False)
    """What the file system said of the file, and what it holds: kept from page to page."""

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def read_new(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
        """The acts of records that are new or changed, a page of them. Raises FeedUnreadable."""
        stamp = _stamp(self.path)
        if position.get("stamp") == list(stamp):
            return None
        if self._parsed is None or self._parsed[0] != stamp:
            self._parsed = (stamp, _read_export(self.path, self.vendor))
        export = self._parsed[1]
        seen: dict[str, list[Any]] = dict(position.get("seen", {}))
        changed, more = _changed(export.records, seen)
        answers = [answer for number, record in changed for answer in self._read(number, record, now)]
        if not more:
            self._parsed = None
        return Taken(
            tuple(a for a in answers if isinstance(a, Act)),
            tuple(a for a in answers if isinstance(a, Malformed)),
            {"stamp": [] if more else list(stamp), "seen": seen},
            export.digest,
            begins=changed[0][0] if changed else 0,
            counted="record",
            more=more,
            exported=True,
        )

    def _read(self, number: int, record: Any, now: datetime) -> list[Act | Malformed]:
        try:
            read = READERS[self.vendor](_object(record), self.terms)
            return [self._act(said, number, now) for said in read]
        except Unreadable as error:
            return [malformed_line(_text(record), str(error), feed=self.name, line_no=number, read_at=now)]

    def _act(self, said: VendorAct, number: int, now: datetime) -> Act:
        line = write_unsigned(said.payload).rstrip(b"\n")
        answer = parse_act(
            line,
            feed=self.name,
            line_no=number,
            signatures="none",
            people=self.ring,
            parse_address=self.parse_address,
            read_at=now,
        )
        if isinstance(answer, Malformed):
            raise Unreadable(answer.error)
        refused, reason = (said.refused, said.reason) if said.refused else (answer.refused, answer.reason)
        signed = said.grade is Grade.SAFE_SIGNATURE
        return replace(answer, vouched=said.grade, kid=said.kid, signed=signed, refused=refused, reason=reason)


def _stamp(path: Path) -> tuple[str, ...]:
    try:
        s = path.stat()
    except OSError as error:
        raise FeedUnreadable(f"{path}: {error.strerror}") from None
    return tuple(str(part) for part in (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))


def _read_export(path: Path, vendor: str) -> _Export:
    """What the file holds. Raises FeedUnreadable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FeedUnreadable(f"{path}: is not a regular file")
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise FeedUnreadable(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_FILE:
        raise FeedUnreadable(f"{path}: is larger than {MAX_FILE} bytes")
    try:
        records = parse_records(raw)
        records = mark_replaced(records) if vendor == "safe" else records
    except Unreadable as error:
        raise FeedUnreadable(f"{path}: {error}") from None
    return _Export([_Item.of(record) for record in records], hashlib.sha256(raw).hexdigest())


def parse_records(raw: bytes) -> list[Any]:
    """A list of records, an answer of the vendor's API that holds one, a single record, or one record a line. Raises
    Unreadable.
    """
    lines = raw.splitlines()
    if len(lines) > 1 and all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines if line.strip()):
        value: Any = [parse_json(line, "a line", MAX_DEPTH, Decimal) for line in lines if line.strip()]
    else:
        value = parse_json(raw, "the export", MAX_DEPTH, Decimal)
    if isinstance(value, dict):
        held = next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)
        value = [value] if held is None else held
    if not isinstance(value, list):
        raise Unreadable("the export is no list of records")
    if len(value) > MAX_RECORDS:
        raise Unreadable(f"the export has more than {MAX_RECORDS} records")
    return value


def _changed(items: Sequence[_Item], seen: dict[str, list[Any]]) -> tuple[list[tuple[int, Any]], bool]:
    """(number, record) of a page of records that are new or not as they were, noted in `seen`; whether there are more.
    A record's number is its place in the order in which records were first seen.
    """
    found: list[tuple[int, Any]] = []
    for item in items:
        number, known = seen.get(item.name, (len(seen) + 1, ""))
        if known == item.digest:
            continue
        if len(found) == PAGE:
            return found, True
        seen[item.name] = [number, item.digest]
        found.append((number, item.record))
    return found, False


def _name(record: Record) -> bytes:
    """What the vendor calls the record, empty if it has no name."""
    known = [record.get(key) for key in _IDS] if isinstance(record, dict) else []
    return next((name.encode("utf-8", "surrogatepass") for name in known if isinstance(name, str) and name), b"")


def _object(record: Any) -> Record:
    if not isinstance(record, dict):
        raise Unreadable("the record is no object")
    return record


def _text(record: Any) -> bytes:
    return json.dumps(record, sort_keys=True, default=str).encode()
