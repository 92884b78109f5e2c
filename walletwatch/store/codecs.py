"""Facts and domain values as JSON, exactly: integers as decimal text, bytes as hex, times as UTC text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    ChainId,
    ChainTransaction,
    MempoolOutlook,
    Outpoint,
    PoolOutlook,
    Replacement,
    SigningFacts,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from walletwatch.domain.times import format_utc, parse_utc
from walletwatch.domain.withdrawals import Act, ActKind, Grade, Intent, Payment

Json = dict[str, Any]


def address_to_json(address: Address | None) -> list[str] | None:
    """`[key hex, text]`."""
    return None if address is None else [address.key.hex(), address.text]


def address_from_json(value: Any) -> Address:
    """The address of `[key hex, text]`."""
    return Address(bytes.fromhex(value[0]), value[1])


def payments_to_json(payments: tuple[Payment, ...]) -> list[Any]:
    """`[ordinal, address, amount text]` each."""
    return [[p.ordinal, address_to_json(p.address), str(p.amount)] for p in payments]


def payments_from_json(value: Any) -> tuple[Payment, ...]:
    """Back to payments."""
    return tuple(Payment(ordinal, address_from_json(address), int(amount)) for ordinal, address, amount in value)


def _signing_to_json(signing: SigningFacts | None) -> Any:
    if signing is None:
        return None
    features = [[name, "int" if isinstance(value, int) else "text", str(value)] for name, value in signing.features]
    return {"signers": list(signing.signers), "features": features}


def _signing_from_json(value: Any) -> SigningFacts | None:
    if value is None:
        return None
    features = tuple((name, int(text) if kind == "int" else text) for name, kind, text in value["features"])
    return SigningFacts(tuple(value["signers"]), features)


def transaction_to_json(tx: ChainTransaction) -> Json:
    """A transaction of either family, whole."""
    return _utxo_to_json(tx) if isinstance(tx, UtxoTransaction) else _account_to_json(tx)


def _utxo_to_json(tx: UtxoTransaction) -> Json:
    return {
        "t": "utxo",
        "txid": tx.txid.hex(),
        "index": tx.index,
        "in": [
            [
                i.outpoint.txid.hex(),
                i.outpoint.vout,
                None if i.value is None else str(i.value),
                address_to_json(i.address),
                i.sequence,
            ]
            for i in tx.inputs
        ],
        "out": [[o.vout, str(o.value), address_to_json(o.address)] for o in tx.outputs],
        "fee": None if tx.fee is None else str(tx.fee),
        "vsize": tx.vsize,
        "version": tx.version,
        "locktime": tx.locktime,
        "signing": _signing_to_json(tx.signing),
        "outlook": _outlook_to_json(tx.outlook),
        **({"evidence": tx.evidence} if tx.evidence else {}),
    }


def _outlook_to_json(outlook: MempoolOutlook | None) -> list[str | int | None] | None:
    if outlook is None:
        return None
    gone = None if outlook.gone_since is None else format_utc(outlook.gone_since)
    return [str(outlook.replacement), outlook.replace_feerate_milli, outlook.confirm_blocks, gone]


def _outlook_from_json(value: Any) -> MempoolOutlook | None:
    return None if value is None else MempoolOutlook(Replacement(value[0]), value[1], value[2], _gone(value[3:]))


def _pool_outlook_to_json(outlook: PoolOutlook | None) -> list[bool | str | None] | None:
    if outlook is None:
        return None
    return [outlook.queued, None if outlook.gone_since is None else format_utc(outlook.gone_since)]


def _pool_outlook_from_json(value: Any) -> PoolOutlook | None:
    return None if value is None else PoolOutlook(value[0], _gone(value[1:]))


def _gone(value: list[str | None]) -> datetime | None:
    """The last item of an outlook; rows of older versions have none."""
    return parse_utc(value[0]) if value and value[0] is not None else None


def _account_to_json(tx: AccountTransaction) -> Json:
    return {
        "t": "account",
        "txid": tx.txid.hex(),
        "index": tx.index,
        "sender": address_to_json(tx.sender),
        "receiver": address_to_json(tx.receiver),
        "nonce": tx.nonce,
        "ok": tx.ok,
        "fee": str(tx.fee),
        "traced": tx.traced,
        "transfers": [
            [
                str(t.asset),
                address_to_json(t.sender),
                address_to_json(t.receiver),
                str(t.amount),
                str(t.kind),
                t.ordinal,
                t.log_index,
            ]
            for t in tx.transfers
        ],
        "signing": _signing_to_json(tx.signing),
        "outlook": _pool_outlook_to_json(tx.outlook),
    }


def transaction_from_json(value: Mapping[str, Any]) -> ChainTransaction:
    """The transaction of `transaction_to_json`."""
    return _utxo_from_json(value) if value["t"] == "utxo" else _account_from_json(value)


def _utxo_from_json(value: Mapping[str, Any]) -> UtxoTransaction:
    inputs = tuple(
        TxInput(
            Outpoint(bytes.fromhex(txid), vout),
            None if amount is None else int(amount),
            None if address is None else address_from_json(address),
            sequence,
        )
        for txid, vout, amount, address, sequence in value["in"]
    )
    outputs = tuple(TxOutput(vout, int(amount), address_from_json(address)) for vout, amount, address in value["out"])
    return UtxoTransaction(
        txid=bytes.fromhex(value["txid"]),
        index=value["index"],
        inputs=inputs,
        outputs=outputs,
        fee=None if value["fee"] is None else int(value["fee"]),
        vsize=value["vsize"],
        version=value["version"],
        locktime=value["locktime"],
        signing=_signing_from_json(value["signing"]),
        outlook=_outlook_from_json(value.get("outlook")),
        evidence=value.get("evidence", ""),
    )


def _account_from_json(value: Mapping[str, Any]) -> AccountTransaction:
    transfers = tuple(
        Transfer(
            AssetId.parse(asset),
            address_from_json(sender),
            address_from_json(receiver),
            int(amount),
            TransferKind(kind),
            ordinal,
            log_index,
        )
        for asset, sender, receiver, amount, kind, ordinal, log_index in value["transfers"]
    )
    return AccountTransaction(
        txid=bytes.fromhex(value["txid"]),
        index=value["index"],
        sender=address_from_json(value["sender"]),
        receiver=None if value["receiver"] is None else address_from_json(value["receiver"]),
        nonce=value["nonce"],
        ok=value["ok"],
        fee=int(value["fee"]),
        transfers=transfers,
        traced=value["traced"],
        signing=_signing_from_json(value["signing"]),
        outlook=_pool_outlook_from_json(value.get("outlook")),
    )


def act_to_json(act: Act) -> Json:
    """An act with its intent, whole."""
    return {
        "kind": str(act.kind),
        "request_id": act.request_id,
        "actor": act.actor,
        "at": format_utc(act.at),
        "digest": act.digest.hex(),
        "feed": act.feed,
        "line": act.line,
        "kid": act.kid,
        "signed": act.signed,
        "intent": None if act.intent is None else _intent_to_json(act.intent),
        "intent_hash": act.intent_hash,
        "shown_hash": act.shown_hash,
        "txid": None if act.txid is None else act.txid.hex(),
        "read_at": None if act.read_at is None else format_utc(act.read_at),
        "refused": act.refused,
        "reason": act.reason,
        "vouched": act.vouched,
        **({"read_late": True} if act.read_late else {}),
    }


def act_from_json(value: Mapping[str, Any]) -> Act:
    """The act of `act_to_json`."""
    return Act(
        kind=ActKind(value["kind"]),
        request_id=value["request_id"],
        actor=value["actor"],
        at=parse_utc(value["at"]),
        digest=bytes.fromhex(value["digest"]),
        feed=value["feed"],
        line=value["line"],
        kid=value["kid"],
        signed=value["signed"],
        intent=None if value["intent"] is None else _intent_from_json(value["intent"]),
        intent_hash=value["intent_hash"],
        shown_hash=value["shown_hash"],
        txid=None if value["txid"] is None else bytes.fromhex(value["txid"]),
        read_at=None if value["read_at"] is None else parse_utc(value["read_at"]),
        refused=value["refused"],
        reason=value["reason"],
        vouched=Grade(value["vouched"]) if value.get("vouched") else None,
        read_late=value.get("read_late", False),
    )


def _intent_to_json(intent: Intent) -> Json:
    return {
        "chain": str(intent.chain),
        "asset": str(intent.asset),
        "amount": str(intent.amount),
        "destination": address_to_json(intent.destination),
        "hash": intent.hash,
        "wallet": intent.wallet,
        "memo": intent.memo,
        "customer": intent.customer,
        "expires_at": None if intent.expires_at is None else format_utc(intent.expires_at),
    }


def _intent_from_json(value: Mapping[str, Any]) -> Intent:
    return Intent(
        chain=ChainId.parse(value["chain"]),
        asset=AssetId.parse(value["asset"]),
        amount=int(value["amount"]),
        destination=address_from_json(value["destination"]),
        hash=value["hash"],
        wallet=value["wallet"],
        memo=value["memo"],
        customer=value["customer"],
        expires_at=None if value["expires_at"] is None else parse_utc(value["expires_at"]),
    )
