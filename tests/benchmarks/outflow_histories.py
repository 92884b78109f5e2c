"""A year of history in SQLite, written quickly: a hot wallet that pays, changes, and is paid, on one chain."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from chains.model import Address, ChainId
from chains.registry import native_asset
from walletwatch.domain.findings import outflow_id
from walletwatch.domain.times import format_utc
from walletwatch.store import Store, open_store

CHAIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
BTC = native_asset(CHAIN)
END = datetime(2026, 11, 20, tzinfo=UTC)
YEAR_SECS = 365 * 86_400
WALLETS = ("hot-1", "hot-2", "hot-3", "hot-4")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def write_history(path: Path, count: int, payees: int = 100_000) -> Store:
    """A migrated database at `path` with `count` outflows spread over the year before `END`."""
    store = open_store(f"sqlite:///{path}")
    store.upgrade()
    dice = random.Random(11)  # noqa: S311 - a benchmark's data, not a secret
    texts = ["1" + "".join(dice.choices(_BASE58, k=33)) for _ in range(payees)]
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        _write_places(connection)
        batch: list[tuple[tuple[Any, ...], ...]] = []
        for row in _rows(count, texts, dice):
            batch.append(row)
            if len(batch) == 20_000:
                _insert(connection, batch)
        _insert(connection, batch)
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
    return store


def _write_places(connection: sqlite3.Connection) -> None:
    began = format_utc(END - timedelta(seconds=YEAR_SECS))
    connection.execute("INSERT INTO chains VALUES (?,?,?)", (str(CHAIN), "bitcoin", began))
    connection.execute(
        "INSERT INTO cursors (chain, height, hash, start_height, final_height, complete_for, moved_at) "
        "VALUES (?,?,?,?,?,?,?)",
        (str(CHAIN), 52_560, bytes(32), 1, 52_554, "", format_utc(END)),
    )
    opening = str(10**15).zfill(78)
    connection.executemany(
        "INSERT INTO balances VALUES (?,?,?,?,?,?,?)",
        [(str(CHAIN), wallet, str(BTC.id), 0, bytes(32), opening, began) for wallet in WALLETS],
    )


def _insert(connection: sqlite3.Connection, batch: list[tuple[tuple[Any, ...], ...]]) -> None:
    for n, table in enumerate(("outflows", "destinations", "transactions", "movements")):
        if batch:
            marks = ",".join("?" * len(batch[0][n]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [row[n] for row in batch])  # noqa: S608
    batch.clear()


def _rows(count: int, payees: list[str], dice: random.Random) -> Iterator[tuple[tuple[Any, ...], ...]]:
    chain, asset = str(CHAIN), str(BTC.id)
    for n in range(count):
        tx = hashlib.sha256(f"tx {n}".encode()).digest()
        wallet = WALLETS[dice.randrange(len(WALLETS))]
        to = payees[int(len(payees) * dice.random() ** 2)]
        amount, fee = dice.randrange(10**5, 10**7), dice.randrange(500, 5_000)
        moment = END - timedelta(seconds=YEAR_SECS * (count - n) // count)
        at, height = format_utc(moment), 52_560 * n // count
        units, key, block = str(amount).zfill(78), to.encode(), hashlib.sha256(str(height).encode()).digest()
        paid = f'[[0,["{key.hex()}","{to}"],"{amount}"]]'
        state = "final"
        cost = str(fee).zfill(78)
        yield (
            (
                outflow_id(CHAIN, tx, wallet, BTC.id),
                chain,
                tx,
                state,
                wallet,
                asset,
                units,
                cost,
                paid,
                at,
                at,
                height,
                block,
                at,
                tx,
                0,
                1,
                n + 1,
                n + 1,
            ),
            (chain, tx, asset, 0, key, to, units, at),
            (chain, tx, state, height, block, at, at, tx, _facts(tx, to, amount, fee, n)),
            (chain, tx, wallet, asset, height, at, "0".zfill(78), units, cost),
        )


def _facts(tx: bytes, to: str, amount: int, fee: int, n: int) -> str:
    own = Address(b"\x00\x14" + bytes(20), "bc1qown")
    source = [hashlib.sha256(tx).hexdigest(), 0, str(amount + fee + 10**8), [own.key.hex(), own.text], 0xFFFFFFFD]
    outputs = [[0, str(amount), [to.encode().hex(), to]], [1, str(10**8), [own.key.hex(), own.text]]]
    features = [["version", "int", "2"], ["locktime", "int", str(900_000 + n)], ["sequence", "text", "fffffffd"]]
    signing = {"signers": ["A", "B"], "features": features}
    facts = {"t": "utxo", "txid": tx.hex(), "index": 0, "in": [source], "out": outputs, "fee": str(fee)}
    return orjson.dumps(facts | {"vsize": 141, "version": 2, "locktime": 0, "signing": signing}).decode()
