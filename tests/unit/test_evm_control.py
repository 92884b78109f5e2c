"""What events say about control: grants in every standard, and what must not be taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chains.errors import ChainError, RateLimited, RpcError
from chains.evm.receipts import Log, Receipt
from chains.evm.tokens import PERMIT2, find_grants, read_allowance_changes
from chains.model import BlockRef, ControlChange
from chains.rpc.jsonrpc import Json
from data.ethereum.samples import RealNode, shell_of

TX, HASH = "0x" + "01" * 32, "0x" + "02" * 32
OWNER, SPENDER, TOKEN = (bytes([n]) * 20 for n in (0x0A, 0x5B, 0x70))
PARENT = BlockRef(0, bytes(32))


def log(signature: str, contract: bytes, accounts: Sequence[bytes], data: bytes = b"", index: int = 0) -> Log:
    topics = (keccak(text=signature), *(a.rjust(32, b"\0") for a in accounts))
    return Log(contract, topics, data, 0, index)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def changes(*logs: Log, before: Json = "0x" + "00" * 32, ok: bool = True) -> list[ControlChange]:
    def distort(method: str, _params: Sequence[Json], _result: Json) -> Json:
        assert method in {"eth_call", "eth_getBlockByNumber"}
        if isinstance(before, ChainError) and method == "eth_call":
            raise before
        return before if method == "eth_call" else {"number": "0x0", "hash": "0x" + "00" * 32}

    node = Teller({}, distort=distort)
    grants = find_grants({0: Receipt(ok, 0, 0, logs, None)}, {OWNER})
    return read_allowance_changes(node, grants, shell_of(1, HASH, [TX]), PARENT)


class Teller(RealNode):
    """A node that knows nothing by itself."""

    def _true_answer(self, method: str, params: Sequence[Json]) -> Json:
        return None


APPROVAL = "Approval(address,address,uint256)"


def test_an_allowance_counts_if_it_is_more_than_before() -> None:
    (change,) = changes(log(APPROVAL, TOKEN, [OWNER, SPENDER], number(5)))
    assert (change.kind, change.before, change.after, change.account.key) == ("allowance", "0", "5", OWNER)
    assert change.detail["standard"] == "erc20"
    assert changes(log(APPROVAL, TOKEN, [OWNER, SPENDER], number(5)), before="0x" + number(5).hex()) == []
    assert changes(log(APPROVAL, TOKEN, [OWNER, SPENDER], number(0)), before="0x" + number(9).hex()) == []


def test_allowances_are_followed_through_the_block() -> None:
    up, rest, more = (log(APPROVAL, TOKEN, [OWNER, SPENDER], number(n), i) for i, n in enumerate((100, 70, 71)))
    assert [(c.before, c.after) for c in changes(up, rest, more)] == [("0", "100"), ("70", "71")]


@pytest.mark.parametrize("silent", [RpcError("execution reverted", code=3), "0x1234", "0x" + "zz" * 32, None])
def test_a_token_that_does_not_tell_is_taken_at_its_word(silent: Json) -> None:
    (change,) = changes(log(APPROVAL, TOKEN, [OWNER, SPENDER], number(5)), before=silent)
    assert (change.before, change.after) == ("unknown", "5")


def test_a_node_that_is_busy_is_no_token_that_does_not_tell() -> None:
    with pytest.raises(RateLimited):
        changes(log(APPROVAL, TOKEN, [OWNER, SPENDER], number(5)), before=RateLimited("429"))


STANDARDS: dict[str, tuple[Log, str, dict[str, Any]]] = {
    "one item": (log(APPROVAL, TOKEN, [OWNER, SPENDER, number(77)]), "item 77", {"standard": "erc721"}),
    "all items": (
        log("ApprovalForAll(address,address,bool)", TOKEN, [OWNER, SPENDER], number(1)),
        "1",
        {"standard": "operator"},
    ),
    "permit2 approval": (
        log(
            "Approval(address,address,address,uint160,uint48)",
            PERMIT2,
            [OWNER, TOKEN, SPENDER],
            encode(["uint160", "uint48"], [9, 1_900_000_000]),
        ),
        "9",
        {"standard": "permit2", "expires_at": 1_900_000_000},
    ),
    "permit2 permit": (
        log(
            "Permit(address,address,address,uint160,uint48,uint48)",
            PERMIT2,
            [OWNER, TOKEN, SPENDER],
            encode(["uint160", "uint48", "uint48"], [2**160 - 1, 7, 0]),
        ),
        str(2**160 - 1),
        {"standard": "permit2", "expires_at": 7},
    ),
}


@pytest.mark.parametrize("name", list(STANDARDS))
def test_each_way_of_letting_somebody_take_is_a_grant(name: str) -> None:
    event, after, detail = STANDARDS[name]
    (change,) = changes(event)
    assert change.after == after
    assert detail.items() <= change.detail.items()
    assert str(change.detail["spender"]).lower() == "0x" + SPENDER.hex()
    assert str(change.detail["token"]).lower() == "0x" + TOKEN.hex()


@pytest.mark.parametrize(
    "event",
    [
        log(APPROVAL, TOKEN, [SPENDER, OWNER], number(5)),
        log(APPROVAL, TOKEN, [OWNER, SPENDER], b"\x01"),
        log(APPROVAL, TOKEN, [OWNER, bytes(20), number(77)]),
        log("ApprovalForAll(address,address,bool)", TOKEN, [OWNER, SPENDER], number(0)),
        log(
            "Approval(address,address,address,uint160,uint48)",
            TOKEN,
            [OWNER, TOKEN, SPENDER],
            encode(["uint160", "uint48"], [9, 1]),
        ),
    ],
    ids=["another owner", "another shape", "item taken back", "operator taken back", "not the real Permit2"],
)
def test_what_grants_nothing_of_ours_is_none(event: Log) -> None:
    assert changes(event) == []


def test_a_failed_transaction_grants_nothing() -> None:
    assert changes(log(APPROVAL, TOKEN, [OWNER, SPENDER], number(5)), ok=False) == []
