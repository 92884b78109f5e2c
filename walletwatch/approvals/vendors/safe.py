"""The Safe Transaction Service's multisig transactions as acts, their owners' signatures verified.

Read are `safe`, `to`, `value`, `data`, `operation`, the gas fields, `nonce`, `safeTxHash`, `proposer`,
`submissionDate`, `isExecuted`, `executionDate`, `transactionHash`, `executor` and `confirmations[{owner, signature,
submissionDate}]` (docs.safe.global, Safe Transaction Service). `safeTxHash` is recomputed from the fields (EIP-712),
and who signed from hash and signature. By the last byte of a signature (`Safe.checkNSignatures`): 27 and 28 are ECDSA
over the hash, above 30 over it as a message (`eth_sign`): these prove their owner, grade `safe-signature`. 1 is a
hash approved on chain and 0 a contract that is asked on chain: nothing in the export shows either, grade
`vendor-export`.

Times are the service's word in any case. A confirmation that the service saw only in the executed transaction is
dated by the execution; it was there before, so the proposal's time is taken.

A Safe uses each number (nonce) once: where a transaction was executed, the others with its number are cancelled.

A Safe transaction that pays nobody (a change of owners, a call) is no act here; its changes of control are watched on
chain. A MultiSend is a request for each payment in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chains.family import KnownBefore, NotATransaction, SignatureKind, UnsignedTransaction
from chains.model import AccountTransaction, Address, Asset, ChainId, Transfer
from chains.registry import family_of, parse_address
from walletwatch.approvals.act_files import make_payload
from walletwatch.approvals.documents import Unreadable, take_text
from walletwatch.approvals.signatures import INVALID_SIGNATURE
from walletwatch.approvals.vendors.records import (
    Record,
    RequestTerms,
    VendorAct,
    intent_of,
    take_iso,
    take_object,
    take_objects,
    take_word,
)
from walletwatch.domain.withdrawals import ActKind, Grade

VENDOR = "safe"
_FIELDS = (
    "safe",
    "to",
    "value",
    "data",
    "operation",
    "gasToken",
    "safeTxGas",
    "baseGas",
    "gasPrice",
    "refundReceiver",
    "nonce",
)
_REPLACED = "walletwatch:replaced"
"""What `mark_replaced` notes on a record: when, and who proposed the transaction that took its number."""
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{2}){65,8192}")


@dataclass(frozen=True, slots=True)
class _Proposal:
    """A Safe transaction: its hash as recomputed, and why the service's own is none of it (empty if it is)."""

    safe: Address
    digest: bytes
    contradiction: str
    payments: tuple[Transfer, ...]


@dataclass(frozen=True, slots=True)
class _Confirmation:
    owner: Address
    at: datetime
    grade: Grade
    reason: str
    """Why the signature is not this owner's, empty if it is or nothing shows it."""


def mark_replaced(records: list[Any]) -> list[Any]:
    """The records, each that can be executed no more with a note of what took its number, so that it is read again."""
    executed = {_number(r): r for r in records if isinstance(r, dict) and r.get("isExecuted") is True}
    return [_marked(r, executed.get(_number(r))) if isinstance(r, dict) else r for r in records]


def _number(record: Record) -> tuple[str, str]:
    return str(record.get("safe")).lower(), str(record.get("nonce"))


def _marked(record: dict[str, Any], executed: Record | None) -> dict[str, Any]:
    own = {name: value for name, value in record.items() if name != _REPLACED}
    if executed is None or record.get("isExecuted") is True:
        return own
    return {**own, _REPLACED: {"at": executed.get("executionDate"), "by": executed.get("proposer")}}


def read_multisig(record: Record, terms: RequestTerms) -> Iterator[VendorAct]:
    """The acts of one multisig transaction; none if it pays nobody."""
    proposal = _read_proposal(record, terms)
    if not proposal.payments:
        return
    proposed = take_iso(record, "submissionDate")
    confirmations = [_confirm(c, proposal, proposed, record, terms) for c in take_objects(record, "confirmations", 200)]
    telling = _ProposalActs(record, terms, proposal, _proposer(record, confirmations, terms), proposed, confirmations)
    base = f"{VENDOR}:{telling.chain.reference}:0x{proposal.digest.hex()}"
    for n, payment in enumerate(proposal.payments, 1):
        yield from telling.acts(f"{base}:{n}" if len(proposal.payments) > 1 else base, payment)


