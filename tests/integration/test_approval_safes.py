"""Safe transactions as the transaction service exports them, signed by real keys for a real Safe on a real node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from exchanges import ANVIL, Exchange, wait_for, watching

from chains.family import KnownBefore
from chains.model import Address, Asset, AssetId, ChainId
from chains.registry import family_of, native_asset, parse_address
from nodes.anvils import Anvil
from nodes.contracts import NOBODY, Contract, Safe, deploy, deploy_erc20, deploy_safe, safe
from walletwatch.approvals.act_sources import Taken
from walletwatch.approvals.acts import Malformed
from walletwatch.approvals.signatures import KeyRing
from walletwatch.approvals.vendors.exports import ExportFeed
from walletwatch.approvals.vendors.records import RequestTerms
from walletwatch.domain.people import People, Person
from walletwatch.domain.withdrawals import Act, Grade
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.anvil

CHAIN = ChainId.parse(ANVIL)
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ETHER = 10**18
PROPOSED = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
NOW = PROPOSED + timedelta(hours=1)
PEOPLE = People(
    (
        Person("treasury-1", "treasury", ("requester",), ()),
        Person("treasury-2", "treasury", ("approver",), ()),
        Person("compliance-1", "compliance", ("approver",), ()),
    )
)


@dataclass
class Owned:
    """A Safe whose three owners' keys the test holds."""

    safe: Safe
    owners: tuple[LocalAccount, ...]

    def record(self, to: str = PAYEE, value: int = ETHER, data: bytes = b"", operation: int = 0) -> dict[str, Any]:
        """An unconfirmed multisig transaction in the service's form; its hash is the contract's own answer."""
        nonce = self.safe.contract.call("nonce")
        asked = (to, value, data, operation, 0, 0, 0, NOBODY, NOBODY, nonce)
        digest = self.safe.contract.call("getTransactionHash", *asked)
        return {
            "safe": self.safe.address,
            "to": to,
            "value": str(value),
            "data": "0x" + data.hex() if data else None,
            "operation": operation,
            "gasToken": NOBODY,
            "safeTxGas": 0,
            "baseGas": 0,
            "gasPrice": "0",
            "refundReceiver": NOBODY,
            "nonce": nonce,
            "submissionDate": f"{PROPOSED:%Y-%m-%dT%H:%M:%S}.408155Z",
            "executionDate": None,
            "transactionHash": None,
            "safeTxHash": "0x" + digest.hex(),
            "proposer": self.owners[0].address,
            "executor": None,
            "isExecuted": False,
            "isSuccessful": None,
            "confirmationsRequired": 2,
            "confirmations": [],
        }


def confirm(owner: str, signature: bytes | None, minutes: float = 10) -> dict[str, Any]:
    """One entry of `confirmations`."""
    return {
        "owner": owner,
        "submissionDate": f"{PROPOSED + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}Z",
        "transactionHash": None,
        "signature": None if signature is None else "0x" + signature.hex(),
        "signatureType": "EOA",
    }


def sign(owner: LocalAccount, record: dict[str, Any]) -> bytes:
    """ECDSA over the hash itself."""
    return bytes(owner.unsafe_sign_hash(bytes.fromhex(record["safeTxHash"][2:])).signature)


def sign_as_message(owner: LocalAccount, record: dict[str, Any]) -> bytes:
    """`eth_sign`: the Safe knows it by v + 4."""
    signed = bytes(owner.sign_message(encode_defunct(hexstr=record["safeTxHash"])).signature)
    return signed[:64] + bytes([signed[64] + 4])


def approved_hash(owner: str) -> bytes:
    """What stands in the place of a signature for a hash approved on chain."""
    return bytes.fromhex(owner[2:]).rjust(32, b"\0") + bytes(32) + b"\x01"


@pytest.fixture(scope="module")
def owned(anvil: Anvil) -> Owned:
    owners = tuple(Account.create() for _ in range(3))
    made = deploy_safe(anvil, [owner.address for owner in owners], 2, salt=77)
    anvil.send(anvil.accounts[9], made.address, value=50 * ETHER)
    return Owned(made, owners)


@pytest.fixture(scope="module")
def token(anvil: Anvil, owned: Owned) -> Contract:
    return deploy_erc20(anvil, "TKV", 1_000, owned.safe.address)


