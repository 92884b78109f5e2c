from __future__ import annotations

import pytest

from chains.model import Address
from unit.rules_examples import BITCOIN, DMM_PAYEE, DMM_THIEF, NAMES, ago, out, world
from unit.rules_facts import MemoryFacts
from walletwatch.domain.findings import VerdictKind
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Request
from walletwatch.rules.engine import examine
from walletwatch.rules.lookalikes import Alphabet, PayeeIndex, free_characters
from walletwatch.rules.registry import configure

LOOKALIKE = configure({"type": "lookalike_destination"}, amounts=NAMES)


def address(text: str) -> Address:
    return Address(text.encode(), text)


@pytest.mark.parametrize(
    ("text", "alphabet", "free"),
    [
        ("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P", Alphabet.BASE58, "B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P"),
        ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", Alphabet.BASE58, "R7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
        ("0xdAC17F958D2ee523a2206206994597C13D831ec7", Alphabet.HEX, "dac17f958d2ee523a2206206994597c13d831ec7"),
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", Alphabet.BECH32, "w508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", Alphabet.BECH32, None),
        ("script:6a04deadbeef", None, None),
        ("", None, None),
    ],
)
def test_what_an_address_has_of_its_own(text: str, alphabet: Alphabet | None, free: str | None) -> None:
    found = free_characters(text)
    assert (found[0] if found else None) is alphabet
    assert free is None or (found is not None and found[1] == free)


def verdict(*, request_for_thief: bool = False, allowlisted: bool = False, paid_thief: bool = False) -> VerdictKind:
    """The thief's address is paid, after the real payee was."""
    past = [out(to=DMM_PAYEE, at=ago(86_400), name="payee")]
    if paid_thief:
        past.append(out(to=DMM_THIEF, at=ago(3_600), name="thief"))
    known = world(past, allowlisted=[DMM_THIEF] if allowlisted else [])
    if request_for_thief:
        act = Act(ActKind.REQUEST, "W-1", "desk", ago(600), b"", "feed", 1)
        known.requests = [Request("W-1", Intent(BITCOIN, past[0].asset, 10**8, DMM_THIEF, "sha256:0"), act)]
    subject = out(to=DMM_THIEF)
    (answer,) = examine(subject, MemoryFacts(known, subject), [LOOKALIKE]).answers
    assert answer.verdict is not None
    return answer.verdict.kind


def test_a_request_for_the_thiefs_address_does_not_make_it_known() -> None:
    """DMM Bitcoin 2024-05-31: the destination was changed in the request itself, which people then signed."""
    assert verdict(request_for_thief=True) is VerdictKind.VIOLATION


def test_what_people_allowlisted_or_paid_before_is_no_lookalike() -> None:
    assert verdict(allowlisted=True) is VerdictKind.PASS
    assert verdict(paid_thief=True) is VerdictKind.PASS


def test_four_and_four_would_have_missed_it() -> None:
    """DMM Bitcoin: the thief matched four characters after the 1 and two at the end; the sum is six."""
    (found,) = PayeeIndex([DMM_PAYEE]).near(DMM_THIEF)
    assert (found.first, found.last, found.score) == (4, 2, 6)


@pytest.mark.parametrize(("alike", "hits"), [(6, 0), (7, 1)])
def test_hexadecimal_needs_seven(alike: int, hits: int) -> None:
    payee = address("0x" + "a" * 40)
    near = address("0x" + "a" * 4 + "b" * (36 - (alike - 4)) + "a" * (alike - 4))
    assert len(PayeeIndex([payee]).near(near)) == hits


def test_the_threshold_can_be_moved_either_way() -> None:
    subject = out(to=DMM_THIEF)
    known = world([out(to=DMM_PAYEE, at=ago(60), name="payee")])
    kinds = []
    for score in (4, 6, 7):
        config = configure({"type": "lookalike_destination", "base58": score}, amounts=NAMES)
        (answer,) = examine(subject, MemoryFacts(known, subject), [config]).answers
        kinds.append(answer.verdict and answer.verdict.kind)
    assert kinds == [VerdictKind.VIOLATION, VerdictKind.VIOLATION, VerdictKind.PASS]
