"""A feed that can be read and has nothing new: told once a silence, if somebody said how long is too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from exchanges import ANVIL, ETH, Exchange

from walletwatch.domain.findings import Finding
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
FEED = '[[approval_feed]]\ntype = "jsonl"\nname = "treasury"\npath = "approvals.jsonl"\n'


class Shifted:
    """An application whose clock the test moves."""

    def __init__(self, app: Application) -> None:
        self.app, self.ahead = app, timedelta(0)
        clock = app.store.clock
        app.store.clock = lambda: clock() + self.ahead

    def look(self, **later: float) -> list[Finding]:
        self.ahead += timedelta(**later)
        with self.app.approvals.held():
            self.app.feeds.read()
        with self.app.store.reading() as unit:
            return list(unit.findings.find(Filter(rule="feed_silent")))


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(tmp_path / "exchange", "", feeds=FEED + 'silent_after = "2h"\n')


@pytest.fixture
def shifted(exchange: Exchange) -> Iterator[Shifted]:
    with Application.open(exchange.settings()) as app:
        yield Shifted(app)


def test_a_log_that_stops_growing_is_told_once_and_again_for_the_next_silence(
    exchange: Exchange, shifted: Shifted
) -> None:
    exchange.approve(ANVIL, ETH, 1, PAYEE)
    assert shifted.look() == []
    assert shifted.look(minutes=119) == []
    (first,) = shifted.look(minutes=1.1)
    assert "has had nothing new since" in first.summary
    assert first.evidence["silent_after_secs"] == "7200"
    assert first.evidence["path"] == str(exchange.log)
    assert shifted.look(minutes=600) == [first]
    exchange.approve(ANVIL, ETH, 2, PAYEE)
    assert shifted.look() == [first]
    found = shifted.look(hours=3)
    assert len({f.evidence["silent_since"] for f in found}) == len(found) == 2


def test_another_process_does_not_tell_the_same_silence_again(exchange: Exchange, shifted: Shifted) -> None:
    shifted.look()
    (first,) = shifted.look(hours=3)
    with Application.open(exchange.settings()) as restarted:
        other = Shifted(restarted)
        assert other.look(hours=4) == [first]
        with restarted.store.reading() as unit:
            assert len(list(unit.alerts.find(Filter()))) == 1


def test_a_silent_log_still_counts(shifted: Shifted) -> None:
    """Unlike one that cannot be read: what it holds is known, so an outflow without approval is `unapproved`."""
    shifted.look()
    shifted.look(hours=3)
    with shifted.app.store.reading() as unit:
        assert unit.approvals.trouble() == ""


def test_without_a_bound_silence_is_no_finding(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path / "exchange", "", feeds=FEED)
    with Application.open(exchange.settings()) as app:
        quiet = Shifted(app)
        quiet.look()
        assert quiet.look(days=300) == []


def test_an_endpoint_nobody_posts_to_is_silent_too(tmp_path: Path) -> None:
    feed = '[[approval_feed]]\ntype = "http"\nname = "posts"\nsilent_after = "1h"\n'
    exchange = Exchange(tmp_path / "exchange", "", feeds=feed)
    with Application.open(exchange.settings()) as app:
        quiet = Shifted(app)
        quiet.look()
        (line, *_) = exchange.sign_request("W-1", ANVIL, ETH, 1, PAYEE)
        quiet.ahead += timedelta(minutes=50)
        app.feeds.post("posts", line)
        assert quiet.look(minutes=20) == []
        (told,) = quiet.look(minutes=50)
        assert datetime.fromisoformat(told.evidence["silent_since"]) <= app.store.clock() - timedelta(hours=1)
