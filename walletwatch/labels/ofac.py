"""Reading the sanctions list of the United States' OFAC: address lists by asset, and a dated history."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from walletwatch.domain.labels import Label
from walletwatch.labels.imports import AddressParser, LabelFileError, LabelImport, find_chain, read_moment

BITCOIN = "bip122:000000000019d6689c085ae165831e93"
ETHEREUM = "eip155:1"
TRON = "tron:0x2b6653dc"

ASSET_CHAINS = {
    "XBT": (BITCOIN, ETHEREUM, TRON),
    "ETH": (ETHEREUM,),
    "USDT": (ETHEREUM, TRON, BITCOIN),
    "USDC": (ETHEREUM, TRON),
    "TRX": (TRON,),
    "ARB": ("eip155:42161",),
    "BSC": ("eip155:56",),
    "ETC": ("eip155:61",),
    "LTC": ("bip122:12a765e31ffd4059bada1e25190f6e98",),
    "BCH": ("bip122:000000000000000000651ef99cb9fcbe",),
    "BSV": ("bip122:000000000000000001d956714215d96f",),
    "BTG": ("bip122:0000000000000000000e9025ca2aab1f",),
    "DASH": ("bip122:00000ffd590b1485b3caadc19b22e637",),
    "ZEC": ("bip122:00040fe8ec8471911baa1db1266ea15d",),
    "XVG": ("bip122:00000fc63692467faeb20cdb3b53200d",),
    "XRP": ("xrpl:0",),
}
"""OFAC lists addresses by asset, not by chain: XBT and USDT contain addresses of several chains. The first chain on
which the address is valid is used.
"""
_FILE = re.compile(r"sanctioned_addresses_([A-Z0-9]{2,8})\.(?:txt|json)\Z")
_HISTORY_COLUMNS = ["date", "commit", "asset", "op", "address"]
LABEL = "OFAC SDN"
MAX_LINE = 1_000


def asset_of_file(name: str) -> str | None:
    """`sanctioned_addresses_ETH.txt` -> 'ETH'; None for any other file name."""
    match = _FILE.match(name)
    return match[1] if match else None


def read_list(addresses: Iterable[str], asset: str, file: str, parse: AddressParser) -> LabelImport:
    """Read one list, with one address on each line."""
    result = LabelImport()
    for line, text in enumerate(addresses, start=1):
        address = text.strip()
        if not address:
            continue
        _add(result, asset, address, file, line, parse, (None, None))
    return result


def _add(
    result: LabelImport,
    asset: str,
    address: str,
    file: str,
    line: int,
    parse: AddressParser,
    validity: tuple[datetime | None, datetime | None],
) -> None:
    chains = ASSET_CHAINS.get(asset)
    if chains is None:
        result.skip(asset)
        return
    try:
        if len(address) > MAX_LINE:
            raise ValueError("line too long")  # noqa: TRY301 - a bad row, reported like any other
        chain, text = find_chain(chains, address, parse)
    except ValueError as error:
        result.refuse(file, line, str(error))
        return
    result.labels.append(Label(chain, text, LABEL, "sanctioned", f"OFAC SDN list, {asset}", 1000, *validity))


def read_history(lines: Iterable[str], file: str, parse: AddressParser) -> LabelImport:
    """Read additions and removals (`date commit asset op address`, tab-separated, oldest first) as labels with these
    days as validity. Additions of the first day may be older and get no `valid_from`.
    """
    result = LabelImport()
    opened: dict[tuple[str, str], tuple[datetime | None, int]] = {}
    first: datetime | None = None
    for line, text in enumerate(lines, start=1):
        cells = text.rstrip("\r\n").split("\t")
        if line == 1:
            if cells != _HISTORY_COLUMNS:
                raise LabelFileError(f"{file}:1: not the header of an OFAC history")
            continue
        try:
            day, asset, operation, address = _read_change(cells)
        except ValueError as error:
            result.refuse(file, line, str(error))
            continue
        first = first or day
        known = opened.pop((asset, address), None)
        if operation == "+":
            opened[asset, address] = known or (None if day == first else day, line)
        elif known is None:
            result.refuse(file, line, f"{address} was removed but never added")
        else:
            _add(result, asset, address, file, line, parse, (known[0], day))
    for (asset, address), (since, line) in opened.items():
        _add(result, asset, address, file, line, parse, (since, None))
    return result


def _read_change(cells: list[str]) -> tuple[datetime, str, str, str]:
    if len(cells) != len(_HISTORY_COLUMNS) or cells[3] not in ("+", "-"):
        raise ValueError("not an addition or removal")
    return read_moment(cells[0]), cells[2], cells[3], cells[4].strip()
