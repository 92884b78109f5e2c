"""What the README says the program does not do, it does not do: whoever builds one of these takes the sentence out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains.model import AssetId, ChainId
from chains.registry import Endpoint, SourceSpec, open_source, parse_address
from unit.docs_pages import ROOT, read_page
from walletwatch.domain.prices import Unknown
from walletwatch.service.prices import open_prices
from walletwatch.settings import Settings, load
from walletwatch.settings.template import render_template

README = read_page(ROOT / "README.md")
CHAIN = """
[[chain]]
name = "bitcoin"
id = "bip122:000000000019d6689c085ae165831e93"
endpoints = ["http://127.0.0.1:8332"]
"""


def load_text(folder: Path, text: str) -> Settings:
    path = folder / "walletwatch.toml"
    path.write_text(f"{render_template()}\n{text}", encoding="utf-8")
    return load(path, environ={}, need_secrets=False)


def test_tron_addresses_are_understood_and_its_blocks_are_refused_in_words() -> None:
    assert "TRON addresses are understood and its blocks refused in words" in README
    tron = ChainId.parse("tron:0x2b6653dc")
    assert parse_address(tron, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t").key
    with pytest.raises(ValueError, match="cannot be followed by this version"):
        open_source(SourceSpec("tron", tron, (Endpoint("node", "http://127.0.0.1:8545"),)))


def test_chainlink_prices_are_unknown_and_say_so(tmp_path: Path) -> None:
    assert "**Chainlink prices**" in README
    price = '[[price]]\nasset = "BTC"\nsource = "chainlink"\nfeed = "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"\n'
    chain = CHAIN.replace('"bitcoin"', '"ethereum"').replace("bip122:000000000019d6689c085ae165831e93", "eip155:1")
    prices = open_prices(load_text(tmp_path, chain + price.replace("BTC", "ETH")))
    with pytest.raises(Unknown, match="not read yet"):
        prices.price(AssetId.parse("eip155:1/slip44:60"), datetime(2026, 11, 22, tzinfo=UTC))
