"""What another configuration watches less of than the one in force, and which addresses it takes for our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chains.model import Address
from chains.registry import parse_address
from walletwatch.domain.findings import Mode
from walletwatch.rules.registry import RuleConfig
from walletwatch.settings import Settings
from walletwatch.settings.approvals import FeedSettings, PolicySettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.sections import PersonSettings, SinkSettings

_SHOWN = 5
"""Names of a kind in the sentence people read."""
_KEPT = 200
"""Names of a kind in the evidence and the audit log."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of what is watched no longer or less strictly, and of what counts as ours from now on, by kind."""

    lost: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gained: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lost or self.gained)

    def summary(self) -> str:
        """One sentence: counts, and the first few names of each kind."""
        parts = [f"watched no longer or less: {_say(self.lost)}"] if self.lost else []
        parts += [f"ours from now on: {_say(self.gained)}"] if self.gained else []
        return "; ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """For evidence and the audit log: counts, and the first names of each kind."""
        sides = {"lost": self.lost, "gained": self.gained}
        return {
            side: {kind: {"count": len(names), "names": list(names[:_KEPT])} for kind, names in kinds.items()}
            for side, kinds in sides.items()
        }


def _say(kinds: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(_say_kind(kind, names) for kind, names in kinds.items())


def _say_kind(kind: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    plural = kind if len(names) == 1 else f"{kind}es" if kind.endswith("s") else f"{kind}s"
    return f"{len(names):,} {plural.replace('policys', 'policies')} ({', '.join(names[:_SHOWN])}{more})"


def compare(
    old: Settings, new: Settings, old_rules: Sequence[RuleConfig] = (), new_rules: Sequence[RuleConfig] = ()
) -> Difference:
    """What `new` watches less of than `old`, and the addresses it adds; the rules are those in force under each."""
    lost = {
        "address": list(_addresses_lost(old, new)),
        "descriptor": list(_descriptors_lost(old, new)),
        "wallet": list(_wallets_lost(old, new)),
        "rule": list(_rules_lost(old_rules, new_rules)),
        "feed": list(_feeds_lost(old.feeds, new.feeds)),
        "policy": list(_policies_lost(old.policies, new.policies)),
        "person": list(_persons_lost(old.persons, new.persons)),
        "key": list(_keys_lost(old.persons, new.persons)),
        "sink": list(_sinks_lost(old, new)),
        "price": sorted({p.asset for p in old.prices} - {p.asset for p in new.prices}),
    }
    gained = {
        "address": list(_addresses_gained(old, new)),
        "descriptor": list(_descriptors_lost(new, old, shrunk=False)),
    }
    return Difference(*({kind: names for kind, names in side.items() if names} for side in (lost, gained)))


# --- what is ours -----------------------------------------------------------------------------------------------------


def _owners(settings: Settings) -> dict[tuple[str, bytes], str]:
    return {(c, a.key): wallet for c, wallet, a in _addresses(settings)}


def _addresses(settings: Settings) -> Iterator[tuple[str, str, Address]]:
    for wallet in settings.wallets:
        chain = str(settings.reader.chain(wallet.chain))
        yield from ((chain, wallet.name, address) for address in settings.addresses_of(wallet.name))


def _addresses_lost(old: Settings, new: Settings) -> Iterator[str]:
    """Those of nobody now, and those of a wallet with another role: other rules are theirs."""
    owners, roles = _owners(new), {w.name: w.role for w in new.wallets}
    before = {w.name: w.role for w in old.wallets}
    for chain, wallet, address in _addresses(old):
        owner = owners.get((chain, address.key))
        if owner is None:
            yield f"{address.text} of {wallet}"
        elif owner != wallet and roles[owner] != before[wallet]:
            yield f"{address.text} of {wallet}, now of {owner}"


def _addresses_gained(old: Settings, new: Settings) -> Iterator[str]:
    owners = _owners(old)
    for chain, wallet, address in _addresses(new):
        if (chain, address.key) not in owners:
            yield f"{address.text} of {wallet}"


def _descriptors_lost(old: Settings, new: Settings, *, shrunk: bool = True) -> Iterator[str]:
    later = {w.name: w for w in new.wallets}
    for wallet in old.wallets:
        now = later.get(wallet.name)
        kept = () if now is None else now.descriptors
        for n, text in enumerate(wallet.descriptors, start=1):
            if text not in kept:
                yield f"{n} of {wallet.name}"
        if shrunk and now is not None and wallet.descriptors and now.gap_limit < wallet.gap_limit:
            yield f"all of {wallet.name}: gap_limit {wallet.gap_limit}, now {now.gap_limit}"


def _wallets_lost(old: Settings, new: Settings) -> Iterator[str]:
    later = {w.name: w for w in new.wallets}
    for wallet in old.wallets:
        now = later.get(wallet.name)
        if now is None:
            yield wallet.name
        elif now.role != wallet.role:
            yield f"{wallet.name}: {wallet.role}, now {now.role}"
        elif wallet.kind and not now.kind:
            yield f"{wallet.name}: no longer a {wallet.kind}"


def refuse_replaced(old: Settings, new: Settings) -> list[Problem]:
    """A problem for each address file that names none of the addresses it named before: more likely a file of something
    else than a wallet that moved whole.
    """
    later = {w.name: w for w in new.wallets if w.addresses_file is not None}
    problems: list[Problem] = []
    for wallet in (w for w in old.wallets if w.addresses_file is not None and w.name in later):
        chain = old.reader.chain(wallet.chain)
        listed = {parse_address(chain, text).key for text in wallet.addresses}
        before = {a.key for a in old.addresses_of(wallet.name)} - listed
        file = later[wallet.name].addresses_file
        if file is not None and before and before.isdisjoint(a.key for a in new.addresses_of(wallet.name)):
            message = f"names none of the {len(before):,} addresses of {wallet.name} that are watched"
            hint = "add the new addresses first and remove the old ones later, or restart"
            problems.append(Problem(file, 0, "", message, hint))
    return problems


# --- who is asked, by what, and who is told ---------------------------------------------------------------------------


def _rules_lost(old: Sequence[RuleConfig], new: Sequence[RuleConfig]) -> Iterator[str]:
    later = {rule.id: rule for rule in new}
    for rule in sorted(old, key=lambda r: r.id == r.type):  # those with a name of their own first
        now = later.get(rule.id)
        if now is None or now.type != rule.type:
            yield rule.id
        elif now.mode is Mode.SHADOW and rule.mode is not Mode.SHADOW:
            yield f"{rule.id}: in shadow"
        elif now.severity.rank > rule.severity.rank:
            yield f"{rule.id}: {rule.severity}, now {now.severity}"
        elif any(_is_narrower(getattr(rule.selectors, k), getattr(now.selectors, k)) for k in _SELECTORS):
            yield f"{rule.id}: selects less"


_SELECTORS = ("wallets", "roles", "chains", "assets")


def _is_narrower(before: Iterable[object], now: Iterable[object]) -> bool:
    """Whether a selector lets less through; an empty one lets all."""
    first, second = set(before), set(now)
    return bool(second) and (not first or not first <= second)


def _feeds_lost(old: Sequence[FeedSettings], new: Sequence[FeedSettings]) -> Iterator[str]:
    later = {feed.label: feed for feed in new}
    for feed in old:
        now = later.get(feed.label)
        if now is None:
            yield feed.label
        elif any(getattr(feed, key) != getattr(now, key) for key in ("type", "path", "url", "table", "listen")):
            yield f"{feed.label}: read from elsewhere"
        elif (feed.signatures, now.signatures) == ("required", "none"):
            yield f"{feed.label}: without signatures"


def _policies_lost(old: Sequence[PolicySettings], new: Sequence[PolicySettings]) -> Iterator[str]:
    later = {policy.name: policy for policy in new}
    for policy in old:
        now = later.get(policy.name)
        if now is None:
            yield policy.name
        elif now.quorum < policy.quorum:
            yield f"{policy.name}: quorum {policy.quorum}, now {now.quorum}"
        elif now.requester_may_approve and not policy.requester_may_approve:
            yield f"{policy.name}: requesters may approve"


def _persons_lost(old: Sequence[PersonSettings], new: Sequence[PersonSettings]) -> Iterator[str]:
    later = {person.id: person for person in new}
    for person in old:
        now = later.get(person.id)
        gone = [] if now is None else sorted(set(person.roles) - set(now.roles))
        if now is None:
            yield person.id
        elif gone:
            yield f"{person.id}: no longer {', '.join(gone)}"


def _keys_lost(old: Sequence[PersonSettings], new: Sequence[PersonSettings]) -> Iterator[str]:
    later = {(p.id, key.kid): key for p in new for key in p.keys}
    for person in old:
        for key in person.keys:
            now = later.get((person.id, key.kid))
            if now is None:
                yield f"{key.kid} of {person.id}"
            elif now.jwk != key.jwk:
                yield f"{key.kid} of {person.id}: another key"


def _sinks_lost(old: Settings, new: Settings) -> Iterator[str]:
    """Sinks are the same if they lead to the same place, whatever they are called."""
    later = {_address_of(sink): sink for sink in new.sinks}
    for name, sink in old.sink_names.items():
        now = later.get(_address_of(sink))
        if now is None:
            yield name
        elif now.min_severity.rank < sink.min_severity.rank:
            yield f"{name}: {sink.min_severity} and above, now {now.min_severity}"


def _address_of(sink: SinkSettings) -> tuple[object, ...]:
    base_url = sink.slack_url().reference() if sink.type == "slack" else None
    url = None if sink.url is None else sink.url.reference()
    return (sink.type, sink.channel, str(base_url), str(url))
