"""Loading a configuration: all errors at once, addresses from lists, files and descriptors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from chains.model import Address, ChainId
from chains.registry import family_of, parse_address
from chains.source import Branch
from walletwatch.settings.amounts import AmountReader
from walletwatch.settings.documents import read_documents
from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import SINGLES, PartialSettings, coin_id_of, read_partial_settings
from walletwatch.settings.problems import Problem, SettingsError
from walletwatch.settings.references import check_quorums, check_references, check_uniqueness
from walletwatch.settings.settings import Settings

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_LINE_CHARS = 200
MAX_REPORTED = 20
"""Problems reported for one file; an address file of another chain would have a million."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Modification time, size and inode of a file, by which changes are detected."""

    mtime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """The stamp of `path`, None if the file cannot be accessed."""
        try:
            stat = path.stat()
        except OSError:
            return None
        return cls(stat.st_mtime_ns, stat.st_size, stat.st_ino)


@dataclass(slots=True)
class AddressBook:
    """The wallet that owns each address. Holds each address once, since there may be a million."""

    by_wallet: dict[str, list[Address]] = field(default_factory=dict)
    owners: dict[ChainId, dict[bytes, str]] = field(default_factory=dict)
    branches: dict[str, list[Branch]] = field(default_factory=dict)
    """Ranged descriptors by wallet. Only their first address is derived here."""

    def add(self, wallet: str, chain: ChainId, text: str) -> str:
        """Add the address `text` to `wallet`. Returns an error message, empty on success."""
        try:
            address = parse_address(chain, text[:MAX_LINE_CHARS])
        except ValueError as error:
            return f"is not an address of {chain}: {error}"
        return self._own(wallet, chain, address)

    def add_descriptor(self, wallet: str, chain: ChainId, text: str) -> str:
        """Add the addresses of an output descriptor to `wallet`. Returns an error message, empty on success."""
        try:
            branches = family_of(chain).open_branches(chain, text)
        except ValueError as error:
            return f"is not a usable descriptor: {error}"
        self.branches.setdefault(wallet, []).extend(branch for branch in branches if branch.ranged)
        faults = [self._own(wallet, chain, address) for branch in branches for address in branch.derive(0, 1)]
        return next((fault for fault in faults if fault), "")

    def _own(self, wallet: str, chain: ChainId, address: Address) -> str:
        owners = self.owners.setdefault(chain, {})
        owner = owners.get(address.key)
        if owner is None:
            owners[address.key] = wallet
            self.by_wallet.setdefault(wallet, []).append(address)
        return _conflict(address, owner) if owner is not None and owner != wallet else ""

    def add_file(self, wallet: str, chain: ChainId, path: Path) -> Iterator[Problem]:
        """Add the addresses in `path` to `wallet`; yields a problem for each bad line, at most `MAX_REPORTED`."""
        bad_lines, known = 0, len(self.by_wallet.get(wallet, ()))
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                yield Problem(path, 0, "", f"the file is larger than {MAX_FILE_BYTES} bytes", "split it")
                return
            with path.open(encoding="utf-8", errors="replace") as lines:
                for number, message in self._add_lines(wallet, chain, lines):
                    bad_lines += 1
                    if bad_lines <= MAX_REPORTED:
                        yield Problem(path, number, "", message, "one address a line; # begins a comment")
            if not bad_lines and len(self.by_wallet[wallet]) == known and not _names_any(path):
                yield Problem(path, 0, "", "holds no address", "write one a line, or remove addresses_file")
        except OSError as error:
            yield Problem(path, 0, "", f"cannot read: {error.strerror}", "check addresses_file")
        if bad_lines > MAX_REPORTED:
            yield Problem(path, 0, "", f"{bad_lines} lines are wrong; only the first {MAX_REPORTED} are listed")

    def _add_lines(self, wallet: str, chain: ChainId, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Add the address on each line; yields (line number, message) for the bad ones. 4 s for a million lines."""
        parse, owners = family_of(chain).address_parser(chain), self.owners.setdefault(chain, {})
        own = self.by_wallet.setdefault(wallet, [])
        for number, line in enumerate(lines, start=1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                address = parse(text[:MAX_LINE_CHARS])
            except ValueError as error:
                yield number, f"is not an address of {chain}: {error}"
                continue
            owner = owners.get(address.key)
            if owner is None:
                owners[address.key] = wallet
                own.append(address)
            elif owner != wallet:
                yield number, _conflict(address, owner)

    def addresses(self) -> dict[str, tuple[Address, ...]]:
        """Every wallet's addresses, each once."""
        return {name: tuple(found) for name, found in self.by_wallet.items()}


def _names_any(path: Path) -> bool:
    """Whether a line says anything: what it names may be listed in the wallet's table too."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return any(line.partition("#")[0].strip() for line in lines)


def _conflict(address: Address, owner: str) -> str:
    return f'{address.text} already belongs to the wallet "{owner}"'


DEFAULT_ORIGIN = "audit.exchange.example/log"


def render_template(origin: str = DEFAULT_ORIGIN) -> str:
    """A commented configuration that is valid and watches nothing yet. `origin` is the name of the audit log."""
    text = files("walletwatch.settings").joinpath("template.toml").read_text(encoding="utf-8")
    return text.replace("@ORIGIN@", origin)


RuleCheck = Callable[[Mapping[str, Any], AmountReader], Iterable[tuple[str, str]]]
"""Reads one `[[rule]]` table and returns (key, message) for each error. Passed in by the caller, because settings may
not import the rule catalogue.
"""

_ATTRIBUTES = {
    "chain": "chains",
    "asset": "assets",
    "price": "prices",
    "wallet": "wallets",
    "person": "persons",
    "approval_feed": "feeds",
    "approval_policy": "policies",
    "rule": "rules",
    "sink": "sinks",
}


def load(
    path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    need_secrets: bool = True,
    need_addresses: bool = True,
    rule_check: RuleCheck | None = None,
) -> Settings:
    """Read and check a configuration. Raises SettingsError with every problem of every file.

    With `need_secrets` False a missing secret is an error only when it is used: listing commands need none. With
    `need_addresses` False the wallets' address files are not read, because a million addresses take seconds.
    """
    partial, problems = examine(path, os.environ if environ is None else environ, need_secrets, rule_check)
    if partial is None:
        raise SettingsError(problems)
    book, address_problems = resolve_addresses(partial, files=need_addresses)
    if problems or address_problems:
        raise SettingsError([*problems, *address_problems])
    settings = build(partial)
    unread = frozenset(w.name for w in settings.wallets if w.addresses_file is not None and not need_addresses)
    return settings.with_addresses(book.addresses(), book.branches, unread)


def refreshed(settings: Settings, since: Mapping[str, FileStamp | None]) -> Settings:
    """The settings with the address files read again; the same object if the `stamps` still equal `since`.

    Raises SettingsError if a file became unusable; the caller keeps the old addresses then.
    """
    if stamps(settings) == since:
        return settings
    book = AddressBook()
    problems: list[Problem] = []
    for wallet in settings.wallets:
        chain = settings.reader.chain(wallet.chain)
        for text in wallet.addresses:
            book.add(wallet.name, chain, text)
        if wallet.addresses_file is not None:
            problems += book.add_file(wallet.name, chain, wallet.addresses_file)
        for text in wallet.descriptors:
            book.add_descriptor(wallet.name, chain, text)
    if problems:
        raise SettingsError(problems)
    return settings.with_addresses(book.addresses(), book.branches)


def stamps(settings: Settings) -> dict[str, FileStamp | None]:
    """The stamp of each wallet's address file, by wallet name."""
    return {w.name: FileStamp.of(w.addresses_file) for w in settings.wallets if w.addresses_file is not None}


def examine(
    path: Path, environ: Mapping[str, str], need_secrets: bool, rule_check: RuleCheck | None
) -> tuple[PartialSettings | None, list[Problem]]:
    """The tables of every file as far as they can be read, None if the named file cannot, and what is wrong in them."""
    reading = read_documents(path)
    if not reading.documents or reading.documents[0].path != path:
        return None, reading.problems
    partial = read_partial_settings(reading.documents, environ, need_secrets=need_secrets)
    problems = [*reading.problems, *partial.problems]
    problems += [*check_references(partial), *check_uniqueness(partial), *check_quorums(partial)]
    if rule_check is not None:
        problems += list(_check_rules(partial, rule_check, {(p.file, p.key) for p in problems}))
    return partial, problems


def _check_rules(partial: PartialSettings, rule_check: RuleCheck, reported: set[tuple[Path, str]]) -> Iterator[Problem]:
    """Faults of the rules' own parameters, except for keys that already have a reported problem."""
    for entry in partial.lists["rule"]:
        table, n = entry.path
        for key, message in rule_check(entry.document.data[str(table)][n], partial.reader):
            problem = entry.problem(tuple(key.split(".")), message)
            if not any(file == problem.file and text.startswith(problem.key) for file, text in reported):
                yield problem


def resolve_addresses(partial: PartialSettings, *, files: bool = True) -> tuple[AddressBook, list[Problem]]:
    """The addresses of every wallet, those in files only with `files`; an invalid address, or one that two wallets
    claim, is a problem.
    """
    book = AddressBook()
    problems: list[Problem] = []
    for entry in partial.lists["wallet"]:
        chain = partial.chain_of(entry.value.chain) if entry.has("chain", "name") else None
        if chain is not None and coin_id_of(chain) is not None:
            problems += _resolve_wallet(book, entry, chain)
            if entry.has("addresses_file"):
                problems += _resolve_file(book, entry, chain, read=files)
    return book, problems


def _resolve_wallet(book: AddressBook, entry: Entry[Any], chain: ChainId) -> Iterator[Problem]:
    wallet = entry.value
    for n, text in enumerate(wallet.addresses if entry.has("addresses") else ()):
        message = book.add(wallet.name, chain, text)
        if message:
            yield entry.problem(("addresses", n), message, "copy the whole address again; list it in one wallet only")
    reported = family_of(chain).descriptor_reader is None or not entry.has("descriptors")
    for n, text in enumerate(() if reported else wallet.descriptors):
        message = book.add_descriptor(wallet.name, chain, text)
        if message:
            yield entry.problem(("descriptors", n), message, "see docs/configuration.md, [[wallet]]")


def _resolve_file(book: AddressBook, entry: Entry[Any], chain: ChainId, *, read: bool) -> Iterator[Problem]:
    path = entry.value.addresses_file
    if not read:
        return
    if path is not None and not path.is_file():
        yield entry.problem("addresses_file", f"there is no file {path}", "check the path")
    elif path is not None:
        yield from book.add_file(entry.value.name, chain, path)


def build(partial: PartialSettings) -> Settings:
    """The settings of tables without a fault, still without addresses."""
    parts: dict[str, Any] = {name: SINGLES[name]() for name in ("labels", "trace", "run")}
    parts |= {name: entry.value for name, entry in partial.singles.items()}
    for table, attribute in _ATTRIBUTES.items():
        parts[attribute] = tuple(entry.value for entry in partial.lists[table])
    return Settings(file=partial.main.path, timezone=partial.timezone, **parts)
