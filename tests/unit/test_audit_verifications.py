"""A log behind whose back something was done: each kind is found and named, by what is left to find it with."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from walletwatch.audit.leaves import AuditEntry, entry_hash, make_entry
from walletwatch.audit.merkle import EMPTY_ROOT, Frontier
from walletwatch.audit.notes import SigningKey, sign_checkpoint
from walletwatch.audit.verdicts import Verification
from walletwatch.audit.verification import Anchor, Head, verify_log

KEY = SigningKey.generate("audit.exchange.example/log")
START = datetime(2026, 11, 22, tzinfo=UTC)


def make_log(size: int, note: str = "") -> list[AuditEntry]:
    return [
        make_entry(
            n, START + timedelta(seconds=n), "system", "outflow.seen", f"tx-{n}", {"amount": str(n), "note": note}
        )
        for n in range(size)
    ]


LOG = make_log(50)


def head_of(log: list[AuditEntry]) -> Head:
    frontier = Frontier().extend(e.leaf_hash for e in log)
    return Head(len(log), frontier.root(), frontier.to_bytes())


def checkpoint_of(log: list[AuditEntry]) -> str:
    return sign_checkpoint(KEY, len(log), head_of(log).root)


NOTES = [checkpoint_of(LOG[:n]) for n in (0, 10, 33, 40)]


def check(
    log: list[AuditEntry],
    head: Head | None = None,
    notes: list[str] | None = None,
    outside: str | None = None,
    anchors: tuple[Anchor, ...] = (),
) -> Verification:
    return verify_log(
        iter(log),
        head=head or head_of(LOG),
        checkpoints=NOTES if notes is None else notes,
        vkey=KEY.verifying_key,
        outside_checkpoint=outside,
        anchors=anchors,
    )


def kinds(found: Verification) -> list[str]:
    return [p.kind for p in found.problems]


def rewritten(entry: AuditEntry, payload: str) -> AuditEntry:
    """As a forger with the code at hand would do it: the leaf hash fits."""
    changed = replace(entry, payload=payload)
    return replace(changed, leaf_hash=entry_hash(changed))


def test_an_untouched_log_is_fine_and_says_what_is_not_signed_yet() -> None:
    found = check(LOG, outside=NOTES[2])
    assert found.ok
    assert (found.size, found.signed_size, found.unsigned, found.checkpoints) == (50, 40, 10, 5)
    assert found.root == head_of(LOG).root
    assert check([], head_of([]), [checkpoint_of([])]).root == EMPTY_ROOT


@pytest.mark.parametrize("column", ["recorded_at", "actor", "action", "subject", "payload"])
def test_a_changed_column_names_its_entry_and_no_other(column: str) -> None:
    log = [*LOG[:17], replace(LOG[17], **{column: "{}"}), *LOG[18:]]
    found = check(log)
    assert kinds(found) == ["changed"]
    assert found.first_bad == 17
    assert "entry 17 was changed" in found.problems[0].message


def test_a_payload_of_the_same_meaning_in_other_bytes_is_a_change() -> None:
    assert check([*LOG[:3], replace(LOG[3], payload=LOG[3].payload + " "), *LOG[4:]]).first_bad == 3


@pytest.mark.parametrize("payload", [b"{}", None, "\ud800", 5])
def test_a_row_of_wrong_types_is_named_and_does_not_stop_the_check(payload: object) -> None:
    log = [*LOG[:3], replace(LOG[3], payload=payload), *LOG[4:9], replace(LOG[9], actor="x"), *LOG[10:]]
    assert [p.seq for p in check(log).problems] == [3, 9]


def test_a_changed_leaf_hash_is_found_by_row_and_by_root() -> None:
    found = check([*LOG[:17], replace(LOG[17], leaf_hash=bytes(32)), *LOG[18:]])
    assert found.first_bad == 17
    assert kinds(found) == ["changed", "root", "root", "head"]
    assert check([*LOG[:17], replace(LOG[17], leaf_hash=b"short"), *LOG[18:]]).problems[0].seq == 17


def test_a_forger_who_fits_the_hash_is_caught_between_two_checkpoints() -> None:
    found = check([*LOG[:17], rewritten(LOG[17], "{}"), *LOG[18:]])
    assert kinds(found) == ["root", "root", "head"]
    assert "an entry in 10 to 32 was changed" in found.problems[0].message


def test_a_row_deleted_in_the_middle_is_named() -> None:
    found = check(LOG[:20] + LOG[21:])
    assert found.problems[0].message == "entry 20 is missing"
    assert (kinds(found), found.first_bad, found.root) == (["missing"], 20, None)
    assert check(LOG[:20] + LOG[24:]).problems[0].message == "entries 20 to 23 are missing"
    assert check(LOG[1:]).first_bad == 0
    assert found.notices == ("entries from 10 on could not be checked against a signed root",)
    both = check(LOG[:20] + LOG[21:30] + [replace(LOG[30], actor="x"), *LOG[31:]])
    assert [p.seq for p in both.problems] == [20, 30]


def test_a_deleted_row_whose_followers_were_renumbered_is_caught() -> None:
    moved = [replace(e, seq=e.seq - 1) for e in LOG[21:]]
    assert check(LOG[:20] + moved).first_bad == 20
    fitted = [replace(e, leaf_hash=entry_hash(e)) for e in moved]
    assert "an entry in 10 to 32" in check(LOG[:20] + fitted).problems[0].message


def test_rows_cut_from_the_end_are_named_with_both_sizes() -> None:
    found = check(LOG[:45])
    assert kinds(found) == ["cut"]
    assert found.problems[0].message == (
        "the stored head says 50 entries, the log has 45: entries 45 to 49 are missing"
    )
    assert check([]).first_bad == 0


def test_rows_cut_and_head_rewritten_are_caught_by_a_checkpoint() -> None:
    found = check(LOG[:35], head_of(LOG[:35]))
    assert kinds(found) == ["cut"]
    assert "covers 40 entries, the log has 35: entries 35 to 39 are missing" in found.problems[0].message


def test_rows_head_and_checkpoints_rewritten_are_caught_by_the_checkpoint_kept_outside() -> None:
    cut = LOG[:35]
    assert check(cut, head_of(cut), NOTES[:3]).ok
    found = check(cut, head_of(cut), NOTES[:3], outside=NOTES[3])
    assert kinds(found) == ["cut"]
    assert "the checkpoint kept outside (size 40)" in found.problems[0].message
    forged = make_log(50, "forged")
    found = check(forged, head_of(forged), [], outside=NOTES[3])
    assert kinds(found) == ["root"]
    assert found.first_bad == 0


def test_an_anchor_catches_what_was_rewritten() -> None:
    forged = make_log(50, "forged")
    anchors = (Anchor(33, head_of(LOG[:33]).root, "time stamp 7"),)
    assert check(LOG, anchors=anchors).ok
    found = check(forged, head_of(forged), [], anchors=anchors)
    assert "the anchor at time stamp 7 (size 33)" in found.problems[0].message


def test_rows_added_past_the_head_are_named() -> None:
    found = check(make_log(53))
    assert (kinds(found), found.first_bad) == (["appended"], 50)
    assert "says 50 entries, the log has 53" in found.problems[0].message


def test_rows_twice_or_out_of_order_are_named() -> None:
    found = check([*LOG[:8], LOG[7], *LOG[8:]])
    assert (kinds(found), found.first_bad) == (["order"], 8)


def test_a_head_that_is_gone_or_contradicts_itself_is_said() -> None:
    found = verify_log(LOG, head=None, checkpoints=NOTES, vkey=KEY.verifying_key)
    assert kinds(found) == ["head"]
    head = head_of(LOG)
    assert kinds(check(LOG, replace(head, root=bytes(32)))) == ["head", "head"]
    assert kinds(check(LOG, replace(head, frontier=head_of(LOG[:49]).frontier))) == ["head"]
    assert kinds(check(LOG, replace(head, frontier=b"junk"))) == ["head"]


def test_a_checkpoint_signed_by_somebody_else_is_no_checkpoint() -> None:
    forged = sign_checkpoint(SigningKey.generate(KEY.name), 40, head_of(LOG[:40]).root)
    found = check(LOG, notes=[*NOTES, forged])
    assert kinds(found) == ["checkpoint"]
    assert "stored checkpoint 5 is not valid" in found.problems[0].message


def test_two_checkpoints_of_one_size_with_different_roots_cannot_both_stand() -> None:
    found = check(LOG, notes=[*NOTES, sign_checkpoint(KEY, 40, bytes(32))])
    assert kinds(found) == ["root"]


def test_a_log_replaced_altogether_reports_its_first_hundred_problems() -> None:
    wrong = [replace(e, actor="x") for e in make_log(500)]
    assert len(check(wrong).problems) == 100


def test_one_pass_is_enough_and_progress_is_told() -> None:
    seen: list[tuple[int, int | None]] = []
    log = make_log(9000)

    def once() -> Iterator[AuditEntry]:
        yield from log

    found = verify_log(
        once(),
        head=head_of(log),
        checkpoints=[],
        vkey=KEY.verifying_key,
        progress=lambda done, whole: seen.append((done, whole)),
    )
    assert found.ok
    assert seen == [(4096, 9000), (8192, 9000)]
