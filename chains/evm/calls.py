"""What calls ask for, read from their data before they run: changes of control, and what cannot be seen offline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from chains.evm.fields import to_address
from chains.evm.safe import DELEGATECALL, MAX_INNER, MAX_NESTING, InnerOperation, operations_of, read_execution
from chains.evm.tokens import PERMIT2
from chains.family import Doubt, KnownBefore
from chains.model import ControlChange, ControlKind

MULTI_SENDS: Final = frozenset(
    bytes.fromhex(account)
    for account in (
        "a238cbeb142c10ef7ad8442c6d1f9e89e07e7761",  # 1.3.0 MultiSend
        "998739bfdaadde7c933b942a68053933098f9eda",  # 1.3.0 MultiSend, by a factory bound to the chain
        "40a2accbd92bca938b02010e17a5b8929b49130d",  # 1.3.0 MultiSendCallOnly
        "a1dabef33b3b82c7814b6d82a79e50f4ac44102b",  # 1.3.0 MultiSendCallOnly, by a factory bound to the chain
        "38869bf66a61cf6bdb996a6ae40d5853fd43b526",  # 1.4.1 MultiSend
        "9641d764fc13c8b624c04430c7356c1c7c8102e2",  # 1.4.1 MultiSendCallOnly
        "218543288004cd07832472d464648173c77d7eb7",  # 1.5.0 MultiSend
        "a83c336b20401af773b6219ba5027174338d1836",  # 1.5.0 MultiSendCallOnly
    )
)
"""Where safe-smart-account's MultiSend contracts lie (safe-deployments). Their accounts follow from their code
(CREATE2): nobody can put other code there.
"""


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


_SAFE_SETTERS: Final = {
    _selector(text): (text, kind)
    for text, kind in (
        ("addOwnerWithThreshold(address,uint256)", ControlKind.OWNERS),
        ("removeOwner(address,address,uint256)", ControlKind.OWNERS),
        ("swapOwner(address,address,address)", ControlKind.OWNERS),
        ("changeThreshold(uint256)", ControlKind.THRESHOLD),
        ("enableModule(address)", ControlKind.MODULES),
        ("disableModule(address,address)", ControlKind.MODULES),
        ("setGuard(address)", ControlKind.GUARD),
        ("setModuleGuard(address)", ControlKind.GUARD),
        ("setFallbackHandler(address)", ControlKind.FALLBACK_HANDLER),
        ("changeMasterCopy(address)", ControlKind.SINGLETON),  # until 1.2
    )
}
"""What a Safe may only be told by itself."""

_PAYMENTS: Final = {_selector("transfer(address,uint256)"): 2, _selector("transferFrom(address,address,uint256)"): 3}
"""EIP-20's payments, by how many words of arguments they have; their movements are read elsewhere."""

