"""Label CSV (CONTRACT §2): `address,label,category` and, optionally, chain, source, confidence and validity."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from walletwatch.domain.labels import CATEGORIES, Label
from walletwatch.labels.addresses import ANY_CHAIN, check_address
from walletwatch.labels.imports import (
    MAX_TEXT,
    AddressParser,
    LabelFileError,
    LabelImport,
    read_confidence,
    read_moment,
)

REQUIRED = ("address", "label", "category")
OPTIONAL = ("chain", "source", "confidence", "valid_from", "expires_at")
MAX_LINE = 16_384
DEFAULT_CONFIDENCE_MILLI = 500


def read_csv(lines: Iterable[str], file: str, parse: AddressParser) -> LabelImport:
    """Read label CSV, good rows and bad. Raises LabelFileError for a header that is not as CONTRACT says."""
    result = LabelImport()
    rows = csv.reader(_bounded(lines), strict=True)
    header = _read_header(rows, file)
    while True:
        try:
            row = next(rows, None)
        except (csv.Error, ValueError) as error:
            result.refuse(file, rows.line_num, f"not CSV: {error}")
            continue
        if row is None:
            return result
        if not any(cell.strip() for cell in row):
            continue
        try:
            result.labels.append(_read_row(header, row, parse))
        except ValueError as error:
            result.refuse(file, rows.line_num, str(error))


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    """The lines, none of them long: csv would buffer a file without line ends whole. A bad one is an empty line."""
    for line in lines:
        yield line if len(line) <= MAX_LINE else '"too long"x\n'


def _read_header(rows: Iterator[list[str]], file: str) -> list[str]:
    try:
        cells = next(rows, [])
    except csv.Error as error:
        raise LabelFileError(f"{file}:1: not CSV: {error}") from error
    header = [cell.strip().lstrip("\ufeff").lower() for cell in cells]
    for column in header:
        if column not in REQUIRED + OPTIONAL:
            known = ", ".join(REQUIRED + OPTIONAL)
            raise LabelFileError(f"{file}:1: unknown column {column[:80]!r} (known: {known})")
        if header.count(column) > 1:
            raise LabelFileError(f"{file}:1: column {column!r} stands twice")
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise LabelFileError(f"{file}:1: missing column {', '.join(missing)}")
    return header


def _read_row(header: list[str], row: list[str], parse: AddressParser) -> Label:
    if len(row) != len(header):
        raise ValueError(f"{len(row)} cells, the header has {len(header)}")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    for name, cell in cells.items():
        if len(cell) > MAX_TEXT:
            raise ValueError(f"{name} is longer than {MAX_TEXT} characters")
        if name in REQUIRED and not cell:
            raise ValueError(f"{name} is empty")
    if cells["category"] not in CATEGORIES:
        raise ValueError(f"unknown category {cells['category']!r} (known: {', '.join(sorted(CATEGORIES))})")
    chain = cells.get("chain") or ANY_CHAIN
    label = Label(
        chain=chain,
        address=check_address(chain, cells["address"], parse),
        label=cells["label"],
        category=cells["category"],
        source=cells.get("source", ""),
        confidence_milli=read_confidence(cells["confidence"]) if cells.get("confidence") else DEFAULT_CONFIDENCE_MILLI,
        valid_from=read_moment(cells["valid_from"]) if cells.get("valid_from") else None,
        expires_at=read_moment(cells["expires_at"]) if cells.get("expires_at") else None,
    )
    if label.valid_from is not None and label.expires_at is not None and label.expires_at <= label.valid_from:
        raise ValueError("expires_at is not after valid_from")
    return label