class Export:
    """The service's export, and the feed that reads it."""

    def __init__(self, folder: Path, owned: Owned, tokens: Sequence[Contract] = ()) -> None:
        self.path = folder / "multisig.json"
        known = [Asset(AssetId.parse(f"{ANVIL}/erc20:{t.address.lower()}"), "TKV", 18) for t in tokens]
        names = ("treasury-1", "treasury-2", "compliance-1")
        people = {owner.address.lower(): name for owner, name in zip(owned.owners, names, strict=True)}
        wallets = {owned.safe.address: "eth-safe"}
        terms = RequestTerms(people=people, wallets=wallets, chain=CHAIN, tokens=(native_asset(CHAIN), *known))
        self.feed = ExportFeed("safe", self.path, "safe", terms, KeyRing(PEOPLE), parse_address)

    def read(self, *records: dict[str, Any]) -> Taken:
        self.path.write_text(json.dumps({"count": len(records), "results": list(records)}))
        taken = self.feed.read_new({}, NOW)
        assert taken is not None
        return taken

    def acts(self, *records: dict[str, Any]) -> tuple[Act, ...]:
        taken = self.read(*records)
        assert [bad.error for bad in taken.malformed] == []
        return taken.acts

    def bad(self, *records: dict[str, Any]) -> Malformed:
        taken = self.read(*records)
        assert taken.acts == ()
        (bad,) = taken.malformed
        return bad


@pytest.fixture
def export(tmp_path: Path, owned: Owned, token: Contract) -> Export:
    return Export(tmp_path, owned, [token])


def test_the_hash_is_the_contracts_own_and_owners_are_recovered_from_their_signatures(
    export: Export, owned: Owned
) -> None:
    record = owned.record()
    first, second, third = owned.owners
    record["confirmations"] = [
        confirm(first.address, sign(first, record)),
        confirm(second.address, sign_as_message(second, record)),
        confirm(third.address, approved_hash(third.address)),
    ]
    request, *approvals = export.acts(record)
    assert request.request_id == f"safe:31337:{record['safeTxHash']}"
    assert request.intent is not None
    assert (request.intent.amount, request.intent.destination.text, request.intent.wallet) == (ETHER, PAYEE, "eth-safe")
    assert (request.actor, request.grade, request.kid) == ("treasury-1", Grade.SAFE_SIGNATURE, first.address)
    assert [(a.actor, a.grade, a.kid, a.signed, a.refused) for a in approvals] == [
        ("treasury-1", Grade.SAFE_SIGNATURE, first.address, True, ""),
        ("treasury-2", Grade.SAFE_SIGNATURE, second.address, True, ""),
        ("compliance-1", Grade.VENDOR_EXPORT, "", False, ""),
    ]


def test_a_contracts_signature_and_none_at_all_are_the_services_word(export: Export, owned: Owned) -> None:
    record = owned.record()
    first, second, _ = owned.owners
    asks = bytes.fromhex(first.address[2:]).rjust(32, b"\0") + (65).to_bytes(32, "big") + b"\x00" + bytes(32)
    record["confirmations"] = [confirm(first.address, asks), confirm(second.address, None)]
    request, *approvals = export.acts(record)
    assert {a.grade for a in (request, *approvals)} == {Grade.VENDOR_EXPORT}
    assert [a.refused for a in approvals] == ["", ""]


