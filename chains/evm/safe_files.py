"""Safe transactions as files: what the transaction service gives, what a wallet is asked to sign (EIP-712), and the
batches of the transaction builder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from eth_utils.crypto import keccak

from chains.evm.safe import DELEGATECALL, EXEC_TRANSACTION, MULTI_SEND, Execution, InnerOperation
from chains.family import NotATransaction

MAX_JSON: Final = 1024 * 1024
MAX_PARTS: Final = 1_000
_CALL_ONLY: Final = bytes.fromhex("9641d764fc13c8b624c04430c7356c1c7c8102e2")
"""MultiSendCallOnly 1.4.1, by which the builder's batches are executed."""
_NUMBER: Final = re.compile(r"[0-9]{1,78}\Z|0x[0-9a-fA-F]{1,64}\Z")
_PLAIN_TYPE: Final = re.compile(r"(?:address|bool|string|bytes[0-9]{0,2}|u?int[0-9]{0,3})\Z")
_HASHES: Final = ("safeTxHash", "contractTransactionHash")


@dataclass(frozen=True, slots=True)
class SafeFile:
    """`safe` None: the file does not say whose it is. `nonce` None: it is given when the batch is proposed.

    `claimed_hash` is the hash the file itself gives, empty if none. `chain_number` None: it names no chain.
    """

    safe: bytes | None
    execution: Execution
    nonce: int | None
    chain_number: int | None
    claimed_hash: bytes = b""


def read_safe_file(content: bytes) -> SafeFile:
    """Read one Safe transaction. Raises NotATransaction."""
    if len(content) > MAX_JSON:
        raise NotATransaction(f"a Safe transaction of more than {MAX_JSON} bytes is not read")
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise NotATransaction(f"neither hexadecimal nor JSON: {error.msg}") from None
    whole = _object(value, "the file")
    if "transactions" in whole:
        return _builder(whole)
    if "domain" in whole and "message" in whole:
        domain = _object(whole["domain"], "domain")
        if whole.get("primaryType", "SafeTx") != "SafeTx":
            raise NotATransaction("typed data, and no SafeTx")
        number = _optional_number(domain, "chainId")
        return _single(_object(whole["message"], "message"), _account(domain, "verifyingContract"), number, b"")
    inner = _object(whole.get("data"), "data") if isinstance(whole.get("data"), dict) else {}
    flat = {**whole, **inner}
    claimed = next((_data(flat, name) for name in _HASHES if flat.get(name) is not None), b"")
    safe = next((_account(flat, name) for name in ("safe", "safeAddress") if flat.get(name) is not None), None)
    return _single(flat, safe, _optional_number(flat, "chainId"), claimed)


def _single(fields: Mapping[str, Any], safe: bytes | None, number: int | None, claimed: bytes) -> SafeFile:
    operation = _number(fields, "operation")
    if operation > DELEGATECALL:
        raise NotATransaction(f"operation {operation} is none; 0 calls, 1 delegates")
    told = InnerOperation(operation, _account(fields, "to"), _number(fields, "value"), _data(fields, "data"))
    execution = Execution(
        told,
        _number(fields, "safeTxGas"),
        _number(fields, "baseGas", "dataGas"),
        _number(fields, "gasPrice"),
        _account(fields, "gasToken", bytes(20)),
        _account(fields, "refundReceiver", bytes(20)),
        b"",
    )
    return SafeFile(safe, execution, _optional_number(fields, "nonce"), number, claimed)


