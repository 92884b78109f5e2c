"""Label CSV as CONTRACT §2 says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chains.registry import parse_address
from walletwatch.labels.imports import LabelFileError, LabelImport
from walletwatch.labels.sources import read_csv

BITCOIN = "bip122:000000000019d6689c085ae165831e93"
PAYEE = "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P"


def read(text: str) -> LabelImport:
    return read_csv(text.splitlines(keepends=True), "labels.csv", parse_address)


def test_required_columns_suffice_and_the_rest_has_defaults() -> None:
    (label,) = read(f"address,label,category\n{PAYEE},Some payee,exchange\n").labels
    assert (label.chain, label.address, label.label, label.category) == ("*", PAYEE, "Some payee", "exchange")
    assert (label.source, label.confidence_milli, label.valid_from, label.expires_at) == ("", 500, None, None)


def test_every_optional_column_is_read() -> None:
    header = "chain,address,label,category,source,confidence,valid_from,expires_at"
    (label,) = read(
        f'{header}\n{BITCOIN},{PAYEE},"A, B",mixer,police,0.75,2026-01-01,2026-02-01T00:00:00+09:00\n'
    ).labels
    assert (label.chain, label.label, label.source, label.confidence_milli) == (BITCOIN, "A, B", "police", 750)
    assert label.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert label.expires_at == datetime(2026, 1, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("address,label,category,colour", "'colour'"),
        ("address,label", "category"),
        ("address,label,category,label", "duplicate"),
        ("", "address, label, category"),
    ],
)
def test_a_header_that_is_not_as_agreed_is_an_error_that_names_the_column(header: str, named: str) -> None:
    with pytest.raises(LabelFileError, match=named):
        read(header + "\n")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("eip155:1,0x12,x,exchange,,,", "not an"),
        (f"{BITCOIN},1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7Q,x,exchange,,,", "checksum"),
        (f"{BITCOIN},{PAYEE},x,bank,,,", "unknown category 'bank'"),
        (f"{BITCOIN},{PAYEE},,exchange,,,", "label is empty"),
        (f"{BITCOIN},{PAYEE},x,exchange,1.2,,", "between 0 and 1"),
        (f"{BITCOIN},{PAYEE},x,exchange,-0.1,,", "between 0 and 1"),
        (f"{BITCOIN},{PAYEE},x,exchange,,2026-01-01T00:00:00,", "offset"),
        (f"{BITCOIN},{PAYEE},x,exchange,,2026-02-01,2026-01-01", "not after"),
        (f"nonsense,{PAYEE},x,exchange,,,", "CAIP-2"),
        (f"{BITCOIN},{PAYEE},x,exchange", "4 cells"),
        (f"{BITCOIN},{PAYEE},{'y' * 400},exchange,,,", "longer than"),
        ("*,bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4,x,exchange,,,", "textbook"),
        (f'{BITCOIN},{PAYEE},"x" y,exchange,,,', "not CSV"),
        (f"{BITCOIN},{PAYEE},{'z' * 20_000},exchange,,,", "not CSV"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_the_good_ones_are_taken(row: str, reason: str) -> None:
    good = f"{BITCOIN},{PAYEE},fine,exchange,,,"
    result = read(f"chain,address,label,category,confidence,valid_from,expires_at\n{good}\n{row}\n{good}\n")
    assert [label.label for label in result.labels] == ["fine", "fine"]
    assert [problem.line for problem in result.problems] == [3]
    assert reason in result.problems[0].text


def test_a_byte_order_mark_and_empty_lines_are_no_mistakes() -> None:
    result = read(f"\ufeffaddress,label,category\n\n{PAYEE},x,scam\n,,\n")
    assert (len(result.labels), result.problem_count) == (1, 0)


def test_an_evm_address_is_shown_with_its_checksum() -> None:
    address = "0x1db92e2eebc8e0c075a02bea49a2935bcd2dfcf4"
    (label,) = read(f"chain,address,label,category\neip155:1,{address},x,theft\n").labels
    assert label.address == "0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4"
