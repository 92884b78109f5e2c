"""Acts out of a table of the exchange's own database: each once, late commits too, and a changed past found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from exchanges import ANVIL, ETH, Exchange

from walletwatch.approvals.act_sources import FeedUnreadable
from walletwatch.service.application import Application
from walletwatch.store.act_tables import ActTable
from walletwatch.store.statements import Filter

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


class Books:
    """The exchange's database, as the exchange writes it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                connection.executemany(statement, rows)
                connection.commit()
            return
        with psycopg.connect(self.url) as server:
            server.cursor().executemany(statement.replace("?", "%s"), rows)

    def write(self, *lines: tuple[int, bytes]) -> None:
        self.run("INSERT INTO acts (id, line) VALUES (?, ?)", [(n, line.decode()) for n, line in lines])


@pytest.fixture(params=["sqlite", "postgresql"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Books:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    books = Books(url)
    books.run("CREATE TABLE acts (id BIGINT PRIMARY KEY, line TEXT)")
    return books


@pytest.fixture
def exchange(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setenv("BOOKS_URL", books.url)
    feed = '[[approval_feed]]\ntype = "table"\nname = "books"\nurl = { env = "BOOKS_URL" }\ntable = "acts"\n'
    return Exchange(tmp_path / "exchange", "", feeds=feed)


class Reading:
    """An application that looks when the test says, at the time it says."""

    def __init__(self, app: Application) -> None:
        self.app, self.now = app, datetime.now(UTC)
        app.store.clock = lambda: self.now

    def look(self, secs: float = 0) -> list[tuple[int, str]]:
        """(number, kind) of every act that is kept."""
        self.now += timedelta(seconds=secs)
        with self.app.approvals.held():
            self.app.feeds.read()
        with self.app.store.reading() as unit:
            return sorted((act.line, act.kind.value) for act in unit.approvals.find_acts(Filter()))

    def findings(self, rule: str) -> list[Any]:
        with self.app.store.reading() as unit:
            return list(unit.findings.find(Filter(rule=rule)))

    def batches(self) -> list[int]:
        """The first row of each batch that was audited."""
        with self.app.store.reading() as unit:
            entries = [json.loads(e.payload) for e in unit.audit.find(Filter(action="approval.batch"))]
        assert all(len(e["sha256"]) == 64 and e["path"] == "env BOOKS_URL, table acts" for e in entries)
        return [e["from_row"] for e in entries]


@pytest.fixture
def reading(exchange: Exchange) -> Iterator[Reading]:
    with Application.open(exchange.settings()) as app:
        yield Reading(app)


def lines(exchange: Exchange, request_id: str = "W-1") -> list[bytes]:
    return exchange.sign_request(request_id, ANVIL, ETH, 10**18, PAYEE)


def test_rows_are_read_once_in_their_order_and_over_a_restart(
    books: Books, exchange: Exchange, reading: Reading
) -> None:
    asked, first, second = lines(exchange)
    books.write((10, asked), (30, first))
    assert reading.look() == [(10, "request"), (30, "approve")]
    assert reading.look(5) == [(10, "request"), (30, "approve")]
    books.write((31, second))
    assert reading.look(60) == [(10, "request"), (30, "approve"), (31, "approve")]
    assert reading.batches() == [10, 31]
    with Application.open(exchange.settings()) as again:
        restarted = Reading(again)
        restarted.now = reading.now
        assert restarted.look(60) == reading.look()
        assert restarted.batches() == [10, 31]


def test_a_transaction_that_commits_late_is_not_missed(books: Books, exchange: Exchange, reading: Reading) -> None:
    """Numbers are given when a row is made and seen when it is committed: 7 may appear after 8 was read."""
    asked, first, second = lines(exchange)
    books.write((6, asked), (8, second))
    reading.look()
    books.write((7, first))
    assert reading.look(29) == [(6, "request"), (7, "approve"), (8, "approve")]
    assert reading.findings("content_mismatch") == []


@pytest.mark.parametrize(
    ("change", "secs"),
    [
        ("UPDATE acts SET line = 'x' WHERE id = 1", 1),
        ("UPDATE acts SET line = 'x' WHERE id = 1", 120),
        ("DELETE FROM acts WHERE id = 2", 1),
        ("DELETE FROM acts WHERE id = 2", 120),
        ("INSERT INTO acts (id, line) VALUES (0, 'x')", 120),
    ],
)
def test_a_changed_past_is_found_whether_it_is_settled_or_not(
    books: Books, exchange: Exchange, reading: Reading, change: str, secs: float
) -> None:
    books.write(*enumerate(lines(exchange), 1))
    reading.look()
    reading.look(secs)
    books.run(change)
    reading.look(20)
    (finding,) = reading.findings("content_mismatch")
    assert (finding.severity, finding.evidence["feed_rewritten"]) == ("critical", True)
    assert finding.evidence["expected_sha256"] != finding.evidence["found_sha256"]
    assert reading.findings("content_mismatch") == [finding]
    reading.look(60)
    assert reading.findings("content_mismatch") == [finding]


def test_malformed_rows_are_kept_and_a_huge_one_is_not_fetched_whole(
    books: Books, exchange: Exchange, reading: Reading
) -> None:
    asked, *_ = lines(exchange)
    books.run("INSERT INTO acts (id, line) VALUES (?, ?)", [(1, None), (2, "x" * 1_000_000), (3, asked.decode())])
    assert reading.look() == [(3, "request")]
    with reading.app.store.reading() as unit:
        assert [(m["line"], m["error"]) for m in unit.approvals.malformed("books")] == [
            (1, "empty line"),
            (2, "line of 65537 bytes, the longest allowed has 65536"),
        ]


def test_a_long_table_is_read_in_pages_and_all_of_it_proved(books: Books, exchange: Exchange, reading: Reading) -> None:
    (asked, *_) = lines(exchange)
    books.write(*((n, b"broken %d" % n) for n in range(6_500)), (6_500, asked))
    assert reading.look() == [(6_500, "request")]
    with reading.app.store.reading() as unit:
        assert len(unit.approvals.malformed("books")) == 6_500
    books.run("UPDATE acts SET line = 'other' WHERE id = 1")
    for _ in range(10):
        reading.look(11)
    assert len(reading.findings("content_mismatch")) == 1


def test_a_table_that_cannot_be_read_blinds_the_approvals_until_it_can(
    books: Books, exchange: Exchange, reading: Reading
) -> None:
    asked, *_ = lines(exchange)
    books.write((1, asked))
    reading.look()
    books.run("ALTER TABLE acts RENAME TO elsewhere")
    reading.look(1)
    (finding,) = reading.findings("feed_silent")
    assert "the table cannot be read" in finding.summary
    assert "books.db" not in str(finding.evidence)
    with reading.app.store.reading() as unit:
        assert unit.approvals.trouble().startswith("books: ")
    reading.look(1)
    assert len(reading.findings("feed_silent")) == 1
    books.run("ALTER TABLE elsewhere RENAME TO acts")
    assert reading.look(31) == [(1, "request")]
    with reading.app.store.reading() as unit:
        assert unit.approvals.trouble() == ""


def test_a_database_that_does_not_answer_is_left_alone_for_a_while(exchange: Exchange, reading: Reading) -> None:
    """Whoever looks holds the approval desk: each wait for a dead database holds up the judging of every chain."""
    asked: list[int] = []

    class Dead:
        def rows_after(self, number: int, limit: int) -> Sequence[tuple[int, bytes]]:
            asked.append(number)
            raise FeedUnreadable("the table cannot be read (Timeout)")

        rows_between = rows_after

    (feed,) = reading.app.feeds._feeds
    feed.rows = Dead()  # type: ignore[attr-defined]
    for _ in range(10):
        reading.look(5)
    assert len(asked) == 2


def test_the_table_is_never_written(books: Books) -> None:
    table = ActTable(lambda: books.url, "acts", "id", "line")
    assert table.rows_after(-1, 10) == []
    assert table._engine is not None
    with table._engine.connect() as connection, pytest.raises(Exception, match=r"read-?only"):
        connection.exec_driver_sql("INSERT INTO acts (id, line) VALUES (1, 'x')")
    table.close()


def test_a_sequence_that_is_no_number_is_said(books: Books) -> None:
    books.run("CREATE TABLE words (id TEXT, line TEXT)")
    books.run("INSERT INTO words VALUES ('a', 'x')")
    table = ActTable(lambda: books.url, "words", "id", "line")
    with pytest.raises(FeedUnreadable):
        table.rows_after(-1, 10)
    table.close()
