"""Raw and Safe transactions before they are signed: against the library that signs them, and Bybit's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rlp
from eth_abi.abi import encode
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chains.evm.calls import MULTI_SENDS
from chains.evm.fields import to_address
from chains.evm.safe import InnerOperation, read_execution, recover_signers
from chains.evm.safe_files import execution_calldata, pack
from chains.evm.transaction_forms import read_raw, rlp_encode
from chains.evm.unsigned_transactions import read_unsigned_transaction
from chains.family import KnownBefore, NotATransaction, UnsignedTransaction
from chains.model import AccountTransaction, ChainId, ControlKind, TransferKind
from data.ethereum.samples import BYBIT_SAFE, BYBIT_SIGNERS, bybit_raw

MAINNET = ChainId("eip155", "1")
ME = Account.from_key(b"\x11" * 32)
HOT = bytes.fromhex(ME.address[2:])
USDT = bytes.fromhex("dac17f958d2ee523a2206206994597c13d831ec7")
THIEF = bytes.fromhex("96221423681a6d52e184d440a8efcebb105c7242")
DELEGATE = to_address(bytes.fromhex("de" * 20)).text
PAYEE = to_address(bytes.fromhex("5e" * 20)).text
KNOWN = KnownBefore(accounts=frozenset({HOT}), tokens=frozenset({USDT}))
SAFE = bytes.fromhex(BYBIT_SAFE[2:])
SAFE_KNOWN = KnownBefore(accounts=frozenset({SAFE}), tokens=frozenset({USDT}))
MULTI_SEND_CALL_ONLY = bytes.fromhex("9641d764fc13c8b624c04430c7356c1c7c8102e2")


def call(signature: str, *arguments: Any) -> bytes:
    kinds = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(text=signature)[:4] + encode(kinds, arguments)


def fields(kind: int, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"nonce": 7, "gas": 60_000, "to": PAYEE, "value": 10**18, "chainId": 1}
    made |= {"maxFeePerGas": 30, "maxPriorityFeePerGas": 2, "type": 2} if kind >= 2 else {"gasPrice": 30}
    if kind == 1:
        made |= {"type": 1, "accessList": [{"address": "0x" + "77" * 20, "storageKeys": ["0x" + "01" * 32]}]}
    return made | more


def signed(kind: int, **more: Any) -> bytes:
    if kind == 4:
        given = Account.sign_authorization({"chainId": 1, "address": DELEGATE, "nonce": 0}, ME.key)
        return bytes(ME.sign_transaction(fields(4, type=4, authorizationList=[given]) | more).raw_transaction)
    return bytes(ME.sign_transaction(fields(kind) | more).raw_transaction)


def unsigned(kind: int) -> bytes:
    """As the signing library hashes it."""
    if kind == 0:
        made = fields(0)
        parts = [made["nonce"], made["gasPrice"], made["gas"], bytes.fromhex(made["to"][2:]), made["value"], b""]
        return rlp_encode([*parts, 1, 0, 0])
    raw = signed(kind)
    whole = TypedTransaction.from_bytes(HexBytes(raw))
    return _without_signature(raw, whole.hash())


def _without_signature(raw: bytes, digest: bytes) -> bytes:
    found = raw[:1] + rlp_encode(rlp.decode(raw[1:])[:-3])
    assert keccak(found) == digest
    return found


def read(content: bytes, known: KnownBefore = KNOWN) -> UnsignedTransaction:
    return read_unsigned_transaction(MAINNET, content, known)


def facts(draft: UnsignedTransaction) -> AccountTransaction:
    assert isinstance(draft.transaction, AccountTransaction)
    return draft.transaction


@pytest.mark.parametrize("kind", [0, 1, 2, 4])
def test_signed_and_unsigned_say_the_same_of_who_pays_whom(kind: int) -> None:
    before = read(unsigned(kind), KnownBefore(KNOWN.accounts, tokens=KNOWN.tokens, sender=to_address(HOT)))
    after = read(b"0x" + signed(kind).hex().encode() + b"\n")
    assert facts(before).sender.key == facts(after).sender.key == HOT
    assert facts(before).transfers == facts(after).transfers
    assert [(t.amount, t.receiver.text, t.kind) for t in facts(after).transfers] == [
        (10**18, PAYEE, TransferKind.NATIVE)
    ]
    assert after.digests == {"signing_hash": before.digests["signing_hash"], "tx": "0x" + keccak(signed(kind)).hex()}
    assert facts(after).signing == facts(before).signing
    assert before.doubts == after.doubts == ()


def test_an_own_account_that_gives_its_code_away_changes_its_control() -> None:
    (change,) = read(signed(4)).control
    assert (change.kind, change.account.key, change.after) == (ControlKind.CODE, HOT, DELEGATE)


def test_whoever_did_not_sign_is_not_believed_to_have() -> None:
    other = KnownBefore(KNOWN.accounts, sender=to_address(THIEF))
    with pytest.raises(NotATransaction, match="is signed by"):
        read(signed(2), other)
    with pytest.raises(NotATransaction, match="name the wallet"):
        read(unsigned(2))
    with pytest.raises(NotATransaction, match="for eip155:5"):
        read(signed(2, chainId=5))


def test_a_transaction_of_no_chain_is_doubted() -> None:
    raw = bytes(ME.sign_transaction({k: v for k, v in fields(0).items() if k != "chainId"}).raw_transaction)
    (doubt,) = read(raw).doubts
    assert "names no chain" in doubt.text


def test_a_token_payment_is_a_movement_and_one_of_a_strange_contract_is_doubted() -> None:
    data = call("transfer(address,uint256)", "0x" + "5e" * 20, 5)
    draft = read(signed(2, to=to_address(USDT).text, value=0, data=data))
    assert [(t.amount, t.kind, t.asset.reference) for t in facts(draft).transfers] == [
        (5, TransferKind.TOKEN, "0x" + USDT.hex())
    ]
    assert draft.doubts == ()
    (doubt,) = read(signed(2, to=to_address(THIEF).text, value=0, data=data)).doubts
    assert "no configured [[asset]]" in doubt.text
    (doubt,) = read(signed(2, to=to_address(USDT).text, value=0, data=data[:-1])).doubts
    assert "not those of one" in doubt.text


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (call("approve(address,uint256)", "0x" + "5e" * 20, 9), "9"),
        (call("increaseAllowance(address,uint256)", "0x" + "5e" * 20, 2**256 - 1), str(2**256 - 1)),
        (call("setApprovalForAll(address,bool)", "0x" + "5e" * 20, True), "1"),
        (call("approve(address,uint256)", "0x" + "5e" * 20, 0), "0"),
    ],
)
def test_an_allowance_is_a_change_of_control(data: bytes, after: str) -> None:
    draft = read(signed(2, to=to_address(USDT).text, value=0, data=data))
    (change,) = draft.control
    assert (change.kind, change.after, change.account.key) == (ControlKind.ALLOWANCE, after, HOT)
    assert change.detail["spender"].lower() == "0x" + "5e" * 20  # type: ignore[union-attr]
    assert draft.doubts == ()


def test_any_other_call_is_doubted_and_so_is_a_creation() -> None:
    (doubt,) = read(signed(2, data=b"\x12\x34\x56\x78")).doubts
    assert "0x12345678" in doubt.text
    assert "not seen" in doubt.text
    (doubt,) = read(signed(2, to="", data=b"\x60\x00")).doubts
    assert "creates a contract" in doubt.text


# --- Safes ------------------------------------------------------------------------------------------------------------


def bybit_json(**more: Any) -> dict[str, Any]:
    """The transaction Bybit's owners signed, as the transaction service tells a proposal; its nonce was 71."""
    execution = read_execution(rlp.decode(bybit_raw())[5])
    assert execution is not None
    told = execution.operation
    found = {
        "safe": to_address(SAFE).text,
        "to": to_address(told.to).text,
        "value": str(told.value_wei),
        "data": "0x" + told.data.hex(),
        "operation": told.operation,
        "gasToken": None,
        "safeTxGas": execution.safe_tx_gas,
        "baseGas": execution.base_gas,
        "gasPrice": str(execution.gas_price),
        "refundReceiver": None,
        "nonce": 71,
    }
    return found | more


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_bybit_s_owners_signed_the_hash_that_is_told_before_they_sign() -> None:
    """2025-02-21: their real signatures recover to three owners under the recomputed hash."""
    calldata = rlp.decode(bybit_raw())[5]
    execution = read_execution(calldata)
    assert execution is not None
    draft = read(as_json(bybit_json()), SAFE_KNOWN)
    owners = frozenset(bytes.fromhex(a[2:]) for a in BYBIT_SIGNERS)
    found = {
        name: set(recover_signers(execution, bytes.fromhex(digest[2:]), owners)) == owners
        for name, digest in draft.digests.items()
    }
    assert found == {"safe_tx_hash": False, "safe_tx_hash_before_1_3": True}, "the Safe was of version 1.1.1"
    claimed = bybit_json(safeTxHash=draft.digests["safe_tx_hash_before_1_3"])
    assert read(as_json(claimed), SAFE_KNOWN).digests["safe_tx_hash"] == draft.digests["safe_tx_hash_before_1_3"]
    assert execution_calldata(execution) == calldata