def _builder(whole: Mapping[str, Any]) -> SafeFile:
    """A batch: one transaction is executed as it is, several by MultiSendCallOnly."""
    rows = whole["transactions"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_PARTS:
        raise NotATransaction(f"transactions must be a list of 1 to {MAX_PARTS}")
    meta = _object(whole.get("meta") or {}, "meta")
    key = "createdFromSafeAddress"
    safe = _account(meta, key) if meta.get(key) else None
    parts = [_part(_object(row, f"transactions[{n}]")) for n, row in enumerate(rows)]
    told = parts[0] if len(parts) == 1 else InnerOperation(DELEGATECALL, _CALL_ONLY, 0, pack(parts))
    execution = Execution(told, 0, 0, 0, bytes(20), bytes(20), b"")
    return SafeFile(safe, execution, None, _optional_number(whole, "chainId"))


def _part(row: Mapping[str, Any]) -> InnerOperation:
    data = _data(row, "data") if row.get("data") is not None else _from_method(row)
    return InnerOperation(0, _account(row, "to"), _number(row, "value"), data)


def _from_method(row: Mapping[str, Any]) -> bytes:
    """The calldata of a method and its inputs as texts, which the builder encodes only when it proposes."""
    if row.get("contractMethod") is None:
        return b""
    method = _object(row["contractMethod"], "contractMethod")
    given = _object(row.get("contractInputsValues") or {}, "contractInputsValues")
    inputs = [_object(i, "inputs") for i in _list(method.get("inputs"), "contractMethod.inputs")]
    kinds = [str(i.get("type")) for i in inputs]
    if not all(_PLAIN_TYPE.match(kind) for kind in kinds):
        raise NotATransaction(
            "the batch has a call with lists or tuples that is not encoded yet: export it with its data"
        )
    values = [_value(kind, given.get(str(i.get("name")))) for kind, i in zip(kinds, inputs, strict=True)]
    try:
        return keccak(text=f"{method.get('name')}({','.join(kinds)})")[:4] + encode(kinds, values)
    except (EncodingError, ValueError, OverflowError) as error:
        raise NotATransaction(
            f"the call {method.get('name')!r:.60} cannot be encoded: {type(error).__name__}"
        ) from None


def _value(kind: str, text: Any) -> Any:
    if not isinstance(text, str):
        raise NotATransaction(f"contractInputsValues has no text for an input of type {kind}")
    if kind.startswith(("uint", "int")):
        if not _NUMBER.match(text.removeprefix("-")):
            raise NotATransaction(f"{text[:40]!r} is no number")
        return int(text, 0) if "0x" in text else int(text)
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise NotATransaction(f"{text[:40]!r} is neither true nor false")
        return text.lower() == "true"
    return _hex(text, kind) if kind.startswith("bytes") else text


def pack(parts: Sequence[InnerOperation]) -> bytes:
    """The calldata of `multiSend` over these parts."""
    packed = b"".join(
        bytes((part.operation,))
        + part.to
        + part.value_wei.to_bytes(32, "big")
        + len(part.data).to_bytes(32, "big")
        + part.data
        for part in parts
    )
    return MULTI_SEND + encode(["bytes"], [packed])


def execution_calldata(execution: Execution) -> bytes:
    """The call of `execTransaction` that carries the execution to its Safe."""
    told = execution.operation
    types = ["address", "uint256", "bytes", "uint8", *["uint256"] * 3, "address", "address", "bytes"]
    values = [told.to, told.value_wei, told.data, told.operation, execution.safe_tx_gas, execution.base_gas]
    values += [execution.gas_price, execution.gas_token, execution.refund_receiver, execution.signatures]
    return EXEC_TRANSACTION + encode(types, values)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotATransaction(f"{where} is no JSON object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise NotATransaction(f"{where} is no list")
    return value


def _number(fields: Mapping[str, Any], *names: str) -> int:
    """A whole number of at most 256 bits, written as number or text; 0 where none of the names is there."""
    name = next((n for n in names if fields.get(n) is not None), None)
    value = 0 if name is None else fields[name]
    if isinstance(value, str) and _NUMBER.match(value):
        value = int(value, 0) if value.startswith("0x") else int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**256:
        raise NotATransaction(f"{name} is no whole number of at most 256 bits")
    return value


def _optional_number(fields: Mapping[str, Any], name: str) -> int | None:
    return None if fields.get(name) is None else _number(fields, name)


def _account(fields: Mapping[str, Any], name: str, default: bytes | None = None) -> bytes:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    raw = _hex(value, name)
    if len(raw) != 20:
        raise NotATransaction(f"{name} is no account")
    return raw


def _data(fields: Mapping[str, Any], name: str) -> bytes:
    value = fields.get(name)
    return b"" if value is None or value == "" else _hex(value, name)


def _hex(value: Any, name: str) -> bytes:
    if not isinstance(value, str) or value[:2] != "0x" or len(value) % 2:
        raise NotATransaction(f"{name} is no hexadecimal text with 0x")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise NotATransaction(f"{name} is no hexadecimal text with 0x") from None