@dataclass(frozen=True, slots=True)
class _ProposalActs:
    """A transaction as read, to be told once for each of its payments."""

    record: Record
    terms: RequestTerms
    proposal: _Proposal
    proposer: Address
    proposed: datetime
    confirmations: list[_Confirmation]

    @property
    def chain(self) -> ChainId:
        return _chain(self.terms)

    def acts(self, request_id: str, payment: Transfer) -> Iterator[VendorAct]:
        intent = self._intent(payment)
        asker = self.terms.person(VENDOR, self.proposer.text)
        yield self._request(make_payload(ActKind.REQUEST, request_id, asker, self.proposed, intent=intent))
        for c in self.confirmations:
            actor = self.terms.person(VENDOR, c.owner.text)
            kid = c.owner.text if c.grade is Grade.SAFE_SIGNATURE else ""
            approved = make_payload(ActKind.APPROVE, request_id, actor, c.at, intent=intent)
            yield VendorAct(approved, c.grade, kid, INVALID_SIGNATURE if c.reason else "", c.reason)
        if _REPLACED in self.record:
            replaced = take_object(self.record, _REPLACED)
            by = self.terms.people.get(take_word(replaced, "by").lower(), asker)
            yield VendorAct(make_payload(ActKind.CANCEL, request_id, by, take_iso(replaced, "at"), intent=intent))
        if self.record.get("isExecuted") is True and take_word(self.record, "transactionHash"):
            by = self.terms.people.get(take_word(self.record, "executor").lower(), asker)
            at, txid = take_iso(self.record, "executionDate"), take_text(dict(self.record), "transactionHash")
            yield VendorAct(make_payload(ActKind.BROADCAST, request_id, by, at, txid=txid))

    def _request(self, payload: dict[str, Any]) -> VendorAct:
        """Its proposer signed it if they confirmed it: what owners sign is the payment itself."""
        signed = any(c.owner == self.proposer and c.grade is Grade.SAFE_SIGNATURE for c in self.confirmations)
        grade, kid = (Grade.SAFE_SIGNATURE, self.proposer.text) if signed else (Grade.VENDOR_EXPORT, "")
        wrong = self.proposal.contradiction
        return VendorAct(payload, grade, kid, "content_mismatch" if wrong else "", wrong)

    def _intent(self, payment: Transfer) -> dict[str, str]:
        safe = self.proposal.safe.text.lower()
        wallet = next((ours for theirs, ours in self.terms.wallets.items() if theirs.lower() == safe), "")
        return intent_of(_asset_of(payment, self.terms), payment.amount, payment.receiver.text, wallet=wallet)


def _chain(terms: RequestTerms) -> ChainId:
    if terms.chain is None:
        raise Unreadable("the chain of the Safe is not configured")
    return terms.chain


def _asset_of(payment: Transfer, terms: RequestTerms) -> Asset:
    known = next((asset for asset in terms.tokens if asset.id == payment.asset), None)
    if known is None:
        raise Unreadable(f"asset {payment.asset} is not configured")
    return known


def _read_proposal(record: Record, terms: RequestTerms) -> _Proposal:
    claimed = take_word(record, "safeTxHash")
    if not _HASH.fullmatch(claimed):
        raise Unreadable("safeTxHash is not 64 hexadecimal digits with 0x")
    fields = {name: record.get(name) for name in _FIELDS}
    # With the service's hash at hand the older domain, without the chain's id, would be believed as well.
    fields |= {} if terms.chain_bound else {"safeTxHash": claimed}
    safe = _account(record, "safe", terms)
    family = family_of(_chain(terms))
    contracts = (a.id.reference for a in terms.tokens if a.id.namespace in family.token_namespaces)
    tokens = frozenset(bytes.fromhex(reference[2:]) for reference in contracts)
    try:
        unsigned = family.read_unsigned_transaction(
            _chain(terms), json.dumps(fields).encode(), KnownBefore(frozenset({safe.key}), tokens=tokens)
        )
    except (NotATransaction, TypeError) as error:
        raise Unreadable(f"no Safe transaction: {error}") from None
    if "safe_tx_hash" not in unsigned.digests:
        raise Unreadable("the transaction has no nonce")
    told = unsigned.digests["safe_tx_hash"]
    wrong = "" if told == claimed.lower() else f"safeTxHash {claimed} is not the hash of these fields, which is {told}"
    return _Proposal(safe, bytes.fromhex(told[2:]), wrong, _payments(unsigned, safe))


def _payments(unsigned: UnsignedTransaction, safe: Address) -> tuple[Transfer, ...]:
    if not isinstance(unsigned.transaction, AccountTransaction):
        return ()
    return tuple(t for t in unsigned.transaction.transfers if t.sender == safe and t.receiver != safe and t.amount)


def _account(record: Record, name: str, terms: RequestTerms) -> Address:
    try:
        return parse_address(_chain(terms), take_text(dict(record), name))
    except ValueError as error:
        raise Unreadable(f"{name}: {error}") from None


def _proposer(record: Record, confirmations: list[_Confirmation], terms: RequestTerms) -> Address:
    """Who asked; a record without proposer was confirmed on chain only, and its first owner asked."""
    if record.get("proposer") is not None:
        return _account(record, "proposer", terms)
    if not confirmations:
        raise Unreadable("it has neither proposer nor confirmations")
    return min(confirmations, key=lambda c: (c.at, c.owner.key)).owner


def _confirm(
    confirmation: Record, proposal: _Proposal, proposed: datetime, record: Record, terms: RequestTerms
) -> _Confirmation:
    owner = _account(confirmation, "owner", terms)
    at = take_iso(confirmation, "submissionDate")
    if record.get("executionDate") is not None and at >= take_iso(record, "executionDate"):
        at = min(at, proposed)
    if confirmation.get("signature") is None:
        return _Confirmation(owner, at, Grade.VENDOR_EXPORT, "")
    text = take_text(dict(confirmation), "signature", 20_000)
    if not _SIGNATURE.fullmatch(text):
        return _Confirmation(owner, at, Grade.VENDOR_EXPORT, "the signature has not the form of one")
    signature = family_of(_chain(terms)).read_signature(proposal.digest, bytes.fromhex(text[2:]))
    if signature.kind in {SignatureKind.ON_CHAIN, SignatureKind.CONTRACT}:
        return _Confirmation(owner, at, Grade.VENDOR_EXPORT, "")
    if signature.signer != owner:
        by = signature.signer.text if signature.signer is not None else "nobody"
        return _Confirmation(owner, at, Grade.VENDOR_EXPORT, f"the signature over the transaction's hash is by {by}")
    return _Confirmation(owner, at, Grade.SAFE_SIGNATURE, "")
