"""The label book: by chain, by form of the address, by time; contradictions are shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from chains.model import ChainId
from walletwatch.domain.labels import Label
from walletwatch.labels.label_book import LabelBook, find_conflicts

ETHEREUM, BNB = ChainId.parse("eip155:1"), ChainId.parse("eip155:56")
BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
SAFE = "0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LABEL = Label("eip155:1", SAFE, "Cold wallet 1", "exchange", "attested", 900)


def test_hex_compares_without_case_and_shows_what_was_asked() -> None:
    book = LabelBook([LABEL])
    (found,) = book.lookup(ETHEREUM, SAFE.lower(), NOW)
    assert (found.label, found.address) == ("Cold wallet 1", SAFE.lower())


def test_bech32_compares_without_case_and_base58_exactly() -> None:
    bech32 = replace(LABEL, chain=str(BITCOIN), address="bc1qx6jpnnfjrfcx9ehhdmj7qqyzpyd8pek00trrq7")
    base58 = replace(LABEL, chain=str(BITCOIN), address="1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")
    book = LabelBook([bech32, base58])
    assert book.lookup(BITCOIN, bech32.address.upper(), NOW)
    assert book.lookup(BITCOIN, base58.address, NOW)
    assert not book.lookup(BITCOIN, base58.address.lower(), NOW)


def test_a_label_holds_on_its_chain_or_on_all() -> None:
    book = LabelBook([LABEL, replace(LABEL, chain="*", label="everywhere", confidence_milli=1)])
    assert [found.label for found in book.lookup(BNB, SAFE, NOW)] == ["everywhere"]
    assert [found.label for found in book.lookup(ETHEREUM, SAFE, NOW)] == ["Cold wallet 1", "everywhere"]


def test_a_label_holds_from_its_first_moment_until_before_its_last() -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    book = LabelBook([replace(LABEL, valid_from=since, expires_at=until)])
    assert book.lookup(ETHEREUM, SAFE, since)
    assert not book.lookup(ETHEREUM, SAFE, until)
    assert not book.lookup(ETHEREUM, SAFE, datetime(2025, 12, 31, tzinfo=UTC))
    assert len(book.history(SAFE)) == 1


def test_labels_that_contradict_each_other_are_all_given_the_surest_first() -> None:
    scam = replace(LABEL, category="scam", label="Phisher", confidence_milli=950)
    book = LabelBook([LABEL, scam, LABEL, scam])
    found = book.lookup(ETHEREUM, SAFE, NOW)
    assert [label.category for label in found] == ["scam", "exchange"]
    assert find_conflicts(found) == ("exchange", "scam")
    assert find_conflicts(found[:1]) == ()
    assert len(book) == 2
