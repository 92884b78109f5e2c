"""Random little chains, and what a person with a box of coins would say of them: one entry a base unit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random

from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    BlockRef,
    ChainId,
    ChainTransaction,
    Outpoint,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from walletwatch.domain.cases import Case, CaseState, Seed, TaintModel, TraceOptions
from walletwatch.domain.labels import Label
from walletwatch.tracing.flows import LabelLookup

BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
BTC = AssetId(BITCOIN, "slip44", "0")
ETHEREUM = ChainId.parse("eip155:1")
ETH = AssetId(ETHEREUM, "slip44", "60")
TOKEN = AssetId(ETHEREUM, "erc20", "0x" + "11" * 20)
GENESIS = datetime(2026, 1, 1, tzinfo=UTC)

Block = tuple[BlockRef, datetime, tuple[ChainTransaction, ...]]


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def address(name: str) -> Address:
    return Address(digest("address", name)[:20], name)


def block_ref(height: int, branch: int = 0) -> BlockRef:
    return BlockRef(height, digest("block", height, branch))


def block_time(height: int) -> datetime:
    return GENESIS + timedelta(minutes=10 * height)


def label_some(*named: tuple[str, str]) -> LabelLookup:
    """A label lookup that knows (address name, category) pairs."""
    book = {address(name).key: category for name, category in named}

    def lookup(chain: ChainId, where: Address, _moment: datetime) -> tuple[Label, ...]:
        category = book.get(where.key)
        return (Label(str(chain), where.text, f"the {category}", category),) if category else ()

    return lookup


def make_case(chain: ChainId, seeds: tuple[Seed, ...], **options: object) -> Case:
    return Case(
        "case_1",
        "theft",
        chain,
        seeds,
        CaseState.OPEN,
        GENESIS,
        "test",
        min((s.height for s in seeds), default=0),
        TraceOptions(**options),  # type: ignore[arg-type]
    )


@dataclass
class CoinChain:
    """A random coin chain in which the outputs of some transactions are stolen."""

    blocks: list[Block] = field(default_factory=list)
    seeds: tuple[Seed, ...] = ()


def grow_coin_chain(random: Random, transactions: int = 12, branch: int = 0, names: int = 9) -> CoinChain:
    """Transactions with up to 4 inputs, old and fresh, in blocks of up to 3; two outputs of the first are stolen."""
    chain = CoinChain()
    pool: list[tuple[Outpoint, int, Address]] = []
    block: list[ChainTransaction] = []
    height = 100
    for number in range(transactions):
        tx = _pay(random, pool, number, len(block), branch, names)
        if number == 0 or (number == 5 and random.random() < 0.3):
            outputs = random.sample(tx.outputs, min(len(tx.outputs), 2))
            chain.seeds += tuple(Seed(tx.txid, o.vout, o.address, BTC, o.value, height) for o in outputs)
        block.append(tx)
        if len(block) == 3 or random.random() < 0.4 or number == transactions - 1:
            chain.blocks.append((block_ref(height, branch), block_time(height), tuple(block)))
            block, height = [], height + 1
    return chain


def _pay(
    random: Random, pool: list[tuple[Outpoint, int, Address]], number: int, index: int, branch: int, names: int
) -> UtxoTransaction:
    inputs: list[TxInput] = []
    for part in range(random.randint(1, 4)):
        if pool and random.random() < 0.65:
            outpoint, value, owner = pool.pop(random.randrange(len(pool)))
        else:
            value, owner = random.randint(1, 30), address(f"stranger-{number}-{part}")
            outpoint = Outpoint(digest("clean", number, part, branch), part)
        inputs.append(TxInput(outpoint, value, owner))
    total = sum(i.value or 0 for i in inputs)
    fee = random.randint(0, min(total - 1, 4)) if total > 1 else 0
    sizes = _split(random, total - fee, random.randint(1, 5))
    txid = digest("tx", number, branch, total)
    outputs = tuple(TxOutput(n, size, address(f"a{random.randrange(names)}")) for n, size in enumerate(sizes))
    pool.extend((Outpoint(txid, o.vout), o.value, o.address) for o in outputs if o.value)
    return UtxoTransaction(txid, index, tuple(inputs), outputs, fee, 200)


def _split(random: Random, total: int, parts: int) -> list[int]:
    cuts = sorted(random.randint(0, total) for _ in range(parts - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]


def spread_by_unit(model: TaintModel, inputs: list[list[bool]], sizes: list[int]) -> list[list[bool]]:
    """One boolean a base unit: what CONTRACT's sentence says, with boxes of coins. The fee is the last size."""
    line = [unit for coin in inputs for unit in coin]
    tainted = sum(line)
    if model is TaintModel.FIFO:
        out = []
        for size in sizes:
            out.append(line[:size])
            line = line[size:]
        return out
    if model is TaintModel.LIFO:
        out = []
        for size in sizes:
            out.append(line[len(line) - size :])
            line = line[: len(line) - size]
        return out
    if model is TaintModel.POISON:
        return [[bool(tainted)] * size for size in sizes]
    if model is TaintModel.TIHO:
        got = [0] * len(sizes)
        for n in [*sorted(range(len(sizes) - 1), key=lambda n: (-sizes[n], n)), len(sizes) - 1]:
            while tainted and got[n] < sizes[n]:
                got[n], tainted = got[n] + 1, tainted - 1
        return [[True] * g + [False] * (s - g) for g, s in zip(got, sizes, strict=True)]
    exact = [Fraction(tainted * size, len(line)) if line else Fraction(0) for size in sizes]
    got = [int(share) for share in exact]
    order = sorted(range(len(sizes)), key=lambda n: (-(exact[n] - int(exact[n])), n))
    for n in order[: tainted - sum(got)]:
        got[n] += 1
    return [[True] * g + [False] * (s - g) for g, s in zip(got, sizes, strict=True)]


