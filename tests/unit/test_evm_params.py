"""Protocol constants of the networks."""

from __future__ import annotations

import pytest

from chains.evm.params import NETWORKS, native_asset, native_id, network_of
from chains.family import UnknownCoin
from chains.model import ChainId


@pytest.mark.parametrize(
    ("number", "coin", "symbol"),
    [(1, 60, "ETH"), (10, 60, "ETH"), (56, 714, "BNB"), (137, 966, "POL"), (8453, 60, "ETH"), (42161, 60, "ETH"),
     (43114, 9005, "AVAX"), (11155111, 60, "ETH"), (31337, 60, "ETH")],
)  # fmt: skip
def test_the_coin_of_each_network_by_slip44(number: int, coin: int, symbol: str) -> None:
    chain = ChainId("eip155", str(number))
    asset = native_asset(chain)
    assert str(asset.id) == f"eip155:{number}/slip44:{coin}"
    assert (asset.symbol, asset.decimals) == (symbol, 18)


def test_the_coin_of_a_network_that_is_not_listed_is_not_guessed() -> None:
    """Every unlisted network had a coin called ETH: on eip155:100 the coin is xDAI, worth a dollar."""
    chain = ChainId("eip155", "100")
    assert str(native_id(chain)) == "eip155:100/slip44:60"
    with pytest.raises(UnknownCoin, match="the coin of eip155:100 is not known"):
        native_asset(chain)


def test_a_network_that_is_not_listed_is_believed_less() -> None:
    unknown = network_of(ChainId("eip155", "777777"))
    assert not unknown.standard_header
    assert unknown.number not in NETWORKS


@pytest.mark.parametrize("text", ["bip122:1", "eip155:0", "eip155:01", "eip155:x1", "eip155:-1"])
def test_references_that_are_no_chain_number_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an EIP-155 chain"):
        network_of(ChainId.parse(text))