def test_a_transaction_whose_number_another_one_took_is_cancelled(tmp_path: Path, owned: Owned) -> None:
    export = Export(tmp_path, owned)
    waiting, taken = owned.record(), owned.record(value=2 * ETHER)
    (request,) = export.acts(waiting)
    executed = {"isExecuted": True, "executionDate": "2026-11-22T01:30:00Z", "transactionHash": "0x" + "cd" * 32}
    acts = export.acts(waiting, taken | executed, owned.record() | {"nonce": 7, "safeTxHash": "0x" + "ab" * 32})
    told = [(a.kind.value, a.request_id) for a in acts if a.kind.value != "request"]
    assert told == [("cancel", request.request_id), ("broadcast", acts[-2].request_id)]
    (cancel,) = (a for a in acts if a.kind.value == "cancel")
    assert (cancel.actor, cancel.refused, cancel.intent_hash) == ("treasury-1", "", request.intent_hash)
    assert cancel.at == datetime(2026, 11, 22, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("forge", ["other key", "other transaction", "one bit", "too short", "no number"])
def test_a_confirmation_that_is_not_its_owners_is_an_invalid_signature(
    export: Export, owned: Owned, forge: str
) -> None:
    record = owned.record()
    owner, other, _ = owned.owners
    good = sign(owner, record)
    forged = {
        "other key": sign(other, record),
        "other transaction": sign(owner, owned.record(value=2 * ETHER)),
        "one bit": bytes([good[0] ^ 1]) + good[1:],
        "too short": good[:64],
        "no number": b"\xff" * 64 + b"\x1b",
    }[forge]
    record["confirmations"] = [confirm(owner.address, forged)]
    request, approval = export.acts(record)
    assert (approval.refused, approval.signed) == ("invalid_signature", False)
    assert (request.grade, request.refused) == (Grade.VENDOR_EXPORT, "")


@pytest.mark.parametrize(
    "change", [{"value": str(2 * ETHER)}, {"to": NOBODY[:-1] + "9"}, {"nonce": 99}, {"safeTxHash": "0x" + "ab" * 32}]
)
def test_a_hash_that_is_not_of_these_fields_approves_nothing(
    export: Export, owned: Owned, change: dict[str, Any]
) -> None:
    """A service that shows a payment beside the hash of another: the signatures are good, for the other."""
    record = owned.record()
    record["confirmations"] = [confirm(owner.address, sign(owner, record)) for owner in owned.owners]
    request, *approvals = export.acts(record | change)
    assert (request.refused, "is not the hash of these fields" in request.reason) == ("content_mismatch", True)
    wrong_hash_alone = "safeTxHash" in change
    assert {a.refused for a in approvals} == ({""} if wrong_hash_alone else {"invalid_signature"})


def test_tokens_and_batches_are_requests_and_other_calls_are_none(
    export: Export, owned: Owned, token: Contract, anvil: Anvil
) -> None:
    pay = token.calldata("transfer", PAYEE, 400)
    (act,) = export.acts(owned.record(to=token.address, value=0, data=pay))
    assert act.intent is not None
    assert (str(act.intent.asset), act.intent.amount, act.intent.destination.text) == (
        f"{ANVIL}/erc20:{token.address.lower()}",
        400,
        PAYEE,
    )
    multi = deploy(anvil, safe("libraries/MultiSend"))
    parts = ((PAYEE, 7, b""), (token.address, 0, pay))
    packed = b"".join(
        b"\0" + bytes.fromhex(to[2:]) + value.to_bytes(32, "big") + len(data).to_bytes(32, "big") + data
        for to, value, data in parts
    )
    batch = owned.record(to=multi.address, value=0, data=multi.calldata("multiSend", packed), operation=1)
    acts = export.acts(batch)
    assert [(a.request_id[-2:], a.intent and a.intent.amount) for a in acts] == [(":1", 7), (":2", 400)]
    change = owned.safe.contract.calldata("changeThreshold", 1)
    assert export.acts(owned.record(to=owned.safe.address, value=0, data=change)) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"safeTxHash": "0x12"}, "safeTxHash is not"),
        ({"to": "0x12"}, "no Safe transaction"),
        ({"operation": 2}, "no Safe transaction"),
        ({"value": "-1"}, "no Safe transaction"),
        ({"value": 1.5}, "no Safe transaction"),
        ({"nonce": None}, "no nonce"),
        ({"submissionDate": "2026-11-22"}, "submissionDate is no time"),
        ({"proposer": None}, "neither proposer nor confirmations"),
        ({"confirmations": [{"owner": "x"}]}, "owner"),
        ({"safe": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "safe"),
    ],
)
def test_a_record_that_is_no_safe_transaction_is_told(
    export: Export, owned: Owned, change: dict[str, Any], words: str
) -> None:
    assert words in export.bad(owned.record() | change).error


def test_a_real_transaction_of_another_chain_hashes_as_its_owners_signed_it() -> None:
    """Gnosis Chain, transaction 0x27ac6f19…30ca of 2024-01-24: an owner swapped by a Safe, hash as executed."""
    account = "0xAedF684C1c41B51CbD228116e11484425d2FACB9"
    swap = (
        "0xe318b52b0000000000000000000000000000000000000000000000000000000000000001000000000000000000000000c6b82ba149cf"
        "a113f8f48d5e3b1f78e933e16dfd0000000000000000000000003066786706ff0b6e71044e55074dbae7d01573cb"
    )
    fields = {"safe": account, "to": account, "value": "0", "data": swap, "operation": 0, "nonce": 5}
    content = json.dumps(fields).encode()
    known = KnownBefore(frozenset({bytes.fromhex(account[2:])}))
    digests = {
        n: family_of(CHAIN).read_unsigned_transaction(ChainId("eip155", str(n)), content, known).digests["safe_tx_hash"]
        for n in (100, 1)
    }
    assert digests[100] == "0x06c88df42a8ab64b2b2c5e2b5c8c4df384c267b39929a8416d1518db23f91783"
    assert digests[1] != digests[100]


