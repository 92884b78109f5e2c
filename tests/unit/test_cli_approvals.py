"""Approval logs and requests on the command line."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from approvals_samples import ED, STRANGER, public
from cli_samples import Run, runner, write_deployment
from vendors_samples import ASKER, FIRST, authorised, fireblocks

from chains.registry import parse_address
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act
from walletwatch.approvals.acts import parse_act
from walletwatch.cli.errors import Exit
from walletwatch.cli.probes import _check_feed
from walletwatch.domain.withdrawals import Act
from walletwatch.service.application import Application
from walletwatch.settings import load
from walletwatch.store import open_store

AT = datetime(2026, 11, 1, tzinfo=UTC)
INTENT = make_intent(
    chain="eip155:1",
    asset="eip155:1/slip44:60",
    amount=15 * 10**17,
    destination="0x52908400098527886E0F7030069857D2E4169EE7",
    memo="=cmd",
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    jwk = ", ".join(f'{key} = "{value}"' for key, value in public(ED).items())
    person = (
        '[[person]]\nid = "treasury-9"\ndepartment = "treasury"\nroles = ["requester", "approver"]\n'
        f'keys = [{{ kid = "ed", jwk = {{ {jwk} }} }}]\n'
    )
    return write_deployment(tmp_path, person)


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, config)


def lines_of(*kinds: str) -> list[bytes]:
    return [sign_act(make_payload(kind, "W-1042", "treasury-9", AT, intent=INTENT), ED, "ed") for kind in kinds]


def test_a_good_log_is_fine_and_a_forged_line_is_named(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    good = lines_of("request", "approve")
    log.write_bytes(b"".join(good))
    answer = run("approvals", "verify", str(log), "--format", "json")
    assert answer.code == 0
    assert answer.json()[1] == {
        "line": 2,
        "ok": True,
        "act": "approve",
        "request_id": "W-1042",
        "actor": "treasury-9",
        "kid": "ed",
    }
    forged = sign_act(make_payload("approve", "W-1042", "treasury-9", AT, intent=INTENT), STRANGER, "ed")
    log.write_bytes(b"".join([*good, forged, b"nonsense\n"]))
    answer = run("approvals", "verify", str(log), "--format", "json")
    assert [(row["line"], row["ok"], row.get("rule")) for row in answer.json()] == [
        (1, True, None),
        (2, True, None),
        (3, False, "invalid_signature"),
        (4, False, "feed_malformed"),
    ]
    assert (answer.code, "2 of 4 lines are bad" in answer.err, "lines 3, 4" in answer.err) == (1, True, True)


def test_unsigned_lines_are_good_only_where_allowed(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(make_payload("request", "W-1", "treasury-9", AT, intent=INTENT)) + "\n", encoding="utf-8")
    assert run("approvals", "verify", str(log)).code == 1
    assert run("approvals", "verify", str(log), "--signatures", "none").code == 0
    assert run("approvals", "verify", str(log), "--signatures", "some").code == 2


def test_requests_are_listed_with_their_acts(run: Run, config: Path, tmp_path: Path) -> None:
    people = load(config, environ={}).people()
    store = open_store(f"sqlite:///{tmp_path}/w.db")
    with store.transaction() as unit:
        for number, line in enumerate(lines_of("request", "approve"), start=1):
            act = parse_act(
                line.rstrip(),
                feed="f",
                line_no=number,
                signatures="required",
                people=people,
                parse_address=parse_address,
                read_at=unit.now,
            )
            assert isinstance(act, Act)
            unit.approvals.add_act(act, unit.now)
    store.close()
    (row,) = run("requests", "list", "--format", "json").json()
    assert (row["id"], row["state"], row["amount"], row["symbol"]) == ("W-1042", "open", "1500000000000000000", "ETH")
    assert {(act["act"], act["actor"], act["line"], act["refused"]) for act in row["acts"]} == {
        ("request", "treasury-9", 1, ""),
        ("approve", "treasury-9", 2, ""),
    }
    assert run("requests", "show", "W-1042", "--format", "json").json() == row
    assert "1.5 ETH" in run("requests", "list").out
    assert "'=cmd" in run("requests", "list", "--format", "csv").out
    for narrow, count in (("--state=paid", 0), ("--state=open", 1), ("--chain=base", 0), ("--until=2026-11-01", 0)):
        assert len(run("requests", "list", narrow, "--format", "json").json()) == count


def test_a_log_is_read_in_once_and_on_record(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "export.jsonl"
    request, approve = lines_of("request", "approve")
    log.write_bytes(request)
    assert run("approvals", "import", str(log), "--by", "treasury-9").out.startswith("1 new acts")
    assert [row["id"] for row in run("requests", "list", "--format", "json").json()] == ["W-1042"]
    assert run("approvals", "import", str(log)).out.startswith("0 new acts")
    log.write_bytes(request + approve)
    assert run("approvals", "import", str(log)).out.startswith("1 new acts")
    entries = run("audit", "query", "--action", "approvals.imported", "--format", "json").json()
    assert [(e["actor"], e["payload"]["acts"]) for e in entries] == [
        ("treasury-9", "1"),
        ("operator", "0"),
        ("operator", "1"),
    ]


def test_another_export_under_the_same_name_is_no_rewritten_past(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "export.jsonl"
    request, approve = lines_of("request", "approve")
    log.write_bytes(request)
    assert run("approvals", "import", str(log)).code == 0
    log.write_bytes(approve)
    assert run("approvals", "import", str(log)).out.startswith("1 new acts")
    assert run("findings", "list", "--format", "json").json() == []


def test_malformed_lines_are_kept_and_told(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "export.jsonl"
    log.write_bytes(b"nonsense\n" + lines_of("request")[0])
    answer = run("approvals", "import", str(log))
    assert (answer.code, answer.out, "1 lines are malformed" in answer.err) == (1, f"1 new acts from {log}\n", True)
    (finding,) = run("findings", "list", "--rule", "feed_malformed", "--format", "json").json()
    assert finding["tx"] is None


@pytest.fixture
def vendor_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    names = (("treasury-9", '"requester"'), ("treasury-8", '"approver"'))
    people = "".join(f'[[person]]\nid = "{i}"\ndepartment = "treasury"\nroles = [{role}]\n' for i, role in names)
    feed = (
        '[[approval_feed]]\ntype = "fireblocks"\npath = "history.json"\nassets = { ETH = "eip155:1/slip44:60" }\n'
        f'people = {{ "{ASKER}" = "treasury-9", "{FIRST}" = "treasury-8" }}\n'
    )
    return runner(monkeypatch, capsys, write_deployment(tmp_path, people + feed))


def test_a_vendors_export_is_imported_by_its_feeds_words_and_marked_for_what_it_is(
    vendor_run: Run, tmp_path: Path
) -> None:
    export = tmp_path / "older.json"
    record = fireblocks(status="QUEUED", authorizationInfo=authorised((FIRST, "APPROVED")))
    export.write_text(json.dumps([record]), encoding="utf-8")
    answer = vendor_run("approvals", "import", str(export), "--from", "fireblocks", "--by", "treasury-1")
    assert (answer.code, answer.out) == (0, f"2 new acts from {export}\n")
    shown = vendor_run("requests", "show", f"fireblocks:{record['id']}", "--format", "json").json()
    assert [(a["act"], a["actor"], a["grade"], a["signed"]) for a in shown["acts"]] == [
        ("request", "treasury-9", "vendor-export", False),
        ("approve", "treasury-8", "vendor-export", False),
    ]
    again = vendor_run("approvals", "import", str(export), "--from", "fireblocks")
    assert (again.code, again.out) == (0, f"0 new acts from {export}\n")
    export.write_text(json.dumps([record, {**record, "id": "x", "assetId": "DOGE"}]), encoding="utf-8")
    bad = vendor_run("approvals", "import", str(export), "--from", "fireblocks")
    assert (bad.code, "1 records are malformed" in bad.err) == (1, True)


def test_an_export_that_nothing_explains_or_nobody_can_read_is_said(vendor_run: Run, tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    export.write_text("[{", encoding="utf-8")
    for arguments, words in (
        (("--from", "bitgo"), "nothing says who bitgo's users are"),
        (("--from", "fax"), "--from"),
        (("--from", "fireblocks"), "is not JSON"),
    ):
        answer = vendor_run("approvals", "import", str(export), *arguments)
        assert (answer.code, words in answer.err) == (2, True)


def test_a_live_check_looks_at_every_feed_and_keeps_nothing(tmp_path: Path) -> None:
    people = '[[person]]\nid = "treasury-9"\ndepartment = "treasury"\nroles = ["requester"]\n'
    feeds = "".join(
        f"[[approval_feed]]\n{feed}\n"
        for feed in (
            'type = "jsonl"\npath = "log.jsonl"',
            'type = "http"\nlisten = "127.0.0.1:9"',
            'type = "table"\nurl = "sqlite:///absent.db"\ntable = "acts"',
            'type = "fireblocks"\npath = "history.json"\npeople = { u = "treasury-9" }\nassets = { B = "BTC" }',
        )
    )
    config = write_deployment(tmp_path, people + feeds)
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines_of("request", "approve")) + b"broken\n")
    (tmp_path / "history.json").write_text("[]", encoding="utf-8")
    with Application.open(load(config, environ={}, need_secrets=False)) as application:
        told = [_check_feed(feed, application.store) for feed in application.feeds.sources]
        with application.store.reading() as unit:
            assert unit.approvals.count_acts() == 0
    assert [(probe.what, probe.said, probe.code) for probe in told] == [
        ("approval feed log.jsonl", f"{tmp_path / 'log.jsonl'}: 2 new acts, 1 malformed lines", Exit.FINE),
        ("approval feed http", "is taken at 127.0.0.1:9 while the daemon runs", Exit.FINE),
        ("approval feed table", "the table cannot be read (OperationalError)", Exit.UNREACHABLE),
        ("approval feed history.json", f"{tmp_path / 'history.json'}: 0 new acts, 0 malformed lines", Exit.FINE),
    ]