def test_bybit_s_transaction_is_a_delegated_call_and_no_payment() -> None:
    draft = read(as_json(bybit_json()), SAFE_KNOWN)
    (change,) = draft.control
    assert (change.kind, change.account.key, change.after) == (ControlKind.DELEGATECALL, SAFE, to_address(THIEF).text)
    assert change.detail["selector"] == "0xa9059cbb"
    assert facts(draft).transfers == ()


def test_the_signed_execution_says_the_same_as_the_proposal() -> None:
    """What an account carries to the chain is read down to what the Safe is told."""
    (proposed,) = read(as_json(bybit_json()), SAFE_KNOWN).control
    draft = read(bybit_raw(), SAFE_KNOWN)
    (change,) = draft.control
    assert (change.kind, change.account, change.after) == (proposed.kind, proposed.account, proposed.after)
    assert facts(draft).sender.text == "0x0fa09C3A328792253f8dee7116848723b72a6d2e"
    foreign = read(bybit_raw(), KNOWN)
    assert "none of ours" in foreign.doubts[0].text


def typed_data(inner: dict[str, Any]) -> dict[str, Any]:
    domain = {"chainId": "1", "verifyingContract": inner["safe"]}
    return {"primaryType": "SafeTx", "types": {}, "domain": domain, "message": inner}


