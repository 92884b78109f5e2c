from __future__ import annotations

import hashlib
import pkgutil
from importlib import import_module
from typing import Any

import pytest
import rfc8785

import walletwatch.rules
from chains.model import Asset, AssetId, ChainId
from unit.rules_examples import BITCOIN, BTC, DMM_PAYEE, ETHEREUM, NAMES, USDT
from walletwatch.domain.findings import Mode, Severity, Verdict
from walletwatch.rules import registry
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import MAX_DURATION_SECS, NoParams, parse_duration, parse_milli
from walletwatch.rules.registry import (
    RuleConfig,
    RuleErrors,
    catalogue,
    configure,
    default_rules,
    rule_type,
    rules_digest,
    rules_in_force,
)
from walletwatch.rules.rule_types import FAMILIES, RuleType, declare, rule
from walletwatch.settings.amounts import AmountReader


def read(**table: Any) -> RuleConfig:
    return configure(table, amounts=NAMES)


def faults(**table: Any) -> dict[str, str]:
    with pytest.raises(RuleErrors) as caught:
        read(**table)
    return dict(caught.value.errors)


CONTRACT = """
transaction_limit window_limit count_limit balance_share balance_floor hot_share
new_destination denied_destination not_allowlisted lookalike_destination
baseline_spike sweep burst structuring test_then_drain multi_asset_drain shared_destination dormant_wallet off_hours
fee_anomaly signing_fingerprint unusual_signers failed_transaction after_freeze
allowance_granted wallet_control_changed unexplained_balance expression
node_stale node_disagreement wrong_chain reorg_too_deep feed_silent feed_malformed unwatched_interval
"""


def test_the_catalogue_has_every_promised_type() -> None:
    assert set(CONTRACT.split()) <= {entry.name for entry in catalogue()}


def test_the_catalogue_lists_every_type_that_the_modules_define_once() -> None:
    """A rule that is written and not listed would judge nothing, and a configuration that names it would be refused."""
    defined: set[RuleType] = set()
    for module in pkgutil.iter_modules(walletwatch.rules.__path__, f"{walletwatch.rules.__name__}."):
        if module.name != registry.__name__:
            for value in vars(import_module(module.name)).values():
                members = value if isinstance(value, tuple) else (value,)
                defined |= {entry for entry in members if isinstance(entry, RuleType)}
    assert set(registry.RULE_TYPES) == defined
    assert len({entry.name for entry in registry.RULE_TYPES}) == len(registry.RULE_TYPES)
    assert {entry.family for entry in catalogue()} == set(FAMILIES)


def test_every_entry_explains_itself() -> None:
    for entry in catalogue():
        assert entry.description.endswith("."), entry.name
        assert len(entry.description) > 40, entry.name
        assert entry.source, entry.name


def test_a_whole_table() -> None:
    config = read(
        id="btc-max",
        type="transaction_limit",
        severity="critical",
        mode="shadow",
        roles=["hot"],
        chains=["bitcoin"],
        assets=["BTC"],
        wallets=["btc-hot"],
        max="50 BTC",
    )
    assert (config.id, config.severity, config.mode) == ("btc-max", Severity.CRITICAL, Mode.SHADOW)
    assert config.selectors.chains == (BITCOIN,)
    assert config.selectors.assets == (BTC.id,)
    assert config.params.model_dump()["max"] == {"asset": str(BTC.id), "units": "5000000000"}


def test_what_is_left_out_comes_from_the_catalogue() -> None:
    config = read(type="sweep")
    assert (config.id, config.severity, config.mode) == ("sweep", Severity.CRITICAL, Mode.ENFORCE)


def test_usd_and_caip19_amounts() -> None:
    assert read(type="transaction_limit", max="1000000 USD").params.model_dump()["max"]["units"] == "100000000000000"
    assert read(type="transaction_limit", max=f"1.5 {USDT.id}").params.model_dump()["max"]["units"] == "1500000"


