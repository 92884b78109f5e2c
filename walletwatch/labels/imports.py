"""The result of reading label files (labels, and bad rows with reasons), and the check of addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

from chains.model import Address, ChainId
from chains.registry import find_family
from walletwatch.domain.labels import Label
from walletwatch.domain.times import parse_utc

ANY_CHAIN = "*"
_PLAUSIBLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{7,127}\Z")
_HEX = re.compile(r"0x[0-9a-f]{40}\Z", re.IGNORECASE)
_BECH32 = re.compile(r"[a-z]{2,10}1[02-9ac-hj-np-z]{6,90}\Z", re.IGNORECASE)

TEXTBOOK_EXAMPLES = frozenset(
    {
        "0x0000000000000000000000000000000000000000",  # nobody's: tokens are minted from and burnt to it
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",  # EIP-55
        "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359",
        "0xdbf03b407c01e7cd3cbea99509d93f8dddc8c6fb",
        "0xd1220a0cf47c7b9be7a2e6ba89f429762e7b9adb",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",  # Bitcoin wiki, "Address"
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "16UwLL9Risc3QfPqBUvKofHmBQ7wMtjvM",  # Bitcoin wiki, "Technical background"
        "1PMycacnJaSqwwJqjawXBErnLsZ7RkXUAs",
        "17VZNX1SN5NtKa8UQFxwQbFeFc3iqRYhem",
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # BIP 173
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",  # BIP 350
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",  # BIP 86
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",  # BIP 84
        "37VucYSaXLCAsxYyAPfbSi9eh4iEcbShgf",  # an example address in the form of BIP 49
    }
)
"""Addresses printed in standards and manuals: a label on one of them is a copying error."""


def fold_case(address: str) -> str:
    """The text by which addresses are compared: hex and bech32 in lower case, base58 unchanged."""
    if _HEX.match(address) or (_BECH32.match(address) and address in (address.lower(), address.upper())):
        return address.lower()
    return address


def check_address(chain: str, address: str, parse: AddressParser) -> str:
    """The address in its chain's usual text form. Raises ValueError if it is invalid or a textbook example.

    On chains without a family (and for `*`) only the characters and the length are checked.
    """
    if fold_case(address) in TEXTBOOK_EXAMPLES:
        raise ValueError(f"{address} is a textbook example, not a real address")
    if not _PLAUSIBLE.match(address):
        raise ValueError(f"not an address: {address[:80]!r}")
    if chain == ANY_CHAIN:
        return address
    network = ChainId.parse(chain)
    return parse(network, address).text if _is_parsed(network) else address


def find_chain(chains: Sequence[str], address: str, parse: AddressParser) -> tuple[str, str]:
    """(chain, address) for the first of `chains` on which the address is valid, in its usual text form.

    Raises the ValueError of the first chain if it is valid on none.
    """
    errors: list[ValueError] = []
    for chain in chains:
        try:
            return chain, check_address(chain, address, parse)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


@lru_cache(maxsize=256)
def _is_parsed(network: ChainId) -> bool:
    """Whether a family can parse addresses of `network`: forks of Bitcoin share its namespace, not its prefixes."""
    family = find_family(network)
    try:
        return family is not None and family.native_id(network) is not None
    except ValueError:
        return False


def keeps_coins(chain: str) -> bool:
    """Whether the chain of a label (a CAIP-2 id or `*`) is of a family that keeps unspent outputs."""
    family = None if chain == ANY_CHAIN else find_family(ChainId.parse(chain))
    return family is not None and family.keeps_coins


MAX_TEXT = 300
"""Longest label, source or address, in characters."""
MAX_PROBLEMS = 10_000
"""Problems kept in full; further ones are only counted."""

AddressParser = Callable[[ChainId, str], Address]
"""Reads an address of a chain; raises ValueError with the reason if it is invalid."""
Progress = Callable[[int, int], None]
"""Called with (bytes read, total bytes)."""


class LabelFileError(ValueError):
    """The whole file cannot be read: unknown column, not a TagPack, too large."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One bad row: its `file`, `line` (from 1; 0 for the whole file), and the reason (`text`)."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(slots=True)
class LabelImport:
    """`labels` are the valid labels, `problems` the bad rows; `skipped` counts labels by currency that has no CAIP-2 id
    here, which are not errors.
    """

    labels: list[Label] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    problem_count: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def refuse(self, file: str, line: int, text: str) -> None:
        """Record a bad row."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(RowProblem(file, line, text))

    def skip(self, currency: str) -> None:
        """Count a label of a currency that has no CAIP-2 id here."""
        self.skipped[currency] = self.skipped.get(currency, 0) + 1

    def add(self, other: LabelImport) -> None:
        """Add the result of another file."""
        self.labels += other.labels
        self.problem_count += other.problem_count
        self.problems += other.problems[: MAX_PROBLEMS - len(self.problems)]
        for currency, count in other.skipped.items():
            self.skipped[currency] = self.skipped.get(currency, 0) + count


_CONFIDENCE = re.compile(r"(?:0|1)?(?:\.[0-9]{0,12})?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def read_confidence(text: str) -> int:
    """'0.75' -> 750: thousandths, rounded down. Raises ValueError outside 0 to 1."""
    if not text or text == "." or not _CONFIDENCE.match(text) or Decimal(text) > 1:
        raise ValueError(f"confidence must be between 0 and 1, not {text[:40]!r}")
    return int(Decimal(text) * 1000)


def read_moment(text: str) -> datetime:
    """A time with its UTC offset, or a date (midnight UTC). Raises ValueError otherwise."""
    if _DATE.match(text):
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return parse_utc(text)
