"""Checks across tables of the configuration: references resolve, names are unique, quorums can be met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chains.model import AssetId, ChainId
from chains.registry import FAMILIES, find_family
from walletwatch.settings.amounts import UnknownName
from walletwatch.settings.approvals import GroupSettings, PolicySettings
from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import PartialSettings, coin_id_of, coin_of, has_price_oracles
from walletwatch.settings.problems import Fault, KeyPath, Problem, did_you_mean
from walletwatch.settings.sections import ROLES, SELECTORS, PersonSettings

APPROVER = "approver"
"""The role whose approvals count where a policy names no group."""


def check_quorums(partial: PartialSettings) -> Iterator[Problem]:
    """Departments and roles without members, and quorums that exceed the number of people."""
    entries = partial.lists["person"]
    if any(not e.has("department", "roles") for e in entries):
        return  # memberships are unknown until these tables are valid
    people = [e.value for e in entries]
    for entry in partial.lists["approval_policy"]:
        if entry.has("groups"):
            faults = list(_check_groups(entry, people))
            yield from faults or _check_quorum(entry, people)


def _members(group: GroupSettings, people: list[PersonSettings]) -> list[PersonSettings]:
    return [p for p in people if group.role in (None, *p.roles) and group.department in (None, p.department)]


def _check_groups(entry: Entry[Any], people: list[PersonSettings]) -> Iterator[Problem]:
    departments = {p.department for p in people}
    roles = {role for p in people for role in p.roles}
    for n, group in enumerate(entry.value.groups):
        if group.department is not None and group.department not in departments:
            message = f'nobody belongs to the department "{group.department}"'
            yield entry.problem(("groups", n, "department"), message, did_you_mean(group.department, departments))
        elif group.role is not None and group.role not in roles:
            message = f'nobody has the role "{group.role}"'
            yield entry.problem(("groups", n, "role"), message, did_you_mean(group.role, roles))
        elif len(_members(group, people)) < group.min:
            message = f"requires {group.min} people, but this group has {len(_members(group, people))}"
            yield entry.problem(("groups", n), message, "lower min, or add people")


def _check_quorum(entry: Entry[Any], people: list[PersonSettings]) -> Iterator[Problem]:
    policy: PolicySettings = entry.value
    groups = policy.groups or (GroupSettings(role=APPROVER),)
    able = {p.id for group in groups for p in _members(group, people)}
    if entry.has("quorum") and policy.quorum > len(able):
        message = f"requires {policy.quorum} people, but only {len(able)} may approve under this policy"
        yield entry.problem("quorum", message, "lower the quorum, or give more people the role or department")


Use = tuple[Entry[Any], KeyPath, str]
"""An entry, the key within it, and the text that may not be used twice."""

_KEYS: tuple[tuple[str, str, str, Callable[[Any], object]], ...] = (
    ("chain", "name", "the chain name", lambda v: v.name),
    ("chain", "id", "the chain", lambda v: v.id),
    ("asset", "id", "the asset", lambda v: v.id),
    ("price", "asset", "a price for", lambda v: v.asset),
    ("wallet", "name", "the wallet name", lambda v: v.name),
    ("person", "id", "the person", lambda v: v.id),
    ("approval_policy", "name", "the policy name", lambda v: v.name),
    ("rule", "id", "the rule id", lambda v: v.rule_id),
)


def check_uniqueness(partial: PartialSettings) -> Iterator[Problem]:
    """Names, ids, keys, feeds and symbols that are used twice."""
    for table, key, what, read in _KEYS:
        uses = [(e, (key,), str(read(e.value))) for e in partial.lists[table] if e.has(key)]
        yield from _repeated(uses, what)
    kids = [
        (e, ("keys", n, "kid"), k.kid)
        for e in partial.lists["person"]
        if e.has("keys")
        for n, k in enumerate(e.value.keys)
    ]
    yield from _repeated(kids, "the key id")
    yield from _shared_keys(partial)
    yield from _repeated([(e, ("name",), e.value.name) for e in partial.lists["sink"] if e.value.name], "the sink name")
    feeds = [e for e in partial.lists["approval_feed"] if e.has("type", "path", "name")]
    yield from _repeated([(e, ("path",), str(e.value.path)) for e in feeds if e.value.path], "the feed")
    yield from _repeated([(e, (), e.value.label) for e in feeds], "the feed name")
    yield from _repeated(list(_symbols(partial)), "on its chain the symbol")


def _shared_keys(partial: PartialSettings) -> Iterator[Problem]:
    """Public keys of two people (compared by RFC 7638 thumbprint): one signer would count as a quorum of two."""
    first: dict[str, Entry[Any]] = {}
    for entry in (e for e in partial.lists["person"] if e.has("id", "keys")):
        for n, key in enumerate(entry.value.person().keys):
            other = first.setdefault(key.thumbprint, entry)
            if other is not entry:
                message = f'the key "{key.kid}" is also a key of "{other.value.id}" ({other.location})'
                yield entry.problem(("keys", n, "jwk"), message, "give each person a key of their own")


def _symbols(partial: PartialSettings) -> Iterator[Use]:
    """The symbols of each chain: a second token with the same symbol is a mistake or a counterfeit."""
    for entry in partial.lists["asset"]:
        if entry.has("id", "symbol"):
            yield entry, ("symbol",), f"{entry.value.symbol} ({entry.value.id.chain})"


def _repeated(uses: Iterable[Use], what: str) -> Iterator[Problem]:
    first: dict[str, Entry[Any]] = {}
    for entry, key, text in uses:
        if text in first:
            message = f'{what} "{text}" is already used at {first[text].location}'
            yield entry.problem(key, message, "keep one of the two, or rename it")
        first.setdefault(text, entry)


def check_references(partial: PartialSettings) -> Iterator[Problem]:
    """A problem for every unresolved reference, missing table and missing file."""
    yield from _needed_tables(partial)
    for entry in partial.lists["chain"]:
        yield from _check_chain(partial, entry)
    for entry in partial.lists["asset"]:
        yield from _check_asset(partial, entry)
    for entry in partial.lists["price"]:
        yield from _check_price(partial, entry)
    for entry in partial.lists["wallet"]:
        yield from _check_wallet(partial, entry)
    for entry in (*partial.lists["approval_policy"], *partial.lists["rule"]):
        yield from _check_selectors(partial, entry)
    for entry in partial.lists["approval_feed"]:
        yield from _check_approval_feed(partial, entry)
    yield from _check_amounts(partial)
    yield from _check_paths(partial)


def _needed_tables(partial: PartialSettings) -> Iterator[Problem]:
    examples = {
        "store": '[store]  url = "sqlite:///walletwatch.db"',
        "audit": '[audit]  origin = "audit.exchange.example/log"  signing_key = { file = "keys/audit.key" }',
    }
    for table, example in examples.items():
        if not any(table in document.data for document in partial.documents):
            yield partial.main.problem((), f"the table [{table}] is missing", example)


def _check_chain(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    """The chain must be of a family that can be followed, and its coin must be known."""
    if not entry.has("id"):
        return
    chain: ChainId = entry.value.id
    family, coin = find_family(chain), coin_id_of(chain)
    if family is None:
        known = ", ".join(f'"{namespace}:…"' for namespace in sorted(FAMILIES))
        yield entry.problem("id", f"unknown chain namespace {chain.namespace}", f"known: {known}")
    elif coin is None:
        yield entry.problem("id", f"{chain} is not a known {family.name} network", f'write "{family.example}"')
    elif family.source_opener is None:
        message = f"{family.name} blocks cannot be followed by this version"
        hint = "remove the chain; its addresses are understood in labels and cases"
        yield entry.problem("id", message, hint)
    elif coin_of(chain) is None and str(coin) not in partial.named("asset", "id"):
        hint = f'add [[asset]] id = "{coin}" symbol = "…" decimals = 18'
        yield entry.problem("id", f"the coin of {chain} is not known", hint)


def unknown_chain(partial: PartialSettings, entry: Entry[Any], key: str | KeyPath, ref: str) -> Iterator[Problem]:
    """A problem if `ref` is neither name nor id of a configured chain, invalid ones included."""
    names = partial.named("chain")
    if ref not in names | partial.named("chain", "id"):
        yield entry.problem(key, f'no chain is called "{ref}"', did_you_mean(ref, names))


def _check_asset(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    if not entry.has("id"):
        return
    asset: AssetId = entry.value.id
    if str(asset.chain) not in partial.named("chain", "id"):
        ids = partial.named("chain", "id")
        yield entry.problem("id", f"no [[chain]] has the id {asset.chain}", did_you_mean(str(asset.chain), ids))
    coin = coin_of(asset.chain)
    if coin is not None and coin.id == asset:
        yield entry.problem("id", f"is {coin.symbol}, the chain's coin, which is built in", "remove this table")


def _check_price(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    price = entry.value
    if entry.has("asset") and not partial.reader.assets(price.asset) and not _perhaps_known(partial, price.asset):
        symbols = {
            a.symbol for e in partial.lists["asset"] if not e.bad for a in partial.reader.assets(str(e.value.id))
        }
        symbols |= {coin.symbol for c in partial.chain_ids.values() if (coin := coin_of(c))}
        yield entry.problem("asset", f'no asset is called "{price.asset}"', did_you_mean(price.asset, symbols))
    if price.chain is not None and entry.has("chain"):
        yield from unknown_chain(partial, entry, "chain", price.chain)
    if price.feed is not None and entry.has("feed"):
        yield from _check_feed(partial, entry)


def _check_feed(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    """The contract of a price feed must be on a chain that has price oracles."""
    price = entry.value
    chain = price_chain(partial, entry)
    if chain is None:
        if not price.chain:
            yield entry.problem("feed", "the chain of this feed is ambiguous", 'add chain = "ethereum"')
        return
    try:
        partial.reader.addresses(price.feed, [chain])
    except Fault as fault:
        yield entry.problem("feed", str(fault), "the address of the feed's contract")


def price_chain(partial: PartialSettings, entry: Entry[Any]) -> ChainId | None:
    """A price feed's chain: the configured one, else the asset's own if it has contracts, else the only such chain."""
    if entry.value.chain:
        return partial.chain_of(entry.value.chain)
    own = {asset.id.chain for asset in partial.reader.assets(entry.value.asset)}
    for candidates in (own, set(partial.chain_ids.values())):
        evm = [chain for chain in candidates if has_price_oracles(chain)]
        if len(evm) == 1:
            return evm[0]
    return None


def _perhaps_known(partial: PartialSettings, name: str) -> bool:
    """Whether an invalid table may define the asset `name`: then only that table's problem is reported."""
    if name in partial.named("asset", "symbol") | partial.named("asset", "id"):
        return True
    return any(not e.has("id") for e in partial.lists["chain"])


