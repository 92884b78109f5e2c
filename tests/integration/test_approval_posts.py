"""Acts by POST on real databases and under a real daemon: kept before they are acknowledged, judged at once, once."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from exchanges import ANVIL, ETH, Exchange, wait_for, watching

from nodes.anvils import Anvil
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act, write_unsigned
from walletwatch.service.application import Application
from walletwatch.store import Store, open_store
from walletwatch.store.audits import AuditRepository
from walletwatch.store.statements import Filter

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
KILLS = 4


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def feed_toml(port: int, more: str = "") -> str:
    return f'[[approval_feed]]\ntype = "http"\nname = "posts"\nlisten = "127.0.0.1:{port}"\n{more}\n'


def post(port: int, body: bytes) -> dict[str, Any]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request("POST", "/approvals", body, {"Content-Type": "application/x-ndjson"})
        response = client.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return dict(answer)
    finally:
        client.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Exchange:
    url = "sqlite:///watch.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    return Exchange(tmp_path / "exchange", "", feeds=feed_toml(1), database=url)


@pytest.fixture
def app(exchange: Exchange) -> Iterator[Application]:
    with Application.open(exchange.settings()) as opened:
        yield opened


def lines(exchange: Exchange, request_id: str = "W-1") -> list[bytes]:
    return exchange.sign_request(request_id, ANVIL, ETH, 10**18, PAYEE)


def results(app: Application, body: bytes) -> list[str]:
    return [answer.result for answer in app.feeds.post("posts", body)]


def audited(store: Store, action: str) -> list[dict[str, Any]]:
    with store.reading() as unit:
        return [json.loads(e.payload) for e in unit.audit.find(Filter(action=action))]


def kept(store: Store) -> list[tuple[str, str, int]]:
    with store.reading() as unit:
        return [(act.kind.value, act.actor, act.line) for act in unit.approvals.find_acts(Filter())]


def test_lines_are_kept_once_however_often_they_are_posted(exchange: Exchange, app: Application) -> None:
    signed = lines(exchange)
    assert results(app, signed[0]) == ["taken"]
    assert results(app, b"".join(signed)) == ["duplicate", "taken", "taken"]
    assert results(app, b"".join(signed)) == ["duplicate"] * 3
    assert sorted(kept(app.store)) == [
        ("approve", "compliance-1", 4),
        ("approve", "treasury-2", 3),
        ("request", "treasury-1", 1),
    ]
    batches = audited(app.store, "approval.batch")
    assert [(b["acts"], b["malformed"], b["from_byte"]) for b in batches] == [(1, 0, 0), (2, 0, len(signed[0]))]
    assert all(len(b["sha256"]) == 64 and b["path"] == "127.0.0.1:1" for b in batches)


def test_a_malformed_line_is_kept_once_and_stops_no_other(exchange: Exchange, app: Application) -> None:
    body = b"nonsense\n" + lines(exchange)[0] + b'{"a":1,"a":2}\n'
    answers = app.feeds.post("posts", body)
    assert [a.result for a in answers] == ["malformed", "taken", "malformed"]
    assert "not JSON" in answers[0].reason
    assert "stands twice" in answers[2].reason
    assert results(app, body) == ["malformed", "duplicate", "malformed"]
    with app.store.reading() as unit:
        assert [(m["line"], m["error"][:20]) for m in unit.approvals.malformed("posts")] == [
            (1, answers[0].reason[:20]),
            (3, answers[2].reason[:20]),
        ]
        assert [f.rule for f in unit.findings.find(Filter())] == ["feed_malformed"]
    assert len(audited(app.store, "approval.malformed")) == 2


def test_an_unsigned_line_is_kept_and_does_not_count(exchange: Exchange, app: Application) -> None:
    """Whoever reaches the port is nobody in particular: an endpoint has no `signatures = "none"`."""
    intent = make_intent(chain=ANVIL, asset=ETH, amount=1, destination=PAYEE)
    unsigned = write_unsigned(make_payload("request", "W-9", "treasury-1", datetime.now(UTC), intent=intent))
    (answer,) = app.feeds.post("posts", unsigned)
    assert (answer.result, answer.refused) == ("taken", "invalid_signature")
    with app.store.reading() as unit:
        app.approvals.refresh(unit)
    assert app.approvals.book.get("W-9") is None


def test_an_act_of_the_future_counts_when_its_time_has_come(exchange: Exchange, app: Application) -> None:
    intent = make_intent(chain=ANVIL, asset=ETH, amount=1, destination=PAYEE)
    ahead = make_payload("request", "W-9", "treasury-1", datetime.now(UTC) + timedelta(hours=1), intent=intent)
    line = sign_act(ahead, exchange.asker.private_jwk, "treasury-1-key")
    (answer,) = app.feeds.post("posts", line)
    assert (answer.result, "more than 5 minutes in the future" in answer.reason) == ("malformed", True)
    assert kept(app.store) == []
    clock = app.store.clock
    app.store.clock = lambda: clock() + timedelta(hours=1)
    with app.approvals.held():
        app.feeds.read()
    assert kept(app.store) == [("request", "treasury-1", 1)]
    with app.store.reading() as unit:
        assert unit.approvals.malformed("posts") == []


def test_a_batch_that_fails_leaves_nothing_and_is_taken_when_tried_again(
    exchange: Exchange, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last thing before commit are the audit entries: effects and audit are one transaction."""
    body = b"".join(lines(exchange))

    def fail(_self: AuditRepository) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(AuditRepository, "flush", fail)
        with pytest.raises(RuntimeError, match="disk"):
            app.feeds.post("posts", body)
    assert kept(app.store) == []
    assert audited(app.store, "approval.batch") == []
    assert results(app, body) == ["taken"] * 3


