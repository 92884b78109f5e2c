"""Protocol facts of EVM networks: constants, because a typo in a site's file would corrupt silently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from chains.family import UnknownCoin
from chains.model import Asset, AssetId, ChainId

ETHER_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Network:
    """One EVM network by its EIP-155 id.

    `coin_type` is the SLIP-44 number in the native asset's CAIP-19 id. `min_confirmations` is what we never call final
    below where no `finalized` tag decides. `standard_header`: the block hash is Keccak-256 of the RLP of Ethereum's
    header fields, so that it can be recomputed; `signed_transactions`: so are hashes and senders of the common types of
    transactions, none being made up by the node. `coin_mirrors` are contracts whose Transfer logs repeat moves of the
    coin itself and would count them twice.
    """

    number: int
    name: str
    symbol: str = "ETH"
    coin_type: int = 60
    min_confirmations: int = 1
    has_finalized: bool = True
    standard_header: bool = True
    signed_transactions: bool = False
    coin_mirrors: frozenset[bytes] = frozenset()
    slot_secs: int = 2
    """A block's time is the beginning of its slot: what it holds may have been broadcast so many seconds later."""

    @property
    def chain(self) -> ChainId:
        """Its CAIP-2 id."""
        return ChainId("eip155", str(self.number))


_POLYGON_COIN = bytes.fromhex("0000000000000000000000000000000000001010")

NETWORKS: dict[int, Network] = {
    network.number: network
    for network in (
        # Two epochs: without the tag no depth is final; reorgs of 7 blocks were seen on 2022-05-25.
        Network(1, "Ethereum", min_confirmations=64, signed_transactions=True, slot_secs=12),
        Network(10, "Optimism"),
        # 15 was the depth advised before fast finality (BEP-126).
        Network(56, "BNB Chain", symbol="BNB", coin_type=714, min_confirmations=15, slot_secs=3),
        # A reorg of 157 blocks was seen on 2023-02-22, before milestones. State-sync logs stand in no header bloom.
        Network(
            137,
            "Polygon",
            symbol="POL",
            coin_type=966,
            min_confirmations=256,
            standard_header=False,
            coin_mirrors=frozenset({_POLYGON_COIN}),
        ),
        Network(8453, "Base"),
        Network(31337, "local test network"),
        Network(42161, "Arbitrum"),
        # Accepted blocks are final; the header carries extDataHash and blockGasCost between Ethereum's fields.
        Network(43114, "Avalanche", symbol="AVAX", coin_type=9005, standard_header=False),
        Network(11155111, "Sepolia", min_confirmations=64, signed_transactions=True, slot_secs=12),
    )
}


def network_of(chain: ChainId) -> Network:
    """The network of an `eip155` chain; one that is not listed counts as Ethereum-like, and its coin is not known.

    Raises ValueError for another namespace or a reference that is no number.
    """
    reference = chain.reference
    if chain.namespace != "eip155" or not reference.isascii() or not reference.isdigit() or reference[0] == "0":
        raise ValueError(f"not an EIP-155 chain: {chain}")
    number = int(reference)
    return NETWORKS.get(number) or Network(number, str(chain), standard_header=False)


def block_time_slack(chain: ChainId) -> timedelta:
    """How much later than its block's time a transaction may have been broadcast: the length of a slot."""
    return timedelta(seconds=network_of(chain).slot_secs)


@lru_cache(maxsize=1024)
def native_id(chain: ChainId) -> AssetId:
    """The id of the coin of `chain`: SLIP-44 coin 60 but where a constant says otherwise. Raises ValueError as
    `network_of`.
    """
    return AssetId(chain, "slip44", str(network_of(chain).coin_type))


def native_asset(chain: ChainId) -> Asset:
    """The coin of `chain`, counted in wei (10**-18). Raises UnknownCoin for a network that is not listed, ValueError
    as `network_of`.
    """
    network = network_of(chain)
    if network.number not in NETWORKS:
        raise UnknownCoin(f"the coin of {chain} is not known")
    return Asset(native_id(chain), network.symbol, ETHER_DECIMALS)