def _check_wallet(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    wallet = entry.value
    if not entry.has("chain"):
        return
    yield from unknown_chain(partial, entry, "chain", wallet.chain)
    chain = partial.chain_of(wallet.chain)
    family = None if chain is None else find_family(chain)
    if family is None:
        return
    if wallet.kind == "safe" and family.signature_reader is None:
        yield entry.problem("kind", f"there are no Safes on {wallet.chain}", "remove kind, or correct chain")
    if wallet.descriptors and entry.has("descriptors") and family.descriptor_reader is None:
        yield entry.problem("descriptors", f"there are no output descriptors on {wallet.chain}", "list the addresses")


def _check_selectors(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    """`wallets`, `roles`, `chains` and `assets` of a rule or policy."""
    wallets = partial.named("wallet")
    for key in SELECTORS:
        for n, name in enumerate(getattr(entry.value, key, ()) if entry.has(key) else ()):
            if key == "chains":
                yield from unknown_chain(partial, entry, (key, n), name)
            elif key == "wallets" and name not in wallets:
                yield entry.problem((key, n), f'no wallet is called "{name}"', did_you_mean(name, wallets))
            elif key == "roles" and name not in ROLES:
                yield entry.problem((key, n), f'no role is called "{name}"', did_you_mean(name, ROLES))
            elif key == "assets" and not partial.reader.assets(name) and not _perhaps_known(partial, name):
                yield entry.problem((key, n), f'no asset is called "{name}"', "a symbol or a CAIP-19 id")


def _check_approval_feed(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    """The people, wallets and assets that a vendor's names are mapped to must exist."""
    feed = entry.value
    if feed.chain is not None and entry.has("chain"):
        yield from unknown_chain(partial, entry, "chain", feed.chain)
    for key, known, what in (
        ("people", partial.named("person", "id"), "person"),
        ("wallets", partial.named("wallet"), "wallet"),
    ):
        for theirs, ours in ((getattr(feed, key) or {}) if entry.has(key) else {}).items():
            if ours not in known:
                yield entry.problem((key, theirs), f'no {what} is called "{ours}"', did_you_mean(ours, known))
    for theirs, ours in ((feed.assets or {}) if entry.has("assets") else {}).items():
        if len(partial.reader.assets(ours)) != 1 and not _perhaps_known(partial, ours):
            yield entry.problem(("assets", theirs), f'"{ours}" does not name exactly one asset', "write its CAIP-19 id")


def chains_meant(partial: PartialSettings, entry: Entry[Any]) -> tuple[ChainId, ...]:
    """The chains a rule or policy applies to: those it names, or those of its wallets; empty for all."""
    named = [partial.chain_of(ref) for ref in entry.value.chains or ()]
    if not named and entry.value.wallets:
        own = [e.value for e in partial.lists["wallet"] if e.has("name", "chain")]
        named = [partial.chain_of(w.chain) for w in own if w.name in entry.value.wallets]
    return tuple(sorted({chain for chain in named if chain is not None}))


def _check_amounts(partial: PartialSettings) -> Iterator[Problem]:
    entries = [(e, chains_meant(partial, e)) for e in partial.lists["approval_policy"] if e.has("chains", "wallets")]
    if "trace" in partial.singles:
        entries.append((partial.singles["trace"], ()))
    for entry, chains in entries:
        if entry.has("min_value") and entry.value.min_value is not None:
            yield from _check_amount(partial, entry, ("min_value",), entry.value.min_value, chains)
    for entry, chains in entries:
        if entry.has("tolerance") and isinstance(entry.value, PolicySettings):
            for n, text in enumerate(entry.value.tolerance):
                yield from _check_amount(partial, entry, ("tolerance", n), text, chains, coins_only=True)
        if entry.has("max_deduction") and isinstance(entry.value, PolicySettings):
            for n, text in enumerate(entry.value.max_deduction):
                if not text.endswith("%"):
                    yield from _check_amount(partial, entry, ("max_deduction", n), text, chains)


def _check_amount(
    partial: PartialSettings,
    entry: Entry[Any],
    key: tuple[str | int, ...],
    text: str,
    chains: tuple[ChainId, ...],
    *,
    coins_only: bool = False,
) -> Iterator[Problem]:
    try:
        if partial.reader.read(text, chains).asset is None and coins_only:
            yield entry.problem(key, "must be an amount of an asset", 'write tolerance = ["0.00001 BTC"]')
    except UnknownName as fault:
        if not _perhaps_known(partial, text.partition(" ")[2].strip()):
            yield entry.problem(key, str(fault), fault.hint)
    except Fault as fault:
        yield entry.problem(key, str(fault), fault.hint)


def _check_paths(partial: PartialSettings) -> Iterator[Problem]:
    """Files and folders that must exist. An approval log may be created later, but not its folder."""
    for entry in partial.lists["approval_feed"]:
        if entry.has("path") and entry.value.path is not None and not entry.value.path.parent.is_dir():
            yield entry.problem("path", f"there is no folder {entry.value.path.parent}", "check the path")
    for entry in partial.lists["price"]:
        if entry.has("path") and entry.value.path is not None and not entry.value.path.is_file():
            yield entry.problem("path", f"there is no file {entry.value.path}", "check the path")
    if "labels" in partial.singles:
        yield from _check_label_sources(partial.singles["labels"])


def _check_label_sources(labels: Entry[Any]) -> Iterator[Problem]:
    for n, source in enumerate(labels.value.sources if labels.has("sources") else ()):
        if not source.exists():
            yield labels.problem(("sources", n), f"there is no file or folder {source}", "check the path")
