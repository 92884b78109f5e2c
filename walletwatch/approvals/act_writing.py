"""Writing acts: what an exchange's own approval tool needs to add a line to the log. No wallet key passes here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import rfc8785
from joserfc import jwk, jws

from walletwatch.approvals.acts import ACT_TYPE, hash_intent
from walletwatch.approvals.signatures import REGISTRY
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import ActKind

_ALG_OF_CURVE = {"Ed25519": "Ed25519", "P-256": "ES256", "secp256k1": "ES256K"}


def make_intent(
    *,
    chain: str,
    asset: str,
    amount: int,
    destination: str,
    wallet: str = "",
    memo: str = "",
    customer: str = "",
    expires_at: datetime | None = None,
) -> dict[str, str]:
    """The intent of a request: CAIP-2 chain, CAIP-19 asset, `amount` in base units. Empty members are left out."""
    optional = {
        "wallet": wallet,
        "memo": memo,
        "customer": customer,
        "expires_at": format_utc(expires_at) if expires_at else "",
    }
    required = {"chain": chain, "asset": asset, "amount": str(amount), "destination": destination}
    return required | {name: text for name, text in optional.items() if text}


def make_payload(
    act: ActKind | str,
    request_id: str,
    actor: str,
    at: datetime,
    *,
    intent: Mapping[str, str] | None = None,
    shown_hash: str = "",
    txid: str = "",
) -> dict[str, Any]:
    """The payload of an act. `intent` is written out by a request and hashed by every act but a broadcast."""
    kind = ActKind(act)
    payload: dict[str, Any] = {
        "type": ACT_TYPE,
        "act": kind.value,
        "request_id": request_id,
        "actor": actor,
        "at": format_utc(at),
    }
    if kind is ActKind.BROADCAST:
        return payload | {"txid": txid}
    if intent is None:
        raise ValueError(f"{kind.value} needs the intent it is about")
    if kind is ActKind.REQUEST:
        payload["intent"] = dict(intent)
    payload["intent_hash"] = hash_intent(intent)
    return payload | ({"shown_hash": shown_hash} if shown_hash else {})


def sign_act(payload: Mapping[str, Any], private_jwk: Mapping[str, str], kid: str, alg: str = "") -> bytes:
    """One signed line with its newline: a flattened JWS over the canonical JSON of `payload`.

    `alg` follows from the key's curve (Ed25519, P-256, secp256k1) unless given. Raises ValueError for another curve.
    """
    alg = alg or _ALG_OF_CURVE.get(private_jwk.get("crv", ""), "")
    if not alg:
        raise ValueError(f"curve {private_jwk.get('crv')!r} is none of {', '.join(_ALG_OF_CURVE)}")
    key = jwk.import_key(dict(private_jwk))
    content = rfc8785.dumps(dict(payload))
    signed = jws.serialize_json({"protected": {"alg": alg, "kid": kid}}, content, key, registry=REGISTRY)
    return rfc8785.dumps({name: str(signed.get(name)) for name in ("payload", "protected", "signature")}) + b"\n"


def write_unsigned(payload: Mapping[str, Any]) -> bytes:
    """One unsigned line with its newline, for a feed with `signatures = "none"`."""
    return rfc8785.dumps(dict(payload)) + b"\n"