def test_every_form_of_the_file_gives_the_same_hash() -> None:
    plain = bybit_json()
    told = read(as_json(plain), SAFE_KNOWN).digests["safe_tx_hash"]
    for other in (typed_data(plain), plain | {"safeTxHash": told}, plain | {"contractTransactionHash": told}):
        draft = read(as_json(other), SAFE_KNOWN)
        assert (draft.digests["safe_tx_hash"], draft.doubts) == (told, ())


def test_a_hash_of_other_content_is_a_lie() -> None:
    (doubt,) = read(as_json(bybit_json(safeTxHash="0x" + "ab" * 32)), SAFE_KNOWN).doubts
    assert doubt.wrong


def parts(*operations: InnerOperation) -> dict[str, Any]:
    """A batch through MultiSendCallOnly."""
    data = "0x" + pack(operations).hex()
    return bybit_json(to=to_address(MULTI_SEND_CALL_ONLY).text, data=data, operation=1)


PAY_USDT = InnerOperation(0, USDT, 0, call("transfer(address,uint256)", "0x" + "5e" * 20, 5))
PAY_ETHER = InnerOperation(0, bytes.fromhex("5e" * 20), 3, b"")
ADD_OWNER = InnerOperation(0, SAFE, 0, call("addOwnerWithThreshold(address,uint256)", to_address(THIEF).text, 1))


def test_a_multi_send_is_its_parts() -> None:
    draft = read(as_json(parts(PAY_USDT, PAY_ETHER, ADD_OWNER)), SAFE_KNOWN)
    assert {(t.amount, t.sender.key, t.kind) for t in facts(draft).transfers} == {
        (5, SAFE, TransferKind.TOKEN),
        (3, SAFE, TransferKind.INTERNAL),
    }
    (change,) = draft.control
    assert (change.kind, change.after) == (ControlKind.OWNERS, f"{to_address(THIEF)},1")
    assert draft.doubts == ()


def test_the_builder_s_batch_is_the_same_parts() -> None:
    builder = {
        "version": "1.0",
        "chainId": "1",
        "meta": {"createdFromSafeAddress": to_address(SAFE).text},
        "transactions": [
            {"to": to_address(o.to).text, "value": str(o.value_wei), "data": "0x" + o.data.hex()}
            for o in (PAY_USDT, PAY_ETHER, ADD_OWNER)
        ],
    }
    method = {"name": "transfer", "inputs": [{"name": "to", "type": "address"}, {"name": "amount", "type": "uint256"}]}
    spelled = json.loads(json.dumps(builder))
    spelled["transactions"][0] |= {
        "data": None,
        "contractMethod": method,
        "contractInputsValues": {"to": "0x" + "5e" * 20, "amount": "5"},
    }
    direct = read(as_json(parts(PAY_USDT, PAY_ETHER, ADD_OWNER)), SAFE_KNOWN)
    for file in (builder, spelled):
        draft = read(as_json(file), SAFE_KNOWN)
        assert facts(draft).transfers == facts(direct).transfers
        assert [c.after for c in draft.control] == [c.after for c in direct.control]
        assert draft.digests == {}, "the nonce, and with it the hash, comes with the proposal"


