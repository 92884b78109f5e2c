"""What a world is: wallets, people, policies, acts and the life of two chains, in words and whole seconds alone.

The oracle judges it and the player plays it; nothing here knows the program. A time is a count of seconds since the
world's zero, an amount a count of base units, an address a name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

COIN, ACCOUNT = "coin", "account"
BTC, ETH, USDT, BARE = "BTC", "ETH", "USDT", "XYZ"
CHAIN_OF = {BTC: COIN, ETH: ACCOUNT, USDT: ACCOUNT, BARE: ACCOUNT}
NATIVE = {COIN: BTC, ACCOUNT: ETH}
PRICES = {BTC: (95_000, 10**8), ETH: (3_500, 10**18), USDT: (1, 10**6)}
"""(USD a whole unit, base units of one). BARE has no price."""
HOUR = 3_600


@dataclass(frozen=True)
class Wallet:
    name: str
    role: str
    chain: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """Valid from `valid_from` on and before `valid_until`; None: always."""

    kid: str
    valid_from: int | None = None
    valid_until: int | None = None

    def is_valid(self, at: int) -> bool:
        begun = self.valid_from is None or self.valid_from <= at
        return begun and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True)
class Person:
    id: str
    department: str
    roles: tuple[str, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Group:
    """At least `min` persons of this role and this department; an empty one fits everybody."""

    min: int = 1
    role: str = ""
    department: str = ""

    def fits(self, person: Person) -> bool:
        return self.role in ("", *person.roles) and self.department in ("", person.department)


@dataclass(frozen=True)
class Policy:
    """One tier. `min_usd` in whole USD; `max_total` in base units of the one asset in `assets`."""

    name: str
    quorum: int = 1
    groups: tuple[Group, ...] = ()
    any_of: tuple[Group, ...] = ()
    """Alternatives: one of these groups suffices."""
    min_usd: int | None = None
    requester_may_approve: bool = False
    max_age: int | None = None
    min_delay: int | None = None
    fee_deducted: bool = False
    parts: int = 1
    automatic: bool = False
    requesters: tuple[str, ...] = ()
    destinations: str = ""
    """`known` or `new`."""
    max_total: int | None = None
    window: int | None = None
    assets: tuple[str, ...] = ()
    wallets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intent:
    asset: str
    amount: int
    destination: str
    wallet: str = ""
    expires_at: int | None = None


@dataclass(frozen=True)
class Act:
    """One line of the log: done `at`, in the file since `written`. `other`: over other content than the request's;
    `shown_other`: the screen showed other content; `forged`: signed by a stranger's key under this kid.
    """

    kind: str
    request: str
    actor: str
    kid: str
    at: int
    written: int
    intent: Intent | None = None
    other: bool = False
    shown_other: bool = False
    forged: bool = False
    tx: str = ""


@dataclass(frozen=True)
class CoinTx:
    """Spends `coins` (name, address, value); what `outputs` (address, value) leave is the fee."""

    name: str
    coins: tuple[tuple[str, str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    chain = COIN

    @property
    def fee(self) -> int:
        return sum(value for _, _, value in self.coins) - sum(value for _, value in self.outputs)

    @property
    def consumes(self) -> frozenset[str]:
        """What only one transaction of a chain can consume."""
        return frozenset(coin for coin, _, _ in self.coins)


@dataclass(frozen=True)
class Move:
    asset: str
    sender: str
    receiver: str
    amount: int


@dataclass(frozen=True)
class AccountTx:
    """`moves` are all movements when it runs; `shown` what it was expected to do while it waited, None for the same."""

    name: str
    sender: str
    nonce: int
    moves: tuple[Move, ...]
    fee: int
    ok: bool = True
    shown: tuple[Move, ...] | None = None
    chain = ACCOUNT

    @property
    def consumes(self) -> frozenset[str]:
        return frozenset({f"{self.sender}#{self.nonce}"})


Tx = CoinTx | AccountTx


@dataclass(frozen=True)
class Step:
    """Something happens on a chain. `relay`: `txs` reach the mempool (and outbid what they conflict with); `drop`: the
    node forgets them; `mine`: a block of them; `reorg`: the last `depth` blocks give way to `blocks`, and `txs` return
    to the mempool.
    """

    at: int
    chain: str
    kind: str
    txs: tuple[str, ...] = ()
    depth: int = 0
    blocks: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class World:
    seed: int
    wallets: tuple[Wallet, ...]
    people: tuple[Person, ...]
    policies: tuple[Policy, ...]
    acts: tuple[Act, ...]
    """In the order of the log's lines."""
    txs: tuple[Tx, ...]
    steps: tuple[Step, ...]
    """In order of time."""
    downs: tuple[tuple[int, int], ...] = ()
    """The daemon does not run from the first until the second."""
    start: int = -HOUR
    """When the daemon first runs."""
    end: int = 10 * HOUR
    max_late: int = HOUR
    stories: tuple[str, ...] = field(default=(), compare=False)
    """What the generator put in, for people who read a difference."""

    def tx(self, name: str) -> Tx:
        return next(tx for tx in self.txs if tx.name == name)

    def person(self, name: str) -> Person | None:
        return next((p for p in self.people if p.id == name), None)

    def wallet_of(self, address: str) -> Wallet | None:
        return next((w for w in self.wallets if address in w.addresses), None)

    def is_up(self, at: int) -> bool:
        """Whether the daemon runs at `at`."""
        return at >= self.start and not any(begin <= at < end for begin, end in self.downs)


def worth_usd(asset: str, amount: int, usd: int) -> bool | None:
    """Whether `amount` is worth at least `usd`; None without a price."""
    if asset not in PRICES:
        return None
    price, one = PRICES[asset]
    return amount * price >= usd * one


def conflicts(one: Tx, other: Tx) -> bool:
    """Whether two transactions consume the same: only one of them can be in a chain."""
    return one.chain == other.chain and one.name != other.name and bool(one.consumes & other.consumes)
