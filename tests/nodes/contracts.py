"""Compiled contracts on an anvil: OpenZeppelin's tokens and the Safe, deployed, called and made to act."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from nodes.anvils import CHAIN_ID, Anvil
from nodes.locations import find_compiled_contracts

NOBODY = "0x" + "00" * 20
OPERATION_CALL, OPERATION_DELEGATECALL = 0, 1

_OPENZEPPELIN = Path("@openzeppelin/contracts/build/contracts")
_SAFE = Path("@safe-global/safe-smart-account/build/artifacts/contracts")

_SAFE_TX_FIELDS = [
    ("address", "to"),
    ("uint256", "value"),
    ("bytes", "data"),
    ("uint8", "operation"),
    ("uint256", "safeTxGas"),
    ("uint256", "baseGas"),
    ("uint256", "gasPrice"),
    ("address", "gasToken"),
    ("address", "refundReceiver"),
    ("uint256", "nonce"),
]


@dataclass(frozen=True)
class Compiled:
    """A contract as its compiler left it: interface and creation code."""

    abi: list[dict[str, Any]]
    bytecode: bytes


@dataclass(frozen=True)
class Contract:
    """A contract at an address of one node."""

    node: Anvil
    address: str
    abi: list[dict[str, Any]]

    def calldata(self, function: str, *arguments: Any) -> bytes:
        """The call of `function`, by name or, where it is overloaded, by signature. Raises LookupError."""
        entry = self._find(function)
        return keccak(text=_signature(entry))[:4] + encode(_types(entry["inputs"]), arguments)

    def send(self, sender: str, function: str, *arguments: Any, value: int = 0) -> str:
        """Call it in a transaction of an unlocked account; the transaction's hash."""
        return self.node.send(sender, self.address, value=value, data=self.calldata(function, *arguments))

    def call(self, function: str, *arguments: Any) -> Any:
        """Ask it without a transaction; its one answer, or a tuple of several."""
        data = "0x" + self.calldata(function, *arguments).hex()
        raw: str = self.node.rpc("eth_call", [{"to": self.address, "data": data}, "latest"])
        answers = decode(_types(self._find(function)["outputs"]), bytes.fromhex(raw[2:]))
        return answers[0] if len(answers) == 1 else answers

    def _find(self, function: str) -> dict[str, Any]:
        for entry in self.abi:
            if entry["type"] == "function" and function in (entry["name"], _signature(entry)):
                return entry
        raise LookupError(f"{self.address} has no function {function}")


@dataclass(frozen=True)
class Safe:
    """A Safe: a proxy of the Safe singleton, whose owners are unlocked accounts of the node."""

    contract: Contract
    owners: tuple[str, ...]
    threshold: int

    @property
    def address(self) -> str:
        """Where it is, EIP-55."""
        return self.contract.address

    def execute(
        self,
        to: str,
        *,
        value: int = 0,
        data: bytes = b"",
        operation: int = OPERATION_CALL,
        signers: Sequence[str] | None = None,
        sender: str | None = None,
    ) -> str:
        """Have `signers` (else the first `threshold` owners) sign by EIP-712 and `sender` execute; the hash."""
        chosen = sorted(signers or self.owners[: self.threshold], key=lambda owner: int(owner, 16))
        message = self._message(to, value, data, operation)
        signatures = b"".join(self._sign(owner, message) for owner in chosen)
        arguments = (to, value, data, operation, 0, 0, 0, NOBODY, NOBODY, signatures)
        return self.contract.send(sender or self.owners[0], "execTransaction", *arguments)

    def _message(self, to: str, value: int, data: bytes, operation: int) -> dict[str, Any]:
        nonce = self.contract.call("nonce")
        values = (to, str(value), "0x" + data.hex(), operation, "0", "0", "0", NOBODY, NOBODY, str(nonce))
        return dict(zip((name for _, name in _SAFE_TX_FIELDS), values, strict=True))

    def _sign(self, owner: str, message: dict[str, Any]) -> bytes:
        fields = [{"type": kind, "name": name} for kind, name in _SAFE_TX_FIELDS]
        domain_fields = [{"type": "uint256", "name": "chainId"}, {"type": "address", "name": "verifyingContract"}]
        typed = {
            "types": {"EIP712Domain": domain_fields, "SafeTx": fields},
            "primaryType": "SafeTx",
            "domain": {"chainId": CHAIN_ID, "verifyingContract": self.address},
            "message": message,
        }
        signature: str = self.contract.node.rpc("eth_signTypedData_v4", [owner, typed])
        return bytes.fromhex(signature[2:])


