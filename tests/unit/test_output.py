"""The four renderings of a listing."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walletwatch.cli.filters import read_zone
from walletwatch.output.tables import (
    Format,
    Listing,
    amount_column,
    amount_text,
    hash_column,
    local_time,
    render,
    render_one,
    short_hash,
    text_column,
)
from walletwatch.output.texts import clean, guard_formula

TX = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7"
LISTING = Listing(
    ("tx", "amount", "asset", "memo", "parts"),
    (hash_column("tx", "tx"), amount_column(), text_column("memo", "memo")),
    "no rows",
)
ROW = {
    "tx": TX,
    "amount": "450290000000",
    "asset": "a",
    "symbol": "BTC",
    "decimals": 8,
    "memo": "x",
    "parts": [{"n": 1}],
}


def render_row(form: Format, **changed: object) -> str:
    return render([ROW | changed], LISTING, form, width=100)


def test_json_holds_whole_objects_in_base_units() -> None:
    assert json.loads(render_row(Format.JSON)) == [ROW]


def test_a_table_shows_whole_units_and_short_hashes() -> None:
    table = render_row(Format.TABLE)
    assert "4,502.9 BTC" in table
    assert "975ec405…e4d7" in table
    assert TX not in table


@pytest.mark.parametrize("form", [Format.JSON, Format.CSV, Format.MD])
def test_programs_and_documents_get_the_whole_hash(form: Format) -> None:
    assert TX in render_row(form)


def test_csv_has_the_objects_fields_as_header_even_without_rows() -> None:
    assert render([], LISTING, Format.CSV) == "tx,amount,asset,memo,parts\n"
    (row,) = csv.DictReader(io.StringIO(render_row(Format.CSV)))
    assert row == {"tx": TX, "amount": "450290000000", "asset": "a", "memo": "x", "parts": '[{"n":1}]'}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(start: str) -> None:
    """CWE-1236: a memo `=HYPERLINK(…)` written by a customer runs on the treasurer's machine."""
    (row,) = csv.DictReader(io.StringIO(render_row(Format.CSV, memo=f"{start}cmd|' /C calc'!A0")))
    assert row["memo"][0] in ("'", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("text", [" =1+1", "\t=1+1", "\n=1+1", "\uff1d1+1", "\u3000\uff0b1+1", "-1+1", "+1+cmd"])
def test_a_formula_behind_white_space_or_in_full_width_is_neutralised(text: str) -> None:
    """CWE-1236: spreadsheets trim cells, and Japanese ones read full-width signs as formulas too."""
    assert guard_formula(text) == f"'{text}"


@pytest.mark.parametrize("number", ["-5", "+5", "-1,000.5", "-0.25"])
def test_numbers_keep_their_sign_in_csv(number: str) -> None:
    (row,) = csv.DictReader(io.StringIO(render_row(Format.CSV, memo=number)))
    assert row["memo"] == number


@given(st.text())
def test_no_text_cell_of_a_csv_begins_a_formula(memo: str) -> None:
    rows = list(csv.reader(io.StringIO(render_row(Format.CSV, memo=memo))))
    cell = rows[1][3]
    assert len(rows) == 2
    assert not cell.startswith(("=", "@", "\t", "\r")) or cell[0] == "'"
    if cell[:1] in "+-" and cell:
        assert cell[1:].replace(".", "").replace(",", "").isdigit()


@given(st.text())
def test_strangers_text_cannot_steer_a_terminal(memo: str) -> None:
    for form in (Format.TABLE, Format.MD):
        shown = render_row(form, memo=memo)
        assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in shown)


@pytest.mark.parametrize("mark", ["\u061c", "\u200b", "\u2028", "\u2066", "\ufeff", "\ud800", "\x1b", "\r"])
def test_every_output_takes_the_same_characters_out(mark: str) -> None:
    """The commands let zero-width characters pass and the trace exports carriage returns, each alone."""
    assert clean(f"a{mark}b\tc\nd") == "a\N{REPLACEMENT CHARACTER}b\tc\nd"


def test_direction_marks_are_taken_out() -> None:
    assert clean("abc\u202egpj.exe") == "abc\N{REPLACEMENT CHARACTER}gpj.exe"


@given(st.text(alphabet="|`<>*_[]\\a\n"))
def test_a_markdown_row_stays_one_row_of_three_cells(memo: str) -> None:
    *_, row = render_row(Format.MD, memo=memo).splitlines()
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 4


def test_markup_in_a_table_is_text() -> None:
    assert "[bold]" in render_row(Format.TABLE, memo="[bold]x[/bold]")


def test_a_table_reads_at_100_columns() -> None:
    table = render([ROW | {"memo": "long words " * 30}], LISTING, Format.TABLE, width=100)
    assert max(len(line) for line in table.splitlines()) <= 100
    assert table.count("long") == 30


def test_an_empty_table_says_so() -> None:
    assert render([], LISTING, Format.TABLE) == "no rows\n"
    assert render([], LISTING, Format.JSON) == "[]\n"


def test_one_object_shows_every_field() -> None:
    sheet = render_one(ROW | {"evidence": {"limit": "50 BTC", "sent": "60 BTC"}}, Format.TABLE, width=100)
    for part in ("4502", TX, "limit: 50 BTC", "sent: 60 BTC", "n 1"):
        assert part in sheet
    assert sheet.count("evidence") == 1
    assert json.loads(render_one(ROW, Format.JSON)) == ROW
    assert render_one(ROW, Format.MD).startswith("| field | value |")
    assert render_one(ROW, Format.CSV).splitlines()[0] == ",".join(ROW)


def test_an_amount_of_an_unknown_asset_says_so() -> None:
    assert (
        amount_text({"amount": "1234567", "asset": "eip155:1/erc20:0x1"})
        == "1,234,567 base units of eip155:1/erc20:0x1"
    )
    assert amount_text({"amount": None}) == ""


@pytest.mark.parametrize(
    ("text", "short"),
    [(TX, "975ec405…e4d7"), (f"0x{TX}", "0x975ec405…e4d7"), ("bc1qshort", "bc1qshort"), ("", "")],
)
def test_short_hashes(text: str, short: str) -> None:
    assert short_hash(text) == short


def test_times_are_those_of_the_readers_zone() -> None:
    assert local_time("2024-05-31T04:26:17.000005Z", read_zone("Asia/Tokyo")) == "2024-05-31 13:26:17"
    assert local_time(None, read_zone("UTC")) == ""
