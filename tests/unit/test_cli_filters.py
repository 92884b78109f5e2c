"""Filters as typed on a command line."""

from datetime import UTC, datetime

import pytest

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import read_chain, read_choice, read_moment, read_tx, read_window, read_zone

TOKYO = read_zone("Asia/Tokyo")
TX = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-31", datetime(2024, 5, 30, 15, tzinfo=UTC)),
        ("2024-05-31T09:30", datetime(2024, 5, 31, 0, 30, tzinfo=UTC)),
        ("2024-05-31 09:30:00", datetime(2024, 5, 31, 0, 30, tzinfo=UTC)),
        ("2024-05-31T09:30:00Z", datetime(2024, 5, 31, 9, 30, tzinfo=UTC)),
        ("2024-05-31T09:30:00.000001+01:00", datetime(2024, 5, 31, 8, 30, 0, 1, tzinfo=UTC)),
    ],
)
def test_times_are_of_the_zone_unless_they_carry_their_offset(text: str, moment: datetime) -> None:
    assert read_moment(text, TOKYO, "--since") == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "2024-05-31T25:00", "0001-01-01", "1717113600"])
def test_other_times_are_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        read_moment(text, TOKYO, "--since")
    assert caught.value.where == "--since"


def test_a_window_is_half_open_and_not_empty() -> None:
    start, end = read_window("2024-05-31", "2024-06-01", TOKYO)
    assert start is not None
    assert end is not None
    assert (end - start).total_seconds() == 86_400
    assert read_window(None, None, TOKYO) == (None, None)
    with pytest.raises(UsageProblem, match="must lie after"):
        read_window("2024-06-01", "2024-06-01", TOKYO)


def test_a_day_of_the_clock_change_has_its_own_length() -> None:
    start, end = read_window("2026-03-29", "2026-03-30", read_zone("Europe/Berlin"))
    assert start is not None
    assert end is not None
    assert (end - start).total_seconds() == 23 * 3600


@pytest.mark.parametrize("text", [TX, f"0x{TX}", TX.upper()])
def test_a_transaction_id_is_read_with_or_without_0x(text: str) -> None:
    assert read_tx(text) == bytes.fromhex(TX)


@pytest.mark.parametrize("text", ["", "abc", TX[:-1], f"{TX}0", f"0x0x{TX}"])
def test_what_is_no_transaction_id_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="not a transaction id"):
        read_tx(text)


def test_a_chain_is_named_or_identified() -> None:
    known = {"ethereum": "eip155:1"}
    assert read_chain(None, known) is None
    assert read_chain("ethereum", known) == "eip155:1"
    assert read_chain("eip155:1", known) == "eip155:1"
    assert read_chain("eip155:56", known) == "eip155:56"
    with pytest.raises(UsageProblem) as caught:
        read_chain("etherium", known)
    assert "ethereum" in caught.value.hint


def test_choices_and_zones_name_what_there_is() -> None:
    assert read_choice("high", ("high", "low"), "--severity") == "high"
    with pytest.raises(UsageProblem) as caught:
        read_choice("loud", ("high", "low"), "--severity")
    assert caught.value.hint == "one of high, low"
    for name in ("Asia/Tokio", "../../etc/passwd", ""):
        with pytest.raises(UsageProblem, match="no such time zone"):
            read_zone(name)