@dataclass
class AccountChain:
    """A random account chain; `opening` is what every address held before it began."""

    blocks: list[Block] = field(default_factory=list)
    seeds: tuple[Seed, ...] = ()
    balances: dict[tuple[AssetId, bytes, int], int] = field(default_factory=dict)
    """What an address held before the block at a height."""

    def opening(self, where: Address, asset: AssetId, height: int) -> int | None:
        return self.balances.get((asset, where.key, height), 0)


def grow_account_chain(random: Random, transactions: int = 14, branch: int = 0, names: int = 6) -> AccountChain:
    """Payments of two assets among few accounts, some several in a transaction, with gas; two transfers are stolen."""
    chain = AccountChain()
    people = [address(f"a{n}") for n in range(names)]
    held = {(asset, p.key): random.randint(0, 40) for asset in (ETH, TOKEN) for p in people}
    block: list[ChainTransaction] = []
    height = 100
    _remember(chain, held, height)
    for number in range(transactions):
        tx = _transact(random, people, held, number, len(block), branch)
        if number in (0, 4) and tx.transfers:
            stolen = random.choice(tx.transfers)
            chain.seeds += (Seed(tx.txid, stolen.ordinal, stolen.receiver, stolen.asset, stolen.amount, height),)
        block.append(tx)
        if len(block) == 3 or random.random() < 0.4 or number == transactions - 1:
            chain.blocks.append((block_ref(height, branch), block_time(height), tuple(block)))
            block, height = [], height + 1
            _remember(chain, held, height)
    return chain


def _remember(chain: AccountChain, held: dict[tuple[AssetId, bytes], int], height: int) -> None:
    chain.balances.update({(asset, key, height): amount for (asset, key), amount in held.items()})


def _transact(
    random: Random,
    people: list[Address],
    held: dict[tuple[AssetId, bytes], int],
    number: int,
    index: int,
    branch: int,
) -> AccountTransaction:
    sender = random.choice(people)
    transfers: list[Transfer] = []
    for ordinal in range(random.randint(1, 3)):
        asset, payer, payee = random.choice((ETH, ETH, TOKEN)), random.choice([sender, *people]), random.choice(people)
        amount = random.randint(0, held[asset, payer.key])
        if not amount:
            continue
        held[asset, payer.key] -= amount
        held[asset, payee.key] += amount
        transfers.append(Transfer(asset, payer, payee, amount, TransferKind.INTERNAL, ordinal))
    fee = min(held[ETH, sender.key], random.randint(0, 3))
    held[ETH, sender.key] -= fee
    txid = digest("account tx", number, branch)
    return AccountTransaction(txid, index, sender, None, number, True, fee, tuple(transfers), True)
