"""Protocol facts of TRON."""

from __future__ import annotations

from chains.model import Asset, AssetId, ChainId

MAINNET = ChainId("tron", "0x2b6653dc")
"""By CAIP-2 the last four bytes of the genesis hash, which are also what `eth_chainId` answers."""
ADDRESS_VERSION = 0x41
TRX_DECIMALS = 6
"""1 TRX = 1,000,000 sun."""


def native_asset(chain: ChainId) -> Asset:
    """TRX, in sun. Raises ValueError for a chain of another namespace."""
    if chain.namespace != "tron":
        raise ValueError(f"not a TRON chain: {chain}")
    return Asset(AssetId(chain, "slip44", "195"), "TRX", TRX_DECIMALS)
