"""The commands on a small deployment: what they answer, and with which status."""

import csv
import io
import shutil
import sqlite3
from pathlib import Path

import pytest
from cli_samples import BITCOIN, THEFT, THIEF, Run, runner, seed, write_deployment

from walletwatch.audit.proofs import verify_proof


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("deployment")
    write_deployment(made)
    seed(made)
    return made


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, folder / "walletwatch.toml")


LISTINGS = [
    ("outflows", "list"),
    ("requests", "list"),
    ("findings", "list"),
    ("rules", "list"),
    ("alerts", "list"),
    ("alerts", "silences"),
    ("labels", "list"),
    ("trace", "list"),
    ("audit", "query"),
    ("status",),
]


@pytest.mark.parametrize("form", ["table", "json", "csv", "md"])
@pytest.mark.parametrize("command", LISTINGS, ids=" ".join)
def test_every_listing_has_every_format(run: Run, command: tuple[str, ...], form: str) -> None:
    answer = run(*command, "--format", form)
    assert (answer.code, answer.err) == (0, "")
    if form == "json" and command != ("status",):
        assert isinstance(answer.json(), list)
    if form == "csv":
        header, *rows = csv.reader(io.StringIO(answer.out))
        assert all(len(row) == len(header) for row in rows)


def test_an_outflow_is_listed_with_what_is_known_of_it(run: Run) -> None:
    (row,) = run("outflows", "list", "--format", "json").json()
    assert (row["id"], row["tx"], row["amount"], row["symbol"]) == ("out_dmm", THEFT.hex(), "450290000000", "BTC")
    assert row["destinations"] == [{"address": THIEF, "amount": "450290000000", "label": "DMM thief"}]
    assert (row["findings"], row["requests"]) == (["fnd_dmm"], [])
    assert run("outflows", "show", "out_dmm", "--format", "json").json() == row
    assert "4,502.9 BTC" in run("outflows", "list").out
    shown = " ".join(run("outflows", "show", "out_dmm").out.split())
    assert "4,502.9 BTC (450290000000 base units)" in shown
    assert f"address {THIEF}, amount 4,502.9 BTC, label DMM thief" in shown


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--tx", THEFT.hex()), 1),
        (("--tx", "00" * 32), 0),
        (("--chain", "bitcoin"), 1),
        (("--chain", str(BITCOIN)), 1),
        (("--chain", "ethereum"), 0),
        (("--wallet", "btc-hot"), 1),
        (("--wallet", "btc-cold"), 0),
        (("--since", "2020-01-01", "--tz", "Asia/Tokyo"), 1),
        (("--until", "2020-01-01"), 0),
        (("--state", "included"), 1),
        (("--state", "final"), 0),
        (("--limit", "1"), 1),
    ],
)
def test_outflows_are_narrowed_by_their_fields(run: Run, filters: tuple[str, ...], count: int) -> None:
    assert len(run("outflows", "list", "--format", "json", *filters).json()) == count


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--rule", "transaction_limit"), 1),
        (("--rule", "btc-max"), 1),
        (("--rule", "unapproved", "--limit", "1"), 0),
        (("--severity", "critical", "--verdict", "violation"), 1),
        (("--severity", "low"), 0),
        (("--verdict", "undetermined"), 0),
        (("--mode", "shadow"), 0),
    ],
)
def test_findings_are_narrowed_by_their_fields(run: Run, filters: tuple[str, ...], count: int) -> None:
    assert len(run("findings", "list", "--format", "json", *filters).json()) == count


def test_status_has_the_objects_of_the_contract(run: Run) -> None:
    found = run("status", "--format", "json").json()
    assert [row["chain"] for row in found["chains"]] == ["bitcoin", "ethereum", "base"]
    assert {"chain", "cursor", "tip", "lag", "state", "endpoints", "last_error"} <= found["chains"][0].keys()
    assert found["outbox"] == {"due": 0, "failed": 0}
    assert found["alerts"] == {"open": 1}
    assert found["audit"]["size"] == 1


