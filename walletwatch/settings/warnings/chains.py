"""Warnings about what is followed, what is ours and what it is worth: chains, tokens, wallets, prices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from chains.registry import family_of
from walletwatch.domain.prices import USD_SCALE
from walletwatch.settings.entries import Entry
from walletwatch.settings.fields import show_duration
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.sections import WalletSettings
from walletwatch.settings.warnings.tables import is_fiat, line_of, sound, unpriced, wallets_of

USUAL_GAP = 20
"""The gap limit of BIP 44, by which other wallets look for coins."""
_SLOWEST_POLL = timedelta(minutes=1)
_MAIN_NETS = ("bip122:000000000019d6689c085ae165831e93", "eip155:1")
_BURN = frozenset({"0x" + "00" * 20, "0x000000000000000000000000000000000000dead"})

DOLLARS = frozenset({"USDT", "USDC", "DAI", "USDP", "PYUSD", "TUSD", "BUSD", "FDUSD"})
"""Tokens that stand for one US dollar."""
_FACTOR = 100


def warn_of_chains(partial: PartialSettings) -> Iterator[Problem]:
    """Blocks final too soon or seen too late, tokens nobody holds, descriptors with too small a gap, burn addresses."""
    for entry in sound(partial, "chain"):
        yield from _of_chain(entry)
    for entry in sound(partial, "asset"):
        yield from _of_asset(partial, entry)
    for entry in sound(partial, "wallet"):
        yield from _of_wallet(partial, entry)


def _of_chain(entry: Entry[Any]) -> Iterator[Problem]:
    chain = entry.value
    confirmations, tag = chain.final_after
    if str(chain.id) in _MAIN_NETS and (tag == "latest" or (tag is None and confirmations < 2)):
        key = "finality" if chain.finality is not None else "confirmations"
        usual = family_of(chain.id)
        remedy = f'finality = "{usual.finality}"' if usual.finality else f"confirmations = {usual.confirmations}"
        yield entry.problem(key, "a block counts as final at once, and may still be replaced", remedy)
    if tag is None and chain.max_reorg < confirmations:
        message = f"a reorganisation of {chain.max_reorg + 1} blocks stops the chain before any block is final"
        yield entry.problem("max_reorg", message, f"write at least {confirmations}")
    if chain.poll > _SLOWEST_POLL:
        message = f"a new block may be noticed {show_duration(chain.poll)} late"
        yield entry.problem("poll", message, 'poll = "2s"')


def _of_asset(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    held = {partial.chain_of(wallet.chain) for wallet in wallets_of(partial)}
    if entry.value.id.chain not in held:
        message = f"no wallet lies on the chain of {entry.value.symbol}: nothing of it is watched"
        yield entry.problem("id", message, "add a [[wallet]] there, or remove this table")


def _of_wallet(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    wallet: WalletSettings = entry.value
    if wallet.descriptors and wallet.gap_limit < USUAL_GAP:
        message = f"only {wallet.gap_limit} addresses beyond the last one used are watched"
        yield entry.problem("gap_limit", message, f"write {USUAL_GAP} or more; leave it out for 1000")
    tokens = {a.id.reference.lower(): a for a in partial.reader.known() if a.id.chain == partial.chain_of(wallet.chain)}
    for n, address in enumerate(wallet.addresses):
        token = tokens.get(address.lower())
        if token is not None:
            message = f"is the contract of {token.symbol}: what its holders move there would count as ours"
            yield entry.problem(("addresses", n), message, "write the wallet's own address")
        if address.lower() in _BURN:
            message = "nobody holds the key of this address: what is sent there is lost, and would count as ours"
            yield entry.problem(("addresses", n), message, "remove it")


def warn_of_prices(partial: PartialSettings) -> Iterator[Problem]:
    """Prices of nothing, of dollars that are none, and that contradict one another; a tracing floor without prices."""
    for entry in sound(partial, "price"):
        yield from _of_price(entry)
    yield from _contradictions(partial)
    trace = partial.singles.get("trace")
    if trace is not None and trace.has("min_value") and is_fiat(trace.value.min_value):
        missing = unpriced(partial, partial.reader.known())
        if missing:
            message = f"what this is worth is not known for {', '.join(missing)}: all of it is followed"
            yield trace.problem("min_value", message, "add a [[price]] for each")


def _of_price(entry: Entry[Any]) -> Iterator[Problem]:
    price = entry.value
    if price.usd == 0:
        yield entry.problem("usd", f"{price.asset} is worth nothing: no limit in USD ever counts it", "write its price")
    elif price.usd is not None and price.asset in DOLLARS and not USD_SCALE // 2 <= price.usd <= 2 * USD_SCALE:
        yield entry.problem("usd", f"{price.asset} stands for one dollar", 'usd = "1"')


def _contradictions(partial: PartialSettings) -> Iterator[Problem]:
    """Fixed prices of tokens of one symbol that differ by a factor of a hundred."""
    first: dict[str, Entry[Any]] = {}
    for entry in (e for e in sound(partial, "price") if e.value.usd):
        for symbol in {asset.symbol for asset in partial.reader.assets(entry.value.asset)}:
            other = first.setdefault(symbol, entry)
            low, high = sorted((other.value.usd, entry.value.usd))
            if high >= _FACTOR * low:
                message = f"{symbol} is worth a hundred times more or less at {line_of(other)}"
                yield entry.problem("usd", message, "correct one of the two")
