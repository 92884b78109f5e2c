"""Times that people write into acts after the fact, told to a real daemon's application on a real node."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from exchanges import ANVIL, ETH, Exchange
from played_exchanges import ETHER, THIEF, Played, played_on

from nodes.anvils import Anvil
from walletwatch.approvals.act_files import make_intent, make_payload
from walletwatch.domain.alerts import AlertState
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.anvil


@pytest.fixture
def played(fresh_anvil: Anvil, tmp_path: Path) -> Iterator[Played]:
    with played_on(fresh_anvil, tmp_path) as found:
        yield found


@pytest.mark.parametrize("ago", [timedelta(hours=2), timedelta(days=30)])
def test_acts_dated_back_after_a_theft_close_nothing(played: Played, ago: timedelta) -> None:
    """Acts backdated by hours or thirty days, written when the theft was known, closed its alert as `system`."""
    stolen = played.pay(3 * ETHER)
    (before,) = played.findings(stolen)
    assert before.rule == "unapproved"
    played.write(*played.request(3 * ETHER, ago))
    (after,) = played.findings(stolen)
    assert after.rule == "unapproved"
    assert played.alert_state() == [AlertState.OPEN]
    with played.app.store.reading() as unit:
        acts = unit.approvals.acts_of([f"W-{3 * ETHER}"])
    assert {(a.refused, a.read_late) for a in acts} == {("approved_after_broadcast", False)}


def test_acts_that_are_a_little_late_still_explain_their_payment(played: Played) -> None:
    played.node.rpc("evm_increaseTime", [600])
    paid = played.pay(2 * ETHER)
    played.write(*played.request(2 * ETHER, timedelta(minutes=20)))
    assert played.findings(paid) == []


def test_what_is_dated_while_the_feed_was_not_read_counts_and_says_so(played: Played) -> None:
    """The log was away for three hours: nobody could read what people wrote into it meanwhile."""
    away = played.exchange.log.with_suffix(".away")
    played.exchange.log.rename(away)
    played.turn()
    played.ahead += timedelta(hours=3)
    played.turn()
    away.rename(played.exchange.log)
    played.write(*played.request(4 * ETHER, timedelta(hours=2)))
    with played.app.store.reading() as unit:
        acts = unit.approvals.acts_of([f"W-{4 * ETHER}"])
        (unread,) = unit.audit.find(Filter(action="approval.unread"))
    assert {(a.refused, a.read_late) for a in acts} == {("", True)}
    assert "No such file" in str(unread.payload)


def test_a_log_read_for_the_first_time_is_believed_and_marked(played: Played, tmp_path: Path) -> None:
    """At first contact nobody can say when a line was written: what rests on it says that it was read late."""
    other = Exchange(tmp_path / "other", played.exchange.chains)
    other.asker, other.checkers = played.exchange.asker, played.exchange.checkers
    other.config.write_text(other._toml())
    at = datetime.now(UTC) - timedelta(days=3)
    intent = make_intent(chain=ANVIL, asset=ETH, amount=5, destination=THIEF)
    other.log.write_bytes(other._sign(other.asker, make_payload("request", "W-5", other.asker.id, at, intent=intent)))
    with Application.open(other.settings()) as app:
        with app.approvals.held():
            app.feeds.read()
        with app.store.reading() as unit:
            (act,) = unit.approvals.acts_of(["W-5"])
    assert (act.refused, act.read_late) == ("", True)