def test_an_alert_is_acknowledged_and_closed_on_record(run: Run) -> None:
    assert run("alerts", "ack", "alr_dmm", "--by", "treasury-1", "--reason", "calling").code == 0
    row = run("alerts", "show", "alr_dmm", "--format", "json").json()
    assert (row["state"], row["acknowledged"]["by"], row["acknowledged"]["reason"]) == (
        "acknowledged",
        "treasury-1",
        "calling",
    )
    again = run("alerts", "ack", "alr_dmm", "--by", "treasury-2", "--reason", "me too")
    assert again.code == 2
    assert "acknowledged already by treasury-1" in again.err
    assert run("alerts", "close", "alr_dmm", "--by", "treasury-1", "--reason", "dealt with").code == 0
    entries = run("audit", "query", "--actor", "treasury-1", "--format", "json").json()
    assert [(e["action"], e["subject"], e["payload"]["reason"]) for e in entries] == [
        ("alert.acknowledged", "alr_dmm", "calling"),
        ("alert.closed", "alr_dmm", "dealt with"),
    ]


@pytest.mark.parametrize("command", ["ack", "close", "silence"])
def test_decisions_need_who_and_why(run: Run, command: str) -> None:
    answer = run(
        "alerts", command, "alr_dmm", "--by", "treasury-1", *(["--until", "2099-01-01"] * (command == "silence"))
    )
    assert answer.code == 2
    assert "--reason" in answer.err
    blank = run(
        "alerts",
        command,
        "alr_dmm",
        "--by",
        " ",
        "--reason",
        "x",
        *(["--until", "2099-01-01"] * (command == "silence")),
    )
    assert (blank.code, "who decides" in blank.err) == (2, True)


def test_an_alert_is_silenced_until_a_time_and_speaks_again(run: Run) -> None:
    who = ("--by", "treasury-1", "--reason", "maintenance")
    assert run("alerts", "silence", "alr_dmm", *who).code == 2
    assert run("alerts", "silence", "alr_dmm", *who, "--until", "2020-01-01").code == 2
    assert run("alerts", "silence", *who, "--until", "2099-01-01").code == 2
    assert run("alerts", "silence", "alr_dmm", *who, "--until", "2099-01-01").code == 0
    assert run("alerts", "show", "alr_dmm", "--format", "json").json()["state"] == "silenced"
    (row,) = run("alerts", "silences", "--format", "json").json()
    assert (row["alerts"], row["until"]) == (["alr_dmm"], "2099-01-01T00:00:00.000000Z")
    assert run("alerts", "unsilence", "alr_dmm", *who).code == 0
    assert run("alerts", "show", "alr_dmm", "--format", "json").json()["state"] == "open"
    assert run("alerts", "silences", "--format", "json").json() == []
    assert run("alerts", "unsilence", "alr_dmm", *who).code == 2


def test_new_alerts_of_a_wallet_are_silenced_by_name(run: Run) -> None:
    who = ("--by", "treasury-1", "--reason", "maintenance")
    answer = run("alerts", "silence", "--wallet", "btc-hot", "--chain", "bitcoin", "--until", "2099-01-01", *who)
    identity = answer.out.split()[1]
    (row,) = run("alerts", "silences", "--format", "json").json()
    assert (row["id"], row["wallets"], row["chains"]) == (identity, ["btc-hot"], [str(BITCOIN)])
    assert run("alerts", "unsilence", identity, *who).code == 0
    assert [r["id"] for r in run("alerts", "silences", "--all", "--format", "json").json()] == [identity]


def test_the_log_verifies_and_a_changed_row_is_named(run: Run, folder: Path) -> None:
    note = run("audit", "checkpoint").out
    (folder / "kept.txt").write_text(note, encoding="utf-8")
    assert run("audit", "verify", "--checkpoint", str(folder / "kept.txt")).code == 0
    with sqlite3.connect(folder / "w.db") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("""UPDATE audit_entries SET payload = '{"finding":"none"}' WHERE seq = 0""")
    database.close()
    answer = run("audit", "verify", "--format", "json")
    assert (answer.code, answer.json()["first_bad"]) == (1, 0)
    assert "entry 0" in answer.err