def deploy(node: Anvil, compiled: Compiled, *arguments: Any, sender: str | None = None) -> Contract:
    """Put a contract on the chain (mining one block where the node does not by itself). Raises LookupError."""
    inputs = [part for entry in compiled.abi if entry["type"] == "constructor" for part in entry["inputs"]]
    code = compiled.bytecode + encode(_types(inputs), arguments)
    receipt = settle(node, node.send(sender or node.accounts[0], None, data=code))
    return Contract(node, to_checksum_address(receipt["contractAddress"]), compiled.abi)


def deploy_erc20(node: Anvil, symbol: str, supply: int, holder: str) -> Contract:
    """OpenZeppelin's ERC20PresetFixedSupply (18 decimals) with all of `supply` base units at `holder`."""
    return deploy(node, openzeppelin("ERC20PresetFixedSupply"), f"{symbol} token", symbol, supply, holder)


def deploy_safe(node: Anvil, owners: Sequence[str], threshold: int, *, salt: int = 0) -> Safe:
    """A Safe 1.5.0 behind a proxy of its factory, as the Safe's own interface makes them."""
    singleton = deploy(node, safe("Safe"))
    factory = deploy(node, safe("proxies/SafeProxyFactory"))
    handler = deploy(node, safe("handler/CompatibilityFallbackHandler"))
    setup = singleton.calldata("setup", list(owners), threshold, NOBODY, b"", handler.address, NOBODY, 0, NOBODY)
    receipt = settle(node, factory.send(node.accounts[0], "createProxyWithNonce", singleton.address, setup, salt))
    created = keccak(text="ProxyCreation(address,address)").hex()
    log = next(log for log in receipt["logs"] if log["topics"][0] == "0x" + created)
    proxy = to_checksum_address("0x" + log["topics"][1][-40:])
    return Safe(Contract(node, proxy, singleton.abi), tuple(owners), threshold)


def settle(node: Anvil, tx: str) -> dict[str, Any]:
    """The receipt of `tx`, mining a block if none has it yet. Raises LookupError if it failed or was not taken."""
    if node.rpc("eth_getTransactionReceipt", [tx]) is None:
        node.mine()
    receipt = node.receipt(tx)
    if receipt["status"] != "0x1":
        raise LookupError(f"{tx} failed")
    return receipt


def openzeppelin(name: str) -> Compiled:
    """A contract of @openzeppelin/contracts 4.9.6, e.g. `ERC20PresetFixedSupply`."""
    return _read(_OPENZEPPELIN / f"{name}.json")


def safe(name: str) -> Compiled:
    """A contract of @safe-global/safe-smart-account 1.5.0, e.g. `Safe` or `libraries/MultiSend`."""
    return _read(_SAFE / f"{name}.sol" / f"{name.rpartition('/')[2]}.json")


@cache
def _read(path: Path) -> Compiled:
    artifact = json.loads((find_compiled_contracts() / path).read_bytes())
    return Compiled(artifact["abi"], bytes.fromhex(artifact["bytecode"].removeprefix("0x")))


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(_types(entry['inputs']))})"


def _types(parameters: Sequence[dict[str, Any]]) -> list[str]:
    return [collapse_if_tuple(parameter) for parameter in parameters]