_GRANTS: Final = {
    _selector(text): (text, standard)
    for text, standard in (
        ("approve(address,uint256)", "erc20"),
        ("increaseAllowance(address,uint256)", "erc20"),
        ("setApprovalForAll(address,bool)", "operator"),
    )
}
_PERMIT2_APPROVE: Final = _selector("approve(address,address,uint160,uint48)")
_LESS: Final = _selector("decreaseAllowance(address,uint256)")


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who makes it, of whom. `delegated`: the callee's code runs with the caller's own powers."""

    caller: bytes
    callee: bytes
    data: bytes
    delegated: bool = False
    depth: int = 0


@dataclass(slots=True)
class CallReading:
    """What calls of one transaction ask for."""

    txid: bytes
    known: KnownBefore
    control: list[ControlChange] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    def read(self, calls: Iterable[Call]) -> None:
        """Take in calls, with those inside a Safe's execution."""
        for call in calls:
            execution = None if call.delegated else read_execution(call.data)
            if execution is None:
                self._read_one(call)
            elif call.callee not in self.known.accounts:
                self.doubts.append(Doubt(f"executes the Safe {_text(call.callee)}, which is none of ours"))
            else:
                if execution.gas_price:
                    who = "whoever sends it" if not any(execution.refund_receiver) else _text(execution.refund_receiver)
                    self.doubts.append(Doubt(f"gasPrice is above 0: the Safe pays {who} for the gas"))
                for inner in calls_of(call.callee, operations_of(execution)):
                    self._read_one(inner)

    def _read_one(self, call: Call) -> None:
        if call.delegated:
            self._read_delegated(call)
        elif not call.data:
            return
        elif call.callee == call.caller:
            self._read_own(call)
        elif call.data[:4] in _PAYMENTS:
            self._read_payment(call)
        elif not self._read_grant(call):
            self._doubt(call, "what it does, and what it calls, is not seen without a node")

    def _read_delegated(self, call: Call) -> None:
        operation = InnerOperation(DELEGATECALL, call.callee, 0, call.data, call.depth)
        if operation.is_multi_send and call.callee in MULTI_SENDS:
            if not _is_whole(operation) or call.depth >= MAX_NESTING:
                text = "its list ends within a part, which the contract would fill with zeros and execute"
                self.doubts.append(Doubt(f"{_text(call.caller)} delegates to a MultiSend, and {text}", wrong=True))
            return
        if operation.is_multi_send:
            self._doubt(call, "it is delegated, and its code is no known MultiSend's")
            return
        detail: dict[str, str | int] = {
            "operation": DELEGATECALL,
            "selector": "0x" + call.data[:4].hex(),
            "calldata": "0x" + call.data[:256].hex(),
            "code_hash": "unread",
            "depth": call.depth,
        }
        self._change(call.caller, ControlKind.DELEGATECALL, _text(call.callee), detail)

    def _read_own(self, call: Call) -> None:
        """A Safe calls itself, to change itself."""
        signature, kind = _SAFE_SETTERS.get(call.data[:4], ("", None))
        arguments = None if kind is None else _arguments(signature, call.data)
        if kind is None or arguments is None:
            self._doubt(call, "the wallet calls itself, and what for is not known")
            return
        after = ",".join(str(a) for a in arguments)
        self._change(call.caller, kind, after, {"function": signature})

    def _read_payment(self, call: Call) -> None:
        if len(call.data) != 4 + 32 * _PAYMENTS[call.data[:4]]:
            self._doubt(call, "it looks like a payment, and its arguments are not those of one")
        elif call.callee not in self.known.tokens:
            self._doubt(call, "it looks like a payment, and the contract is no configured [[asset]]")

    def _read_grant(self, call: Call) -> bool:
        """Note who is allowed to take tokens; False for another call."""
        head = call.data[:4]
        if head == _LESS:
            return True
        if head in _GRANTS:
            signature, standard = _GRANTS[head]
            arguments = _arguments(signature, call.data)
            token = call.callee
        elif head == _PERMIT2_APPROVE and call.callee == PERMIT2:
            standard = "permit2"
            arguments = _arguments("approve(address,address,uint160,uint48)", call.data)
            token, arguments = (b"", None) if arguments is None else (_account(arguments[0]), arguments[1:])
        else:
            return False
        if arguments is None:
            return False
        detail: dict[str, str | int] = {"standard": standard, "token": _text(token)}
        detail["spender"] = _text(_account(arguments[0]))
        self._change(call.caller, ControlKind.ALLOWANCE, str(int(arguments[1])), detail)
        return True

    def _change(self, account: bytes, kind: ControlKind, after: str, detail: dict[str, str | int]) -> None:
        self.control.append(ControlChange(self.txid, to_address(account), kind, "", after, detail))

    def _doubt(self, call: Call, why: str) -> None:
        what = "0x" + call.data[:4].hex()
        self.doubts.append(Doubt(f"{_text(call.caller)} calls {what} of {_text(call.callee)}: {why}"))


def calls_of(safe: bytes, operations: Iterable[InnerOperation]) -> Iterator[Call]:
    """The calls a Safe makes: its operations, those inside a MultiSend too."""
    for operation in operations:
        yield Call(safe, operation.to, operation.data, operation.operation == DELEGATECALL, operation.depth)


def _is_whole(multi_send: InnerOperation) -> bool:
    """Whether the parts of a MultiSend use up its bytes: the contract reads what is missing behind them as zeros, so
    that a part cut short would be executed and not be listed.
    """
    try:
        (packed,) = decode(["bytes"], multi_send.data[4:], strict=False)
    except (DecodingError, ValueError, OverflowError):
        return False
    at = parts = 0
    while at < len(packed) and parts < MAX_INNER:
        at += 85 + int.from_bytes(packed[at + 53 : at + 85].ljust(32, b"\0"), "big")
        parts += 1
    return at == len(packed)


def _arguments(signature: str, data: bytes) -> tuple[str | int, ...] | None:
    kinds = signature[signature.index("(") + 1 : -1].split(",")
    try:
        found: tuple[str | int, ...] = decode(kinds, data[4:], strict=True)
    except (DecodingError, ValueError, OverflowError):
        return None
    return tuple(to_address(_account(a)).text if k == "address" else a for k, a in zip(kinds, found, strict=True))


def _account(text: str | int) -> bytes:
    return bytes.fromhex(str(text)[2:])


def _text(account: bytes) -> str:
    return to_address(account).text
