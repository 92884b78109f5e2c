"""What every way to people must do, whatever it is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import pytest

from alerts_samples import T0, THIEF, make_alert, make_finding, make_outflow, make_view
from walletwatch.alerts.lifecycle import acknowledge
from walletwatch.alerts.ports import AlertView, Notifier, PriorDelivery, Sent
from walletwatch.domain.labels import Label

SECRET = "s3cr3t-t0k3n"
HOSTILE = "<!channel> <https://evil.example|OFAC cleared> @here *APPROVED* [bold red]x[/] \x1b[2J \u202e`&amp;"


class Rig(Protocol):
    """A notifier and its real other end."""

    notifier: Notifier

    def received(self) -> list[str]:
        """The texts people or programs got, oldest first; a message changed in place counts once, as it stands."""

    def break_it(self) -> None:
        """Make the other end unreachable."""


def hostile_view() -> AlertView:
    """Somebody else's words everywhere where they can come in."""
    finding = make_finding(summary=f"memo says {HOSTILE}")
    outflow = make_outflow(payments=tuple(replace(p, address=THIEF) for p in make_outflow().payments))
    labels = {THIEF.text: (Label("*", THIEF.text, HOSTILE, "other"),)}
    return make_view(make_alert(finding), findings=(finding,), outflows=(outflow,), labels=labels)


def huge_view() -> AlertView:
    """More than any sink takes: 200 findings of long words over 300 destinations."""
    findings = tuple(make_finding(f"rule_{n}", rule_id=f"rule-{n}", summary="<&>" * 2_000) for n in range(200))
    payments = tuple(replace(make_outflow().payments[0], ordinal=n) for n in range(300))
    payments = tuple(replace(p, address=replace(THIEF, text=f"{THIEF.text}{p.ordinal}" * 4)) for p in payments)
    return make_view(make_alert(*findings), findings=findings, outflows=(make_outflow(payments=payments),))


class NotifierContract:
    """Subclasses give a `rig` fixture."""

    def test_an_alert_arrives_with_its_id_title_and_reasons(self, rig: Rig) -> None:
        view = make_view()
        assert isinstance(rig.notifier.send(view, PriorDelivery()), Sent)
        (text,) = rig.received()
        for part in (view.alert.id, "4,502.9 BTC left hot wallet dmm-hot", THIEF.text, "no request explains", "W-1042"):
            assert part in text

    def test_a_change_arrives_under_the_same_id(self, rig: Rig) -> None:
        view = make_view()
        first = rig.notifier.send(view, PriorDelivery())
        assert isinstance(first, Sent)
        known = make_view(acknowledge(view.alert, "treasury-1", "looking", T0 + timedelta(minutes=1)))
        second = rig.notifier.send(known, PriorDelivery(1, first.remote_id))
        assert isinstance(second, Sent)
        texts = rig.received()
        assert len(texts) == (1 if rig.notifier.can_edit else 2)
        assert view.alert.id in texts[-1]
        assert "treasury-1" in texts[-1]
        if rig.notifier.can_edit:
            assert second.remote_id == first.remote_id

    def test_a_sink_that_is_down_is_a_reason_and_no_exception(self, rig: Rig) -> None:
        rig.break_it()
        for result in (rig.notifier.send(make_view(), PriorDelivery()), rig.notifier.check()):
            assert not isinstance(result, Sent)
            assert result.reason
            assert SECRET not in result.reason

    def test_a_sink_that_is_up_says_so_without_a_message(self, rig: Rig) -> None:
        assert isinstance(rig.notifier.check(), Sent)
        assert rig.received() == []

    def test_an_alert_too_large_for_the_sink_arrives_all_the_same(self, rig: Rig) -> None:
        view = huge_view()
        assert isinstance(rig.notifier.send(view, PriorDelivery()), Sent)
        (text,) = rig.received()
        assert view.alert.id in text
        assert "rule 0" in text or "rule_0" in text

    def test_hostile_words_arrive_and_do_nothing(self, rig: Rig) -> None:
        view = hostile_view()
        assert isinstance(rig.notifier.send(view, PriorDelivery()), Sent)
        (text,) = rig.received()
        assert view.alert.id in text
        assert "\x1b" not in text
        self.refuse_tricks(rig)

    def refuse_tricks(self, rig: Rig) -> None:
        """What hostile words must not have done, in this sink's own language."""

    def test_secrets_never_show(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        rig.notifier.send(make_view(), PriorDelivery())
        rig.break_it()
        rig.notifier.send(make_view(), PriorDelivery())
        assert SECRET not in repr(rig.notifier)
        assert SECRET not in caplog.text
