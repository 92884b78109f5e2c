"""Protocol constants of the Bitcoin networks. Not configuration: a typo here would corrupt in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chains.model import Asset, AssetId, ChainId

NAMESPACE: Final = "bip122"
DECIMALS: Final = 8
MAX_MONEY_SATS: Final = 21_000_000 * 10**DECIMALS
"""No amount on any of these chains exceeds this (Bitcoin Core, consensus/amount.h)."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """One network, equal to itself alone. `pubkey_hash` and `script_hash` are base58 version bytes, `hrp` the bech32
    prefix (BIP 173); from `bip34_height` on, a coinbase begins with the height of its block (BIP 34).
    """

    name: str
    genesis: bytes
    pubkey_hash: int
    script_hash: int
    hrp: str
    bip34_height: int

    @property
    def chain(self) -> ChainId:
        """CAIP-2 id: the first 32 hexadecimal digits of the genesis block's hash."""
        return ChainId(NAMESPACE, self.genesis.hex()[:32])


MAINNET: Final = Network(
    "mainnet",
    bytes.fromhex("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
    pubkey_hash=0x00,
    script_hash=0x05,
    hrp="bc",
    bip34_height=227_931,
)
TESTNET3: Final = Network(
    "testnet3",
    bytes.fromhex("000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
    pubkey_hash=0x6F,
    script_hash=0xC4,
    hrp="tb",
    bip34_height=21_111,
)
TESTNET4: Final = Network(
    "testnet4",
    bytes.fromhex("00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
    pubkey_hash=0x6F,
    script_hash=0xC4,
    hrp="tb",
    bip34_height=1,
)
SIGNET: Final = Network(
    "signet",
    bytes.fromhex("00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
    pubkey_hash=0x6F,
    script_hash=0xC4,
    hrp="tb",
    bip34_height=1,
)
REGTEST: Final = Network(
    "regtest",
    bytes.fromhex("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
    pubkey_hash=0x6F,
    script_hash=0xC4,
    hrp="bcrt",
    bip34_height=1,
)

NETWORKS: Final = {network.chain: network for network in (MAINNET, TESTNET3, TESTNET4, SIGNET, REGTEST)}


def network_of(chain: ChainId) -> Network:
    """The network with this CAIP-2 id. Raises ValueError for one we hold no constants of."""
    network = NETWORKS.get(chain)
    if network is None:
        known = ", ".join(f"{n.name} {n.chain}" for n in NETWORKS.values())
        raise ValueError(f"unknown Bitcoin network {chain} (known: {known})")
    return network


def native_asset(chain: ChainId) -> Asset:
    """BTC on `chain` (SLIP-44 coin 0 on every bip122 chain, test networks included). Raises ValueError if unknown."""
    return Asset(AssetId(network_of(chain).chain, "slip44", "0"), "BTC", DECIMALS)
