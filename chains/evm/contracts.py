"""Contract calls coded by web3.py and typed data (EIP-712) hashed by eth-account; nodes are asked by our own pool.

Import this where it is needed, not at the top of a module: it takes 0.4 s and 20 MB. py_ecc, which web3 imports, raises
Python's recursion limit to 100,000, at which deep JSON from a node overflows the C stack; the limit is set back.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

_LIMIT = sys.getrecursionlimit()

from eth_account.messages import encode_typed_data  # noqa: E402 - between reading the limit and setting it back
from web3 import Web3  # noqa: E402

sys.setrecursionlimit(_LIMIT)

_WEB3 = Web3()  # without a provider: it codes, and never asks a node


class Interface:
    """Functions of a contract that are only read: their names with the types of their arguments and results."""

    def __init__(self, functions: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> None:
        self._results = {name: list(results) for name, (_, results) in functions.items()}
        self._contract = _WEB3.eth.contract(
            abi=[
                {
                    "type": "function",
                    "name": name,
                    "stateMutability": "view",
                    "inputs": [{"name": f"a{n}", "type": kind} for n, kind in enumerate(arguments)],
                    "outputs": [{"name": f"r{n}", "type": kind} for n, kind in enumerate(results)],
                }
                for name, (arguments, results) in functions.items()
            ]
        )

    def call(self, name: str, *arguments: Any) -> bytes:
        """The calldata of a call."""
        return bytes.fromhex(self._contract.encode_abi(name, args=list(arguments))[2:])

    def results(self, name: str, answer: bytes) -> tuple[Any, ...]:
        """The values in a contract's answer. Raises ValueError where a type does not hold; bytes behind them pass."""
        try:
            return tuple(_WEB3.codec.decode(self._results[name], answer))
        except (DecodingError, OverflowError) as error:
            raise ValueError(f"{name} cannot be decoded: {error}") from None


def typed_data_hash(domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> bytes:
    """The hash that is signed (EIP-712) of a message whose type is the one of `types` that no other refers to."""
    signable = encode_typed_data(dict(domain), dict(types), dict(message))
    return keccak(b"\x19" + signable.version + signable.header + signable.body)
