"""The own addresses: from the configuration and from files of them, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chains.model import Address, ChainId
from chains.registry import Branch, address_parser, open_branches, parse_address
from walletwatch.settings.problems import Problem

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
            branches = open_branches(chain, text)
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
        parse, owners = address_parser(chain), self.owners.setdefault(chain, {})
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
