"""How many decimals a token's own contract says it has (ERC-20, optional `decimals()`)."""

from __future__ import annotations

from typing import Final

from chains.errors import RpcError, WrongChain
from chains.evm.contracts import Interface
from chains.evm.fields import data_of, parse_address, quantity_of
from chains.evm.params import network_of
from chains.evm.requests import raised
from chains.evm.state import eth_call
from chains.model import AssetId
from chains.rpc.endpoints import open_transport
from chains.rpc.jsonrpc import Transport
from chains.source import SourceSpec

_TOKEN: Final = Interface({"decimals": ((), ("uint8",))})


def read_token_decimals(spec: SourceSpec, token: AssetId) -> int | None:
    """After the node's latest block; None for a contract that does not say. Raises ChainError."""
    number = network_of(spec.chain).number

    def identify(transport: Transport) -> None:
        found = quantity_of(transport.call("eth_chainId"), "eth_chainId")
        if found != number:
            raise WrongChain(f"the node is of eip155:{found}, not eip155:{number}", endpoint=transport.name)

    method, params = eth_call(parse_address(spec.chain, token.reference).key, _TOKEN.call("decimals"))
    pool = open_transport(spec, identify)
    try:
        (answer,) = pool.ask(lambda transport: transport.batch([(method, (*params, "latest"))]))
        (decimals,) = _TOKEN.results("decimals", data_of(raised(answer), "eth_call"))
    except (RpcError, ValueError):
        return None
    finally:
        pool.close()
    return int(decimals)
