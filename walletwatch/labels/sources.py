"""Importing label sources: files and folders, whose format is recognised by file name; label CSV is read here."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import orjson

from walletwatch.domain.labels import CATEGORIES, Label
from walletwatch.labels.imports import (
    ANY_CHAIN,
    MAX_TEXT,
    AddressParser,
    LabelFileError,
    LabelImport,
    Progress,
    check_address,
    read_confidence,
    read_moment,
)
from walletwatch.labels.ofac import asset_of_file, read_history, read_list
from walletwatch.labels.tagpacks import MAX_BYTES, read_tagpack

REQUIRED = ("address", "label", "category")
OPTIONAL = ("chain", "source", "confidence", "valid_from", "expires_at")
MAX_LINE = 16_384
DEFAULT_CONFIDENCE_MILLI = 500


def read_csv(lines: Iterable[str], file: str, parse: AddressParser) -> LabelImport:
    """Read label CSV; bad rows are reported in the result. Raises LabelFileError for a bad header (CONTRACT §2)."""
    result = LabelImport()
    rows = csv.reader(_bounded_rows(lines), strict=True)
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


def _bounded_rows(lines: Iterable[str]) -> Iterator[str]:
    """The lines, with overlong ones replaced by a line that csv refuses: csv has no limit of its own."""
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
            raise LabelFileError(f"{file}:1: duplicate column {column!r}")
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise LabelFileError(f"{file}:1: missing column {', '.join(missing)}")
    return header


def _read_row(header: list[str], row: list[str], parse: AddressParser) -> Label:
    if len(row) != len(header):
        raise ValueError(f"{len(row)} cells, but the header has {len(header)}")
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


MAX_FILES = 10_000
MAX_CSV_BYTES = 1024 * 1024 * 1024


def import_source(path: Path, parse: AddressParser, progress: Progress | None = None) -> LabelImport:
    """Read every label in a file, or in the label files of a folder and its subfolders.

    `.csv` is label CSV, `.yaml` a TagPack, `sanctioned_addresses_*.txt|json` and `ofac_history.tsv` OFAC's lists. Other
    files in a folder (READMEs, licences, actor packs) are ignored; a file given by name must be one of these.
    Raises LabelFileError for a file that cannot be read; in a folder it is a problem of that file only.
    """
    if not path.is_dir():
        if not _is_label_file(path):
            raise LabelFileError(
                f"{path}: not a label source (.csv, .yaml, sanctioned_addresses_*.txt, ofac_history.tsv)"
            )
        return _import_files([path], parse, progress, alone=True)
    files = sorted(file for file in _walk(path) if _is_label_file(file))
    if not files:
        raise LabelFileError(f"{path}: no label files in this folder")
    if any(file.name == "ofac_history.tsv" for file in files):  # has the same addresses as the lists, with dates
        files = [file for file in files if asset_of_file(file.name) is None]
    return _import_files(files, parse, progress, alone=False)


def _walk(folder: Path) -> list[Path]:
    files: list[Path] = []
    for file in folder.rglob("*"):
        if file.is_file():
            files.append(file)
        if len(files) > MAX_FILES:
            raise LabelFileError(f"{folder}: more than {MAX_FILES} files")
    return files


def _is_label_file(path: Path) -> bool:
    return (
        path.suffix.lower() in (".csv", ".yaml", ".yml")
        or path.name == "ofac_history.tsv"
        or asset_of_file(path.name) is not None
    )


def _import_files(files: list[Path], parse: AddressParser, progress: Progress | None, *, alone: bool) -> LabelImport:
    result = LabelImport()
    try:
        sizes = [file.stat().st_size for file in files]
    except OSError as error:
        raise LabelFileError(f"{error.filename}: {error.strerror}") from error
    done = 0
    for file, size in zip(files, sizes, strict=True):
        try:
            result.add(_import_file(file, size, parse))
        except LabelFileError as error:
            if alone:
                raise
            if not file.name.endswith(".actorpack.yaml"):
                result.refuse(str(file), 0, str(error).removeprefix(f"{file}:").strip())
        done += size
        if progress is not None:
            progress(done, sum(sizes))
    return result


def _import_file(file: Path, size: int, parse: AddressParser) -> LabelImport:
    name, asset = str(file), asset_of_file(file.name)
    limit = MAX_CSV_BYTES if file.suffix.lower() == ".csv" else MAX_BYTES
    if size > limit:
        raise LabelFileError(f"{file}: larger than {limit >> 20} MiB")
    try:
        if file.suffix.lower() in (".yaml", ".yml"):
            return read_tagpack(file.read_bytes(), name, parse)
        if asset is not None and file.suffix == ".json":
            return read_list(_json_texts(file), asset, name, parse)
        with file.open(encoding="utf-8", newline="") as lines:
            if asset is not None:
                return read_list(_bounded(lines), asset, name, parse)
            return (read_csv if file.suffix.lower() == ".csv" else read_history)(_bounded(lines), name, parse)
    except OSError as error:
        raise LabelFileError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabelFileError(f"{file}: not UTF-8 at byte {error.start}") from error


def _bounded(file: IO[str]) -> Iterator[str]:
    """The lines, an overlong one in pieces: the readers refuse those."""
    while line := file.readline(MAX_LINE + 1):
        yield line


def _json_texts(file: Path) -> list[str]:
    try:
        body = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise LabelFileError(f"{file}: not JSON: {error}") from error
    if not isinstance(body, list) or not all(isinstance(item, str) for item in body):
        raise LabelFileError(f"{file}: not a list of addresses")
    return cast("list[str]", body)
