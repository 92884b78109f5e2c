"""The catalogue of rule types, and how a `[[rule]]` table becomes a configured rule.

`RULE_TYPES` lists every type there is; `rule_types.py` says how one is written.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785
from pydantic import ValidationError

from chains.model import AssetId, ChainId
from walletwatch.domain.findings import Mode, Severity
from walletwatch.rules import (
    authorisation,
    authorisation_events,
    balances,
    baselines,
    control,
    destinations,
    drains,
    expressions,
    habits,
    limits,
    operations,
)
from walletwatch.rules.parameters import AmountParser, ParameterContext, Params
from walletwatch.rules.rule_types import FAMILIES, ROLES, RuleType

RULE_TYPES: tuple[RuleType, ...] = (
    authorisation.unapproved,
    authorisation.destination_mismatch,
    authorisation.amount_mismatch,
    authorisation.approval_reused,
    authorisation.quorum_not_met,
    *authorisation.REFUSALS,
    authorisation_events.request_unpaid,
    authorisation_events.unapproved_move,
    limits.transaction_limit,
    limits.window_limit,
    limits.count_limit,
    balances.balance_share,
    balances.balance_floor,
    balances.hot_share,
    destinations.new_destination,
    destinations.denied_destination,
    destinations.not_allowlisted,
    destinations.lookalike_destination,
    baselines.baseline_spike,
    baselines.burst,
    drains.sweep,
    drains.structuring,
    drains.test_then_drain,
    drains.multi_asset_drain,
    drains.shared_destination,
    habits.dormant_wallet,
    habits.off_hours,
    habits.after_freeze,
    baselines.fee_anomaly,
    habits.signing_fingerprint,
    habits.unusual_signers,
    control.allowance_granted,
    control.wallet_control_changed,
    control.failed_transaction,
    control.UNEXPLAINED_BALANCE,
    expressions.expression,
    operations.NODE_STALE,
    operations.NODE_DISAGREEMENT,
    operations.WRONG_CHAIN,
    operations.REORG_TOO_DEEP,
    operations.FEED_SILENT,
    operations.FEED_MALFORMED,
    operations.UNWATCHED_INTERVAL,
    operations.CONFIGURATION_REFUSED,
    operations.WATCHING_LESS,
    operations.CASE_MOVEMENT,
    operations.CASE_ARRIVAL,
)
_COMMON_KEYS = ("id", "type", "severity", "mode", "wallets", "roles", "chains", "assets")
_RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_types = {entry.name: entry for entry in RULE_TYPES}


@dataclass(frozen=True, slots=True)
class Selectors:
    """Which subjects a rule is about; an empty one lets all through, all that are given must fit."""

    wallets: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    chains: tuple[ChainId, ...] = ()
    assets: tuple[AssetId, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """A rule as configured. `digest` is the SHA-256 of its canonical JSON."""

    id: str
    type: str
    severity: Severity
    mode: Mode
    selectors: Selectors
    params: Params
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _sha256(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """The normal form: what two rules must share to be the same rule."""
        chosen = self.selectors
        return {
            "id": self.id,
            "type": self.type,
            "severity": str(self.severity),
            "mode": str(self.mode),
            "wallets": sorted(chosen.wallets),
            "roles": sorted(chosen.roles),
            "chains": sorted(str(chain) for chain in chosen.chains),
            "assets": sorted(str(asset) for asset in chosen.assets),
            "params": self.params.model_dump(mode="json"),
        }


class RuleErrors(ValueError):
    """Everything that is wrong with a rule: `errors` are (key, message) pairs."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{key}: {message}" for key, message in self.errors))


def catalogue() -> tuple[RuleType, ...]:
    """Every rule type, by family and name."""
    return tuple(sorted(_types.values(), key=lambda t: (FAMILIES.index(t.family), t.name)))


def rule_type(name: str) -> RuleType:
    """The entry called `name`. Raises KeyError."""
    return _types[name]


def configure(table: Mapping[str, Any], *, amounts: AmountParser, wallets: Collection[str] | None = None) -> RuleConfig:
    """Read one `[[rule]]` table. Raises RuleErrors with everything that is wrong, by key.

    `wallets` are the configured names, if references to them are to be checked here.
    """
    errors: list[tuple[str, str]] = []
    entry = _read_type(table, errors)
    deployment, selectors = _read_selectors(table, amounts, wallets, errors)
    rule_id = table.get("id", table.get("type"))
    if not isinstance(rule_id, str) or not _RULE_ID.fullmatch(rule_id):
        errors.append(("id", "an id is 1 to 64 letters, digits, dots, dashes or underscores"))
    severity = _choose(table, "severity", Severity, entry.severity if entry else Severity.MEDIUM, errors)
    mode = _choose(table, "mode", Mode, Mode.ENFORCE, errors)
    params = _read_params(table, entry, deployment, errors) if entry else None
    if errors or entry is None or params is None:
        raise RuleErrors(errors)
    return RuleConfig(str(rule_id), entry.name, Severity(severity), Mode(mode), selectors, params)