@pytest.mark.parametrize("cut", [1, 32, 33, 52, 64, 84])
def test_a_part_cut_short_at_the_end_is_a_lie(cut: int) -> None:
    """The contract reads the zeros behind the bytes as the rest of the part, and pays: it must not go unlisted."""
    whole = PAY_USDT.operation.to_bytes(1, "big") + PAY_USDT.to + (0).to_bytes(32, "big")
    whole += len(PAY_USDT.data).to_bytes(32, "big") + PAY_USDT.data
    hidden = b"\0" + THIEF + (10**18).to_bytes(32, "big") + bytes(32)
    data = "0x8d80ff0a" + encode(["bytes"], [whole + hidden[: 85 - cut]]).hex()
    file = bybit_json(to=to_address(MULTI_SEND_CALL_ONLY).text, data=data, operation=1)
    assert [d.wrong for d in read(as_json(file), SAFE_KNOWN).doubts] == [True]


def test_a_multi_send_at_a_strange_account_is_doubted() -> None:
    file = parts(PAY_ETHER) | {"to": to_address(THIEF).text}
    (doubt,) = read(as_json(file), SAFE_KNOWN).doubts
    assert "no known MultiSend" in doubt.text
    assert MULTI_SEND_CALL_ONLY in MULTI_SENDS


def test_a_refund_of_gas_is_doubted() -> None:
    file = bybit_json(to="0x" + "5e" * 20, data=None, operation=0, value="3", gasPrice="7")
    (doubt,) = read(as_json(file), SAFE_KNOWN).doubts
    assert "pays whoever sends it" in doubt.text


@pytest.mark.parametrize(
    "setter",
    [
        ("removeOwner(address,address,uint256)", ControlKind.OWNERS, ["0x" + "01" * 20, "0x" + "02" * 20, 1]),
        ("swapOwner(address,address,address)", ControlKind.OWNERS, ["0x" + "01" * 20] * 3),
        ("changeThreshold(uint256)", ControlKind.THRESHOLD, [1]),
        ("enableModule(address)", ControlKind.MODULES, ["0x" + "01" * 20]),
        ("setGuard(address)", ControlKind.GUARD, ["0x" + "01" * 20]),
        ("setFallbackHandler(address)", ControlKind.FALLBACK_HANDLER, ["0x" + "01" * 20]),
        ("changeMasterCopy(address)", ControlKind.SINGLETON, ["0x" + "01" * 20]),
    ],
)
def test_what_a_safe_tells_itself_is_a_change_of_control(setter: tuple[str, ControlKind, list[Any]]) -> None:
    signature, kind, arguments = setter
    data = "0x" + call(signature, *arguments).hex()
    draft = read(as_json(bybit_json(to=to_address(SAFE).text, data=data, operation=0)), SAFE_KNOWN)
    assert [c.kind for c in draft.control] == [kind]
    assert draft.doubts == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "neither hexadecimal nor JSON"),
        (b"[1]", "no JSON object"),
        (as_json(bybit_json(safe=None)), "which Safe"),
        (as_json(bybit_json(operation=2)), "operation 2"),
        (as_json(bybit_json(to="0x12")), "no account"),
        (as_json(bybit_json(value="-1")), "no whole number"),
        (as_json(bybit_json(value=1.5)), "no whole number"),
        (as_json(bybit_json(chainId=5)), "for eip155:5"),
        (as_json({"transactions": []}), "a list of 1"),
        (b"0x", "nothing"),
        (b"0x03" + rlp_encode([1]).hex().encode(), "type 3"),
        (b"0x02c0", "at least 9"),
        (b"0xc0", "6 or 9|at least"),
        (b"0xf8" + b"00" * 5, "RLP"),
    ],
)
def test_each_broken_file_is_refused_in_its_own_words(content: bytes, why: str) -> None:
    with pytest.raises(NotATransaction, match=why):
        read(content, SAFE_KNOWN)


def test_deep_nesting_is_refused() -> None:
    deep: Any = b""
    for _ in range(5_000):
        deep = b"\xf9" + (len(deep)).to_bytes(2, "big") + deep if len(deep) > 255 else rlp_encode([deep])
    for content in (deep, b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(NotATransaction):
            read(content)


@given(st.data())
def test_damage_anywhere_is_refused_or_read_and_raises_nothing_else(data: DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([signed(k) for k in (0, 1, 2, 4)] + [bybit_raw()])))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        raw = read_raw(bytes(content))
        read(bytes(content))
    except NotATransaction:
        return
    assert len(raw.digest) == 32