def test_every_error_is_told_with_its_key() -> None:
    assert set(
        faults(
            id="two words",
            type="window_limit",
            severity="loud",
            mode="off",
            roles=["lukewarm"],
            chains=["dogecoin"],
            assets=["SHIB"],
            max="fifty",
            window="soon",
            per="planet",
            maximum="50 BTC",
        )
    ) == {"id", "severity", "mode", "roles", "chains", "assets", "max", "window", "per", "maximum"}


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ({}, "type", "is required"),
        ({"type": "transaction_limt"}, "type", "did you mean 'transaction_limit'"),
        ({"type": "transaction_limit"}, "max", "is required"),
        ({"type": "transaction_limit", "max": 50}, "max", "50 BTC"),
        ({"type": "transaction_limit", "max": "50"}, "max", "50 BTC"),
        ({"type": "transaction_limit", "max": "-1 BTC"}, "max", "not an amount"),
        ({"type": "transaction_limit", "max": "1.123456789 BTC"}, "max", "decimal places"),
        ({"type": "transaction_limit", "max": "1 DOGE"}, "max", "no asset is called 'DOGE'"),
        ({"type": "transaction_limit", "max": "1 BTC", "chains": ["ethereum"]}, "max", "on the chains meant"),
        ({"type": "count_limit", "max": 1.5, "window": "1h"}, "max", "integer"),
        ({"type": "count_limit", "max": True, "window": "1h"}, "max", "integer"),
        ({"type": "count_limit", "max": 1, "window": "0s"}, "window", "greater than 0"),
        ({"type": "sweep", "min_percent": "many"}, "min_percent", "a number such as 90"),
        ({"type": "sweep", "min_percent": 101}, "min_percent", "less than or equal"),
        ({"type": "sweep", "min_percent": float("nan")}, "min_percent", "a number such as"),
        ({"type": "denied_destination", "categories": ["cinema"]}, "categories", "must name categories"),
        ({"type": "not_allowlisted", "allowlist": ["1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7Q"]}, "allowlist", "1B6rJ6ZK"),
        ({"type": "not_allowlisted", "allowlist": "everybody"}, "allowlist", "a list of addresses"),
        ({"type": "off_hours", "calendar": "Atlantis"}, "calendar", "no holiday calendar"),
        ({"type": "off_hours", "timezone": "Asia/Edo"}, "timezone", "no time zone"),
        ({"type": "off_hours", "hours": "9-5"}, "hours", "09:00-18:00"),
        ({"type": "off_hours", "closed": ["31-12"]}, "closed", "month must be"),
        ({"type": "hot_share", "max_percent": 5, "online_roles": ["tepid"]}, "online_roles", "must name roles"),
        ({"type": "node_stale", "after": "1h"}, "after", "takes no parameters"),
        ({"type": "sweep", "wallets": "btc-hot"}, "wallets", "a list of names"),
    ],
)
def test_a_wrong_table(table: dict[str, Any], key: str, says: str) -> None:
    assert says in faults(**table)[key]


def test_an_unknown_wallet_is_told_where_names_are_given() -> None:
    with pytest.raises(RuleErrors, match="no wallet is called 'btc-hto'"):
        configure({"type": "sweep", "wallets": ["btc-hto"]}, amounts=NAMES, wallets=["btc-hot"])


def test_a_symbol_of_two_chains_needs_its_chain() -> None:
    polygon = ChainId.parse("eip155:137")
    other = Asset(AssetId(polygon, "erc20", "0x" + "c" * 40), "USDT", 6)
    names = AmountReader({"ethereum": ETHEREUM, "polygon": polygon}, [USDT, other])
    table = {"type": "transaction_limit", "max": "5 USDT"}
    with pytest.raises(RuleErrors, match="may mean"):
        configure(table, amounts=names)
    assert configure({**table, "chains": ["polygon"]}, amounts=names).params.model_dump()["max"]["asset"] == str(
        other.id
    )


def test_an_allowlist_reads_addresses_of_every_chain_meant() -> None:
    keys = read(type="not_allowlisted", allowlist=[str(DMM_PAYEE)]).params.allowlist  # type: ignore[attr-defined]
    assert keys == {(BITCOIN, DMM_PAYEE.key)}


@pytest.mark.parametrize(
    ("text", "secs"), [("30s", 30), ("10m", 600), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_durations(text: str, secs: int) -> None:
    assert parse_duration(text) == secs


@pytest.mark.parametrize("text", ["", "1", "h", "1 hour", "-1h", "1.5h", "99999d", "1h30m", 60, None, "\u0661h"])
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration(text)
    assert MAX_DURATION_SECS < 2**31


@pytest.mark.parametrize(("value", "milli"), [(90, 90_000), (2.5, 2_500), ("0.001", 1), (0.1, 100), (0, 0)])
def test_thousandths_are_exact(value: object, milli: int) -> None:
    assert parse_milli(value) == milli


@pytest.mark.parametrize(
    "value", ["1e999999999", "1e-9", "0.0001", "1.00000000000000000000000001", -1, True, None, [], "inf", "nan"]
)
def test_no_thousandths(value: object) -> None:
    with pytest.raises(ValueError, match="a number such as"):
        parse_milli(value)


def test_only_the_watching_itself_is_on_by_default_without_a_feed() -> None:
    assert {rule_type(config.type).family for config in default_rules(feed_configured=False)} == {"operation"}
    assert all(config.id == config.type for config in default_rules(feed_configured=True))


def test_a_named_rule_takes_the_place_of_the_default() -> None:
    named = read(type="feed_silent", severity="low")
    in_force = rules_in_force([named, read(type="sweep")], feed_configured=False)
    assert [c.severity for c in in_force if c.type == "feed_silent"] == [Severity.LOW]
    assert len(in_force) == len(default_rules(feed_configured=False)) + 1


def test_the_digest_is_over_canonical_json_and_not_over_order() -> None:
    one, two = read(type="sweep"), read(type="burst")
    expected = hashlib.sha256(rfc8785.dumps([two.as_json(), one.as_json()])).hexdigest()
    assert rules_digest([one, two]) == rules_digest([two, one]) == f"sha256:{expected}"
    assert one.digest == read(type="sweep", min_percent=90).digest
    assert one.digest != read(type="sweep", min_percent=91).digest
    assert one.digest != read(type="sweep", mode="shadow").digest


def test_a_rule_must_say_what_it_judges() -> None:
    with pytest.raises(TypeError, match="with annotations"):

        @rule(type="odd", family="pattern", severity=Severity.LOW, description="x", source="x")
        def odd(subject: str, facts: Facts, params: NoParams) -> Verdict:
            raise NotImplementedError

    with pytest.raises(ValueError, match="unknown family: patterns"):
        declare("odd", "patterns", Severity.LOW, "x", "x")
