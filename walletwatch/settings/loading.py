"""From files to settings: every error at once, addresses from lists and descriptors."""

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
MAX_TOLD = 20
"""Problems told of one file; a file of another chain would have a million."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """By what a changed file is known."""

    mtime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """The stamp of `path`, None if it cannot be looked at."""
        try:
            stat = path.stat()
        except OSError:
            return None
        return cls(stat.st_mtime_ns, stat.st_size, stat.st_ino)


@dataclass(slots=True)
class AddressBook:
    """Whose each address is. A million addresses lie in it once, so it keeps no second copy."""

    by_wallet: dict[str, list[Address]] = field(default_factory=dict)
    owners: dict[ChainId, dict[bytes, str]] = field(default_factory=dict)
    branches: dict[str, list[Branch]] = field(default_factory=dict)
    """Ranged descriptors by wallet. Only their first address is derived here: a listing command needs no other."""

    def add(self, wallet: str, chain: ChainId, text: str) -> str:
        """Count `text` as an address of `wallet`. Gives back what is wrong with it, empty if nothing is."""
        try:
            address = parse_address(chain, text[:MAX_LINE_CHARS])
        except ValueError as error:
            return f"is no address of {chain}: {error}"
        return self._own(wallet, chain, address)

    def add_descriptor(self, wallet: str, chain: ChainId, text: str) -> str:
        """Count the addresses of an output descriptor as `wallet`'s. Gives back what is wrong with it, or nothing."""
        try:
            branches = family_of(chain).open_branches(chain, text)
        except ValueError as error:
            return f"is no descriptor to watch: {error}"
        self.branches.setdefault(wallet, []).extend(branch for branch in branches if branch.ranged)
        faults = [self._own(wallet, chain, address) for branch in branches for address in branch.derive(0, 1)]
        return next((fault for fault in faults if fault), "")

    def _own(self, wallet: str, chain: ChainId, address: Address) -> str:
        owners = self.owners.setdefault(chain, {})
        owner = owners.get(address.key)
        if owner is None:
            owners[address.key] = wallet
            self.by_wallet.setdefault(wallet, []).append(address)
        return _belongs(address, owner) if owner is not None and owner != wallet else ""

    def add_file(self, wallet: str, chain: ChainId, path: Path) -> Iterator[Problem]:
        """Count every line of `path`; yields what is wrong with it, by line, up to `MAX_TOLD`."""
        wrong = 0
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                yield Problem(path, 0, "", f"the file is larger than {MAX_FILE_BYTES} bytes", "split it")
                return
            with path.open(encoding="utf-8", errors="replace") as lines:
                for number, message in self._add_lines(wallet, chain, lines):
                    wrong += 1
                    if wrong <= MAX_TOLD:
                        yield Problem(path, number, "", message, "one address a line; # begins a comment")
        except OSError as error:
            yield Problem(path, 0, "", f"cannot read: {error.strerror}", "check addresses_file")
        if wrong > MAX_TOLD:
            yield Problem(path, 0, "", f"{wrong} lines are wrong; the first {MAX_TOLD} are told")

    def _add_lines(self, wallet: str, chain: ChainId, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Count the address of each line; yields the lines that are wrong, and why. 4 s for a million."""
        parse, owners = family_of(chain).address_parser(chain), self.owners.setdefault(chain, {})
        own = self.by_wallet.setdefault(wallet, [])
        for number, line in enumerate(lines, start=1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                address = parse(text[:MAX_LINE_CHARS])
            except ValueError as error:
                yield number, f"is no address of {chain}: {error}"
                continue
            owner = owners.get(address.key)
            if owner is None:
                owners[address.key] = wallet
                own.append(address)
            elif owner != wallet:
                yield number, _belongs(address, owner)

    def addresses(self) -> dict[str, tuple[Address, ...]]:
        """Every wallet's addresses, each once."""
        return {name: tuple(found) for name, found in self.by_wallet.items()}


def _belongs(address: Address, owner: str) -> str:
    return f'{address.text} belongs to the wallet "{owner}" already'


DEFAULT_ORIGIN = "audit.exchange.example/log"


def render_template(origin: str = DEFAULT_ORIGIN) -> str:
    """A commented configuration that loads as it stands and watches nothing yet. `origin` names the audit log."""
    text = files("walletwatch.settings").joinpath("template.toml").read_text(encoding="utf-8")
    return text.replace("@ORIGIN@", origin)


RuleCheck = Callable[[Mapping[str, Any], AmountReader], Iterable[tuple[str, str]]]
"""Reads one `[[rule]]` table and gives (key, message) for everything wrong with it: the rule catalogue stands beside
the settings, so whoever knows both hands its check in.
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
    `need_addresses` False the wallets' address files are not read, for whoever never asks for an address: a million
    of them take seconds.
    """
    partial, problems = _examine(path, os.environ if environ is None else environ, need_secrets, rule_check)
    if partial is None:
        raise SettingsError(problems)
    book, wrong = resolve_addresses(partial, files=need_addresses)
    if problems or wrong:
        raise SettingsError([*problems, *wrong])
    settings = _build(partial)
    unread = frozenset(w.name for w in settings.wallets if w.addresses_file is not None and not need_addresses)
    return settings.with_addresses(book.addresses(), book.branches, unread)


def refreshed(settings: Settings, since: Mapping[str, FileStamp | None]) -> Settings:
    """The settings with the address files read again; the same object if the `stamps` are still those of `since`.
    Raises SettingsError if a file became unusable: the old addresses then stay in force.
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
    """By which the wallets' address files are known to have changed."""
    return {w.name: FileStamp.of(w.addresses_file) for w in settings.wallets if w.addresses_file is not None}


def _examine(
    path: Path, environ: Mapping[str, str], need_secrets: bool, rule_check: RuleCheck | None
) -> tuple[PartialSettings | None, list[Problem]]:
    reading = read_documents(path)
    if not reading.documents or reading.documents[0].path != path:
        return None, reading.problems
    partial = read_partial_settings(reading.documents, environ, need_secrets=need_secrets)
    problems = [*reading.problems, *partial.problems]
    problems += [*check_references(partial), *check_uniqueness(partial), *check_quorums(partial)]
    if rule_check is not None:
        problems += list(_check_rules(partial, rule_check, {(p.file, p.key) for p in problems}))
    return partial, problems


def _check_rules(partial: PartialSettings, rule_check: RuleCheck, told: set[tuple[Path, str]]) -> Iterator[Problem]:
    """Faults of the rules' own parameters; what was told already about a key is not told twice."""
    for entry in partial.lists["rule"]:
        table, n = entry.path
        for key, message in rule_check(entry.document.data[str(table)][n], partial.reader):
            problem = entry.problem(tuple(key.split(".")), message)
            if not any(file == problem.file and text.startswith(problem.key) for file, text in told):
                yield problem


def resolve_addresses(partial: PartialSettings, *, files: bool = True) -> tuple[AddressBook, list[Problem]]:
    """The addresses of every wallet, those in files only with `files`; an address that is none, or that two wallets
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
            yield entry.problem(("addresses", n), message, "copy it again, whole, and keep it in one wallet")
    told_already = family_of(chain).descriptor_reader is None or not entry.has("descriptors")
    for n, text in enumerate(() if told_already else wallet.descriptors):
        message = book.add_descriptor(wallet.name, chain, text)
        if message:
            yield entry.problem(("descriptors", n), message, "see docs/configuration.md, [[wallet]]")


def _resolve_file(book: AddressBook, entry: Entry[Any], chain: ChainId, *, read: bool) -> Iterator[Problem]:
    path = entry.value.addresses_file
    if path is not None and not path.is_file():
        yield entry.problem("addresses_file", f"there is no file {path}", "check the path")
    elif path is not None and read:
        yield from book.add_file(entry.value.name, chain, path)


def _build(partial: PartialSettings) -> Settings:
    parts: dict[str, Any] = {name: SINGLES[name]() for name in ("labels", "trace", "run")}
    parts |= {name: entry.value for name, entry in partial.singles.items()}
    for table, attribute in _ATTRIBUTES.items():
        parts[attribute] = tuple(entry.value for entry in partial.lists[table])
    return Settings(file=partial.main.path, timezone=partial.timezone, **parts)