def _read_type(table: Mapping[str, Any], errors: list[tuple[str, str]]) -> RuleType | None:
    name = table.get("type")
    if not isinstance(name, str):
        errors.append(("type", "is required and names a rule of the catalogue"))
        return None
    if name not in _types:
        near = difflib.get_close_matches(name[:80], _types, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        errors.append(("type", f"no rule is called {name[:80]!r}{hint}"))
    return _types.get(name)


def _choose(
    table: Mapping[str, Any], key: str, words: type[Severity | Mode], default: str, errors: list[tuple[str, str]]
) -> str:
    value = table.get(key, default)
    if value not in list(words):
        errors.append((key, f"must be one of {', '.join(words)}"))
    return str(value)


def _read_selectors(
    table: Mapping[str, Any], amounts: AmountParser, wallets: Collection[str] | None, errors: list[tuple[str, str]]
) -> tuple[ParameterContext, Selectors]:
    texts = {key: _texts(table, key, errors) for key in ("wallets", "roles", "chains", "assets")}
    errors += [("roles", f"no role is called {r!r}: {', '.join(ROLES)}") for r in texts["roles"] if r not in ROLES]
    if wallets is not None:
        errors += [("wallets", f"no wallet is called {w!r}") for w in texts["wallets"] if w not in wallets]
    chains: list[ChainId] = []
    for name in texts["chains"]:
        try:
            chains.append(amounts.chain(name))
        except ValueError as error:
            errors.append(("chains", str(error)))
    assets: list[AssetId] = []
    for name in texts["assets"]:
        found = amounts.assets(name, chains)
        assets += [asset.id for asset in found]
        if not found:
            errors.append(("assets", f"no asset is called {name!r} on the chains meant"))
    chosen = Selectors(texts["wallets"], texts["roles"], tuple(chains), tuple(assets))
    return ParameterContext(amounts, tuple(chains)), chosen


def _texts(table: Mapping[str, Any], key: str, errors: list[tuple[str, str]]) -> tuple[str, ...]:
    value = table.get(key, [])
    if isinstance(value, list) and all(isinstance(text, str) and len(text) <= 300 for text in value):
        return tuple(value)
    errors.append((key, "a list of names is expected"))
    return ()


def _read_params(
    table: Mapping[str, Any], entry: RuleType, deployment: ParameterContext, errors: list[tuple[str, str]]
) -> Params | None:
    rest = {key: value for key, value in table.items() if key not in _COMMON_KEYS}
    try:
        return entry.params.model_validate(rest, context=deployment)
    except ValidationError as wrong:
        errors += [_say(entry, detail) for detail in wrong.errors(include_url=False, include_input=False)]
        return None


def _say(entry: RuleType, detail: Mapping[str, Any]) -> tuple[str, str]:
    key = ".".join(str(part) for part in detail["loc"]) or "type"
    if detail["type"] == "extra_forbidden":
        takes = ", ".join(entry.params.model_fields) or "no parameters"
        return key[:80], f"unknown key; {entry.name} takes {takes}"
    if detail["type"] == "missing":
        return key, "is required"
    return key, str(detail["msg"]).removeprefix("Value error, ")


def default_rules(feed_configured: bool) -> tuple[RuleConfig, ...]:
    """What judges without being named: operation rules always, authorisation rules once an approval feed exists."""
    entries = [t for t in catalogue() if t.default_on and (feed_configured or t.family != "authorisation")]
    return tuple(RuleConfig(t.name, t.name, t.severity, Mode.ENFORCE, Selectors(), t.params()) for t in entries)


def rules_in_force(named: Iterable[RuleConfig], *, feed_configured: bool) -> tuple[RuleConfig, ...]:
    """The defaults and the named rules. A named rule takes the place of the default one of its type."""
    chosen = tuple(named)
    taken = {config.type for config in chosen}
    return tuple(config for config in default_rules(feed_configured) if config.type not in taken) + chosen


def rules_digest(configs: Iterable[RuleConfig]) -> str:
    """`sha256:` + hex SHA-256 over the RFC 8785 canonical JSON of the rules, by id; their order does not matter."""
    return _sha256([config.as_json() for config in sorted(configs, key=lambda c: c.id)])


def _sha256(value: Any) -> str:
    return "sha256:" + hashlib.sha256(rfc8785.dumps(value)).hexdigest()
