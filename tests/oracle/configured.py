"""A world's configuration and approval log, as files that the program reads."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from chains.registry import format_hash
from oracle.nodes_played import ASSETS, CHAINS, address, time_of, txid_of
from oracle.worlds import ACCOUNT, BARE, CHAIN_OF, COIN, HOUR, PRICES, USDT, Act, Group, Intent, Policy, World
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act
from walletwatch.audit.notes import SigningKey
from walletwatch.domain.times import format_utc
from walletwatch.settings.approvals import FeedSettings, PolicySettings

DECIMALS = {USDT: 6, BARE: 6}
ORIGIN = "oracle.walletwatch.example/log"
LOG = "approvals.jsonl"


class NotSupported(Exception):
    """The program has no words for something in this world's configuration."""


@cache
def private_jwk(kid: str) -> dict[str, str]:
    """A key made from its name, for everybody to know."""
    seed = hashlib.sha256(f"oracle key {kid}".encode()).digest()
    key = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed))
    return {name: str(value) for name, value in key.as_dict(private=True).items()}


def write_deployment(world: World, folder: Path, *, no_price: str = "") -> Path:
    """The configuration, without a price of the asset `no_price`. Raises NotSupported."""
    if not (folder / "audit.key").exists():
        SigningKey.generate(ORIGIN).save(folder / "audit.key")
    (folder / LOG).write_bytes(b"")
    path = folder / "watch.toml"
    tables = [_base(world, no_price), _wallets(world), _people(world), *map(_policy, world.policies)]
    path.write_text("\n".join(tables), "utf-8")
    return path


def check_expressible(world: World) -> None:
    """Raises NotSupported for a world whose policies need a key that the configuration does not have."""
    for policy in world.policies:
        _policy(policy)


def _base(world: World, no_price: str) -> str:
    if "max_late" not in FeedSettings.model_fields and world.max_late != HOUR:
        raise NotSupported("approval_feed: max_late")
    late = f'max_late = "{world.max_late}s"' if "max_late" in FeedSettings.model_fields else ""
    assets = prices = ""
    for name, places in DECIMALS.items():
        assets += f'[[asset]]\nid = "{ASSETS[name]}"\nsymbol = "{name}"\ndecimals = {places}\n'
    for name, (usd, _) in PRICES.items():
        prices += f'[[price]]\nasset = "{name}"\nusd = "{usd}"\n' if name != no_price else ""
    return f"""
[store]
url = "sqlite:///watch.db"
[audit]
origin = "{ORIGIN}"
signing_key = {{ file = "audit.key" }}
[[chain]]
name = "bitcoin"
id = "{CHAINS[COIN]}"
endpoints = ["http://127.0.0.1:1"]
confirmations = 20
[[chain]]
name = "ethereum"
id = "{CHAINS[ACCOUNT]}"
endpoints = ["http://127.0.0.1:1"]
finality = 20
{assets}{prices}
[[sink]]
name = "treasury"
type = "console"
[trace]
auto_open = "never"
[[approval_feed]]
type = "jsonl"
path = "{LOG}"
signatures = "required"
{late}
"""


def _wallets(world: World) -> str:
    text = ""
    for w in world.wallets:
        name = "bitcoin" if w.chain == COIN else "ethereum"
        listed = ", ".join(f'"{address(w.chain, a).text}"' for a in w.addresses)
        text += f'[[wallet]]\nname = "{w.name}"\nrole = "{w.role}"\nchain = "{name}"\naddresses = [{listed}]\n'
    return text


def _people(world: World) -> str:
    text = ""
    for p in world.people:
        keys = []
        for key in p.keys:
            entry = f'kid = "{key.kid}", jwk = {{ kty = "OKP", crv = "Ed25519", x = "{private_jwk(key.kid)["x"]}" }}'
            for name, at in (("valid_from", key.valid_from), ("valid_until", key.valid_until)):
                entry += "" if at is None else f", {name} = {format_utc(time_of(at))}"
            keys.append(f"{{ {entry} }}")
        roles = ", ".join(f'"{role}"' for role in p.roles)
        text += f'[[person]]\nid = "{p.id}"\ndepartment = "{p.department}"\nroles = [{roles}]\n'
        text += f"keys = [{', '.join(keys)}]\n"
    return text