def execute(node: Anvil, owned: Owned, record: dict[str, Any], signers: Sequence[LocalAccount]) -> str:
    """Have the contract execute what was exported, with the very signatures of the export."""
    ordered = sorted(signers, key=lambda owner: int(owner.address, 16))
    signatures = b"".join(sign(owner, record) for owner in ordered)
    data = bytes.fromhex((record["data"] or "0x")[2:])
    arguments = (record["to"], int(record["value"]), data, 0, 0, 0, 0, NOBODY, NOBODY, signatures)
    return owned.safe.contract.send(node.accounts[3], "execTransaction", *arguments)


def test_a_payment_confirmed_in_the_export_is_silent_and_a_forged_one_is_not(
    tmp_path: Path, fresh_anvil: Anvil
) -> None:
    owners = tuple(Account.create() for _ in range(3))
    owned = Owned(deploy_safe(fresh_anvil, [owner.address for owner in owners], 2, salt=78), owners)
    fresh_anvil.send(fresh_anvil.accounts[9], owned.safe.address, value=50 * ETHER)
    names = ("treasury-1", "treasury-2", "compliance-1")
    people = ", ".join(f'"{owner.address}" = "{name}"' for owner, name in zip(owners, names, strict=True))
    feed = (
        f'[[approval_feed]]\ntype = "safe"\nname = "safes"\npath = "multisig.json"\nchain = "anvil"\n'
        f'people = {{ {people} }}\nwallets = {{ "{owned.safe.address}" = "eth-safe" }}\n'
    )
    chain = (
        f'[[chain]]\nname = "anvil"\nid = "{ANVIL}"\nendpoints = ["{fresh_anvil.url}"]\nfinality = 3\npoll = "1s"\n'
        f'[[wallet]]\nname = "eth-safe"\nrole = "hot"\nchain = "anvil"\nkind = "safe"\n'
        f'addresses = ["{owned.safe.address}"]\n'
    )
    exchange = Exchange(tmp_path / "exchange", chain, feeds=feed)
    file = exchange.folder / "multisig.json"
    file.write_text("[]")
    now = datetime.now(UTC)

    def write(record: dict[str, Any], *signers: LocalAccount, forged: bool = False) -> None:
        record["submissionDate"] = f"{now:%Y-%m-%dT%H:%M:%S}Z"
        record["confirmations"] = [
            confirm(o.address, sign(owners[0] if forged else o, record)) | {"submissionDate": record["submissionDate"]}
            for o in signers
        ]
        file.with_suffix(".new").write_text(json.dumps([record]))
        file.with_suffix(".new").replace(file)

    with watching(exchange) as app:

        def cursor() -> object:
            with app.store.reading() as unit:
                return unit.chain_state.cursor(CHAIN)

        def findings(tx: str) -> list[Any]:
            with app.store.reading() as unit:
                return list(unit.findings.find(Filter(tx=bytes.fromhex(tx[2:]))))

        def seen(tx: str) -> bool:
            with app.store.reading() as unit:
                return any(o.tx.hex() == tx[2:] for o in unit.outflows.find(Filter()))

        wait_for(cursor, "the chain is watched")
        good = owned.record()
        write(good, owners[1], owners[2])
        approved = execute(fresh_anvil, owned, good, owners[1:])
        wait_for(lambda: seen(approved), "the approved payment is seen")
        bad = owned.record(value=2 * ETHER)
        write(bad, owners[1], owners[2], forged=True)
        forged = execute(fresh_anvil, owned, bad, owners[1:])
        (found,) = wait_for(lambda: findings(forged), "the forged confirmation is told")
        assert found.rule == "invalid_signature"
        assert findings(approved) == []
        known = app.approvals.requests_to(CHAIN, Address(bytes.fromhex(PAYEE[2:]), PAYEE))
        (request,) = (r for r in known if r.intent.amount == ETHER)
        assert {act.grade for act in request.acts if act.kind.value == "approve"} == {Grade.SAFE_SIGNATURE}