def test_a_proof_stands_alone(run: Run) -> None:
    proof = run("audit", "prove", "0").out
    assert verify_proof(proof).ok
    assert not verify_proof(proof.replace("fnd_dmm", "fnd_dmn")).ok
    beyond = run("audit", "prove", "99")
    assert (beyond.code, "no entry 99" in beyond.err) == (2, True)


def test_labels_are_imported_looked_up_and_bad_rows_named(run: Run, folder: Path) -> None:
    file = folder / "labels.csv"
    other = "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P"
    file.write_text(f"address,label,category\n{other},the real payee,wallet\nnonsense,X,y\n", encoding="utf-8")
    answer = run("labels", "import", str(file), "--by", "compliance-1")
    assert (answer.code, "1 labels taken" in answer.out) == (1, True)
    assert "labels.csv:3" in answer.err or "line 3" in answer.err or "3" in answer.err
    (row,) = run("labels", "lookup", other, "--format", "json").json()
    assert (row["label"], row["category"]) == ("the real payee", "wallet")
    assert len(run("labels", "list", "--category", "theft", "--format", "json").json()) == 1
    assert run("labels", "lookup", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT").code == 1
    (entry,) = run("audit", "query", "--action", "labels.imported", "--format", "json").json()
    assert (entry["actor"], entry["payload"]["taken"], entry["payload"]["bad"]) == ("compliance-1", 1, 1)


def test_rules_are_explained_as_configured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "walletwatch.toml"
    rule = "[[rule]]\nid = 'btc-max'\ntype = 'transaction_limit'\nchains = ['bitcoin']\nmax = '50 BTC'\n"
    path.write_text(path.read_text(encoding="utf-8") + rule, encoding="utf-8")
    run = runner(monkeypatch, capsys, path)
    explained = run("rules", "explain", "transaction_limit", "--format", "json").json()
    assert explained["parameters"][0]["name"] == "max"
    assert explained["configured"][0]["params"]["max"]["units"] == "5000000000"
    rows = {row["rule_id"] or row["rule"]: row for row in run("rules", "list", "--format", "json").json()}
    assert rows["btc-max"]["on"] is True
    assert rows["new_destination"]["on"] is False


def test_the_database_is_brought_up_to_date(run: Run, folder: Path) -> None:
    current = run("db", "current", "--format", "json").json()
    assert current["revision"] == current["needed"]
    assert run("db", "upgrade").code == 0
    (folder / "w.db").unlink()
    stale = run("outflows", "list")
    assert (stale.code, "walletwatch db upgrade" in stale.err) == (2, True)
    assert run("db", "current").code == 1
    assert run("db", "upgrade").code == 0
    assert run("outflows", "list", "--format", "json").json() == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("outflows", "show", "out_none"), "there is no outflow"),
        (("findings", "show", "fnd_none"), "there is no finding"),
        (("alerts", "show", "alr_none"), "there is no alert"),
        (("requests", "show", "W-0"), "there is no request"),
        (("trace", "show", "case_none"), "there is no case"),
        (("trace", "stop", "case_none", "--by", "a", "--reason", "b"), "there is no case"),
        (("rules", "explain", "transaktion_limit"), "transaction_limit"),
        (("outflows", "list", "--tx", "12"), "not a transaction id"),
        (("outflows", "list", "--chain", "dogecoin"), "no chain is called"),
        (("outflows", "list", "--state", "lost"), "orphaned"),
        (("findings", "list", "--severity", "loud"), "critical"),
        (("outflows", "list", "--since", "soon"), "not a time"),
        (("outflows", "list", "--format", "xml"), "xml"),
        (("outflows", "list", "--nonsense"), "nonsense"),
        (("audit", "verify", "--checkpoint", "/nowhere/x"), "cannot read"),
        (("labels", "import", "/nowhere/x.csv"), "/nowhere/x.csv"),
        (("approvals", "verify", "/nowhere/x.jsonl"), "/nowhere/x.jsonl"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(run: Run, args: tuple[str, ...], words: str) -> None:
    answer = run(*args)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
    assert "Traceback" not in answer.err
