"""What the README says the program does not do, it does not do: whoever builds one of these takes the sentence out."""

from __future__ import annotations

import pytest
import rlp

from chains.family import KnownBefore
from chains.model import ChainId
from chains.registry import family_of, open_source, parse_address
from chains.source import Endpoint, SourceSpec
from unit.docs_pages import ROOT, read_page

README = read_page(ROOT / "README.md")


def test_tron_addresses_are_understood_and_its_blocks_are_refused_in_words() -> None:
    assert "TRON addresses are understood and its blocks refused in words" in README
    tron = ChainId.parse("tron:0x2b6653dc")
    assert parse_address(tron, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t").key
    with pytest.raises(ValueError, match="cannot be followed by this version"):
        open_source(SourceSpec("tron", tron, (Endpoint("node", "http://127.0.0.1:8545"),)))


def test_before_signing_what_a_contract_would_do_is_undetermined() -> None:
    assert "**what a contract would do**" in README
    call = [1, 0, 1, 10**10, 60_000, bytes.fromhex("5e" * 20), 0, b"\x12\x34\x56\x78", []]
    ethereum = ChainId("eip155", "1")
    sender = parse_address(ethereum, "0x" + "7a" * 20)
    draft = family_of(ethereum).read_unsigned_transaction(
        ethereum, b"\x02" + rlp.encode(call), KnownBefore(accounts=frozenset({sender.key}), sender=sender)
    )
    (doubt,) = draft.doubts
    assert "not seen without a node" in doubt.text
    assert not doubt.wrong
