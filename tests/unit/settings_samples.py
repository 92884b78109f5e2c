"""A small sound configuration, and how its faults are read back."""

from pathlib import Path

import pytest

from walletwatch.rules.registry import RuleErrors, configure
from walletwatch.settings import SettingsError, load
from walletwatch.settings.amounts import AmountReader

BASE = """\
[store]
url = "sqlite:///w.db"
[audit]
origin = "audit.exchange.example/log"
signing_key = { env = "KEY" }
[[chain]]
name = "bitcoin"
id = "bip122:000000000019d6689c085ae165831e93"
endpoints = ["http://127.0.0.1:8332"]
[[chain]]
name = "ethereum"
id = "eip155:1"
endpoints = ["https://node.example"]
[[chain]]
name = "base"
id = "eip155:8453"
endpoints = ["https://node.example"]
[[asset]]
id = "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"
symbol = "USDT"
decimals = 6
[[wallet]]
name = "btc-hot"
role = "hot"
chain = "bitcoin"
addresses = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]
[[person]]
id = "treasury-1"
department = "treasury"
roles = ["approver"]
"""
ED25519 = 'kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"'
NEXT = BASE.count("\n") + 1
"""The first line after the base."""


def check_rule(table: object, reader: AmountReader) -> tuple[tuple[str, str], ...]:
    try:
        configure(table, amounts=reader)  # type: ignore[arg-type]
    except RuleErrors as error:
        return error.errors
    return ()


def problems_of(path: Path) -> list[tuple[int, str, str]]:
    with pytest.raises(SettingsError) as caught:
        load(path, environ={"KEY": "k"}, rule_check=check_rule)
    return [(p.line, p.key, f"{p.message} -> {p.hint}") for p in caught.value.problems]