def test_posts_from_many_threads_are_each_kept_under_their_own_line(exchange: Exchange, app: Application) -> None:
    bodies = [b"".join(lines(exchange, f"W-{n}")) + b"broken %d\n" % n for n in range(8)]
    answers: list[list[str]] = []
    threads = [threading.Thread(target=lambda body=body: answers.append(results(app, body))) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [["taken", "taken", "taken", "malformed"]] * 8
    with app.store.reading() as unit:
        broken = [m["line"] for m in unit.approvals.malformed("posts")]
    numbers = [line for _, _, line in kept(app.store)] + broken
    assert sorted(numbers) == list(range(1, 33))


def chain_toml(node: Anvil) -> str:
    return f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{node.url}"]
finality = 3
poll = "1s"
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses = ["{node.accounts[0]}"]
"""


@pytest.mark.anvil
def test_acts_that_come_late_by_post_answer_the_alert(tmp_path: Path, fresh_anvil: Anvil) -> None:
    port = free_port()
    exchange = Exchange(tmp_path / "exchange", chain_toml(fresh_anvil), feeds=feed_toml(port))
    with watching(exchange) as app:

        def cursor() -> object:
            with app.store.reading() as unit:
                return unit.chain_state.cursor(app.settings.chains[0].id)

        wait_for(cursor, "the chain is watched")
        signed = b"".join(lines(exchange))
        fresh_anvil.send(fresh_anvil.accounts[0], PAYEE, value=10**18)

        def told() -> list[Any]:
            with app.store.reading() as unit:
                return list(unit.findings.find(Filter(rule="unapproved")))

        (finding,) = wait_for(told, "the payment is told as unapproved")
        assert post(port, signed)["taken"] == 3
        with app.store.reading() as unit:
            assert finding.id in unit.findings.resolutions([finding.id])


def start(exchange: Exchange, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "walletwatch.cli.main", "--config", str(exchange.config), "run"]
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def answers() -> bool:
        assert daemon.poll() is None, daemon.stderr and daemon.stderr.read().decode()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, "the endpoint listens", 60)
    return daemon


@pytest.mark.anvil
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, fresh_anvil: Anvil) -> None:
    """An answer is given after the commit; between the two, a retry finds a duplicate."""
    port = free_port()
    exchange = Exchange(tmp_path / "exchange", chain_toml(fresh_anvil), feeds=feed_toml(port))
    acknowledged: set[str] = set()
    tried: list[bytes] = []
    for kill in range(KILLS):
        daemon = start(exchange, port)
        timer = threading.Timer(0.3 + 0.2 * kill, lambda pid=daemon.pid: os.kill(pid, signal.SIGKILL))
        timer.start()
        while True:
            request_id = f"W-{len(tried)}"
            tried.append(b"".join(lines(exchange, request_id)))
            try:
                post(port, tried[-1])
            except (OSError, http.client.HTTPException):
                break
            acknowledged.add(request_id)
        daemon.wait()
        if daemon.stderr is not None:
            daemon.stderr.close()
    store = open_store(exchange.settings().store.url.reveal())
    with store.reading() as unit:
        known = {act.request_id for act in unit.approvals.find_acts(Filter())}
        counts = {i: len(unit.approvals.acts_of([i])) for i in known}
    store.close()
    assert acknowledged
    assert acknowledged <= known
    assert set(counts.values()) == {3}
    daemon = start(exchange, port)
    again = [post(port, body) for body in tried]
    daemon.terminate()
    assert daemon.wait() == 0
    if daemon.stderr is not None:
        daemon.stderr.close()
    assert sum(a["duplicate"] for a in again) == 3 * len(known)
    assert sum(a["taken"] for a in again) == 3 * (len(tried) - len(known))


@pytest.mark.postgres
def test_two_processes_that_take_posts_never_give_a_line_twice(postgres_url: str, tmp_path: Path) -> None:
    """Behind one address two daemons may listen; where a feed stands is locked, or a malformed line would hide one."""
    exchange = Exchange(tmp_path / "exchange", "", feeds=feed_toml(1), database=postgres_url)
    answers: list[list[str]] = []

    def run(daemon: int) -> None:
        with Application.open(exchange.settings()) as app:
            for n in range(6):
                signed = exchange.sign_request(f"W-{daemon}-{n}", ANVIL, ETH, 10**18, PAYEE)
                answers.append(results(app, b"".join(signed) + b"broken %d %d\n" % (daemon, n)))

    threads = [threading.Thread(target=run, args=(daemon,)) for daemon in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [["taken", "taken", "taken", "malformed"]] * 12
    with Application.open(exchange.settings()) as app:
        with app.store.reading() as unit:
            broken = [m["line"] for m in unit.approvals.malformed("posts")]
        assert sorted([line for _, _, line in kept(app.store)] + broken) == list(range(1, 49))