def _policy(policy: Policy) -> str:
    entries: dict[str, str] = {"name": f'"{policy.name}"'}
    if not policy.automatic:
        entries["quorum"] = str(policy.quorum)
    entries |= {name: str(value).lower() for name, value in _plain(policy)}
    entries |= {name: f'"{value}s"' for name, value in _durations(policy) if value is not None}
    entries |= {name: f"[{', '.join(map(_group, some))}]" for name, some in _groups(policy) if some}
    for name, values in (("requesters", policy.requesters), ("wallets", policy.wallets)):
        if values:
            entries[name] = "[" + ", ".join(f'"{v}"' for v in values) + "]"
    if policy.assets:
        entries["assets"] = "[" + ", ".join(f'"{ASSETS[name]}"' for name in policy.assets) + "]"
    if policy.min_usd is not None:
        entries["min_value"] = f'"{policy.min_usd} USD"'
    if policy.destinations:
        entries["destinations"] = f'"{policy.destinations}"'
    if policy.max_total is not None:
        entries["max_total"] = f'"{_whole(policy.assets[0], policy.max_total)} {policy.assets[0]}"'
    unknown = set(entries) - set(PolicySettings.model_fields)
    if unknown:
        raise NotSupported(f"approval_policy: {', '.join(sorted(unknown))}")
    return "[[approval_policy]]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())


def _plain(policy: Policy) -> list[tuple[str, bool | int]]:
    given: list[tuple[str, bool | int, bool | int]] = [
        ("requester_may_approve", policy.requester_may_approve, False),
        ("fee_deducted", policy.fee_deducted, False),
        ("parts", policy.parts, 1),
        ("automatic", policy.automatic, False),
    ]
    return [(name, value) for name, value, default in given if value != default]


def _durations(policy: Policy) -> list[tuple[str, int | None]]:
    return [("max_age", policy.max_age), ("min_delay", policy.min_delay), ("window", policy.window)]


def _groups(policy: Policy) -> list[tuple[str, tuple[Group, ...]]]:
    return [("groups", policy.groups), ("any_of", policy.any_of)]


def _group(group: Group) -> str:
    words = [f'{name} = "{value}"' for name, value in (("role", group.role), ("department", group.department)) if value]
    return f"{{ {', '.join([*words, f'min = {group.min}'])} }}"


def _whole(asset: str, units: int) -> str:
    whole, part = divmod(units, PRICES[asset][1])
    return f"{whole}.{str(part).zfill(len(str(PRICES[asset][1])) - 1)}"


# --- the log --------------------------------------------------------------------------------------------------------


def line_of(world: World, act: Act) -> bytes:
    """The signed line of an act, with its newline."""
    intent = next((a.intent for a in world.acts if a.request == act.request and a.intent is not None), None)
    given = act.intent or intent or Intent("BTC", 1, "nobody")
    content = _intent(given)
    if act.other:
        content = _intent(Intent(given.asset, given.amount + 1, given.destination))
    shown = _intent(Intent(given.asset, given.amount + 2, given.destination)) if act.shown_other else None
    told = format_hash(CHAINS[CHAIN_OF[given.asset]], txid_of(act.tx)) if act.tx else ""
    payload: dict[str, Any] = make_payload(
        act.kind,
        act.request,
        act.actor,
        time_of(act.at),
        intent=content,
        shown_hash=_hash(shown) if shown else "",
        txid=told,
    )
    return sign_act(payload, private_jwk("a stranger" if act.forged else act.kid), act.kid)


def _intent(intent: Intent) -> dict[str, str]:
    chain = CHAIN_OF[intent.asset]
    return make_intent(
        chain=str(CHAINS[chain]),
        asset=str(ASSETS[intent.asset]),
        amount=intent.amount,
        destination=address(chain, intent.destination).text,
        wallet=intent.wallet,
        expires_at=None if intent.expires_at is None else time_of(intent.expires_at),
    )


def _hash(intent: dict[str, str]) -> str:
    return str(make_payload("approve", "x", "x", time_of(0) + timedelta(0), intent=intent)["intent_hash"])
