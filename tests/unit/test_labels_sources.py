"""TagPacks and OFAC lists as published, and what an attacker would send instead."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains.model import ChainId
from chains.registry import parse_address
from walletwatch.labels.imports import LabelFileError
from walletwatch.labels.label_book import LabelBook
from walletwatch.labels.ofac import BITCOIN, ETHEREUM, TRON
from walletwatch.labels.sources import import_source
from walletwatch.labels.tagpacks import read_tagpack

DATA = Path(__file__).parents[1] / "data" / "labels"


def test_tags_inherit_the_header_of_their_pack() -> None:
    result = import_source(DATA / "tagpacks" / "binance.yaml", parse_address)
    label = result.labels[0]
    assert (label.chain, label.label, label.category, label.confidence_milli) == (
        BITCOIN,
        "binance.com",
        "exchange",
        600,
    )
    assert label.source.startswith("https://www.coindesk.com/")
    assert result.problem_count == 0


def test_a_market_on_bitcoin_is_a_darknet_market() -> None:
    result = import_source(DATA / "tagpacks" / "hydra.yaml", parse_address)
    assert {label.category for label in result.labels} == {"darknet"}


def test_what_one_did_is_told_beside_who_one_is() -> None:
    result = import_source(DATA / "tagpacks" / "lazarus.yaml", parse_address)
    assert {label.category for label in result.labels} == {"sanctioned"}
    assert {
        label.category for label in import_source(DATA / "tagpacks" / "tornado_cash.yaml", parse_address).labels
    } == {"mixer"}


def test_a_pack_gives_its_good_tags_and_names_the_bad_ones_by_line() -> None:
    result = import_source(DATA / "tagpacks" / "exchange-wallets-bitfinexcom.yaml", parse_address)
    assert len(result.labels) == 29
    assert {problem.line for problem in result.problems} >= {67, 229, 235}
    assert result.skipped["EOS"] >= 1


def pack(tags: str, header: str = "label: x\ncurrency: BTC\ncategory: exchange\n") -> bytes:
    return f"title: t\n{header}tags:\n{tags}".encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: &a [x,x]\nb: &b [*a,*a]\ntags: []\n", "aliases are refused"),
        (b"tags: " + b"[" * 40 + b"]" * 40, "nested too deeply"),
        (b"tags: {", "not YAML"),
        (b"title: no tags\n", "no list of tags"),
        (b"- 1\n", "no list of tags"),
        (b"---\ntags: []\n---\ntags: []\n", "more than one document"),
        (b"? [a]\n: b\ntags: []\n", "key must be a string"),
    ],
)
def test_what_is_no_plain_tagpack_is_refused_whole(text: bytes, reason: str) -> None:
    with pytest.raises(LabelFileError, match=reason):
        read_tagpack(text, "pack.yaml", parse_address)


def test_python_objects_in_a_pack_are_only_text() -> None:
    text = pack("- address: !!python/object/apply:os.system ['true']\n")
    result = read_tagpack(text, "pack.yaml", parse_address)
    assert (result.labels, result.problems[0].text) == ([], "address must be a string")


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("- just text\n", "must be a mapping"),
        ("- label: y\n", "needs an address"),
        ("- address: 17VZNX1SN5NtKa8UQFxwQbFeFc3iqRYhem\n", "textbook"),
        ("- address: 1NDyJtNTjmwk5xPNhjgAMu4HDHigtobu1t\n", "checksum"),
    ],
)
def test_a_bad_tag_is_named(tag: str, reason: str) -> None:
    result = read_tagpack(pack(tag), "pack.yaml", parse_address)
    assert result.labels == []
    assert reason in result.problems[0].text
    assert result.problems[0].line > 0


def test_ofac_entries_are_sorted_by_what_the_address_is_valid_as() -> None:
    result = import_source(DATA / "ofac" / "sanctioned_addresses_USDT.txt", parse_address)
    assert result.problem_count == 0
    chains = Counter(label.chain for label in result.labels)
    assert chains == {ETHEREUM: 8, TRON: 11, BITCOIN: 7}
    assert {(label.category, label.confidence_milli) for label in result.labels} == {("sanctioned", 1000)}


def test_an_ofac_folder_is_read_whole() -> None:
    seen: list[tuple[int, int]] = []
    result = import_source(DATA / "ofac", parse_address, lambda done, total: seen.append((done, total)))
    assert {label.source for label in result.labels} == {f"OFAC SDN list, {a}" for a in ("USDT", "XBT", "TRX", "USDC")}
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) == 4


def test_the_dated_history_says_since_when_and_until_when() -> None:
    result = import_source(DATA / "ofac_dated" / "ofac_history.tsv", parse_address)
    book = LabelBook(result.labels)
    removed = [label for label in result.labels if label.expires_at is not None]
    added = [label for label in result.labels if label.valid_from is not None]
    assert len(removed) == 3
    assert len(added) > 200
    gone = removed[0]
    assert gone.expires_at is not None
    chain = ChainId.parse(gone.chain)
    assert book.lookup(chain, gone.address, datetime(2022, 9, 10, tzinfo=UTC))
    assert not book.lookup(chain, gone.address, gone.expires_at)


def test_a_file_that_is_no_label_source_is_refused_and_a_folder_names_its_bad_file(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("address,label,category\n1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P,x,scam\n")
    (tmp_path / "bad.csv").write_text("who,what\n")
    (tmp_path / "binary.csv").write_bytes(b"address,label,category\n\xff\xfe,x,scam\n")
    (tmp_path / "notes.md").write_text("no labels")
    result = import_source(tmp_path, parse_address)
    assert len(result.labels) == 1
    assert sorted(Path(problem.file).name for problem in result.problems) == ["bad.csv", "binary.csv"]
    with pytest.raises(LabelFileError, match="not a label source"):
        import_source(tmp_path / "notes.md", parse_address)
    with pytest.raises(LabelFileError, match="No such file"):
        import_source(tmp_path / "absent.csv", parse_address)
