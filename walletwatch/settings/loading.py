"""From files to settings, with every error at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chains.model import ChainId
from walletwatch.settings.addresses import AddressBook, FileStamp
from walletwatch.settings.amounts import AmountReader
from walletwatch.settings.documents import read_documents
from walletwatch.settings.drafts import SINGLES, Draft, coin_of, read_draft
from walletwatch.settings.entries import Entry
from walletwatch.settings.problems import Problem, SettingsError
from walletwatch.settings.quorums import check_quorums
from walletwatch.settings.references import check_references
from walletwatch.settings.settings import Settings
from walletwatch.settings.uniqueness import check_uniqueness

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
    draft, problems = _examine(path, os.environ if environ is None else environ, need_secrets, rule_check)
    if draft is None:
        raise SettingsError(problems)
    book, wrong = resolve_addresses(draft, files=need_addresses)
    if problems or wrong:
        raise SettingsError([*problems, *wrong])
    settings = _build(draft)
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
) -> tuple[Draft | None, list[Problem]]:
    reading = read_documents(path)
    if not reading.documents or reading.documents[0].path != path:
        return None, reading.problems
    draft = read_draft(reading.documents, environ, need_secrets=need_secrets)
    problems = [*reading.problems, *draft.problems]
    problems += [*check_references(draft), *check_uniqueness(draft), *check_quorums(draft)]
    if rule_check is not None:
        problems += list(_check_rules(draft, rule_check, {(p.file, p.key) for p in problems}))
    return draft, problems


def _check_rules(draft: Draft, rule_check: RuleCheck, told: set[tuple[Path, str]]) -> Iterator[Problem]:
    """Faults of the rules' own parameters; what was told already about a key is not told twice."""
    for entry in draft.lists["rule"]:
        table, n = entry.path
        for key, message in rule_check(entry.document.data[str(table)][n], draft.reader):
            problem = entry.problem(tuple(key.split(".")), message)
            if not any(file == problem.file and text.startswith(problem.key) for file, text in told):
                yield problem


def resolve_addresses(draft: Draft, *, files: bool = True) -> tuple[AddressBook, list[Problem]]:
    """The addresses of every wallet, those in files only with `files`; an address that is none, or that two wallets
    claim, is a problem.
    """
    book = AddressBook()
    problems: list[Problem] = []
    for entry in draft.lists["wallet"]:
        chain = draft.chain_of(entry.value.chain) if entry.has("chain", "name") else None
        if chain is not None and coin_of(chain) is not None:
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
    told_already = chain.namespace != "bip122" or not entry.has("descriptors")
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


def _build(draft: Draft) -> Settings:
    parts: dict[str, Any] = {name: SINGLES[name]() for name in ("labels", "trace", "run")}
    parts |= {name: entry.value for name, entry in draft.singles.items()}
    for table, attribute in _ATTRIBUTES.items():
        parts[attribute] = tuple(entry.value for entry in draft.lists[table])
    return Settings(file=draft.main.path, timezone=draft.timezone, **parts)
