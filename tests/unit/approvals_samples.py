"""People with keys, and lines signed by them, for the tests of the approval side."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwk

from chains.registry import parse_address
from walletwatch.approvals.act_files import make_intent, make_payload
from walletwatch.approvals.acts import Malformed, parse_act
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.people import People, Person, PersonKey
from walletwatch.domain.withdrawals import Act

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
DESTINATION = "0x52908400098527886E0F7030069857D2E4169EE7"
INTENT = make_intent(
    chain="eip155:1", asset="eip155:1/slip44:60", amount=15 * 10**17, destination=DESTINATION, wallet="eth-hot"
)
KEY_TYPES = {"Ed25519": "OKP", "P-256": "EC", "secp256k1": "EC"}


def new_key(curve: str) -> dict[str, str]:
    key = jwk.generate_key(KEY_TYPES[curve], curve, private=True)
    return {name: str(value) for name, value in key.as_dict(private=True).items() if name != "kid"}


def public(private: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in private.items() if name in {"kty", "crv", "x", "y"}}


ED, P256, K256, STRANGER = (new_key(curve) for curve in ("Ed25519", "P-256", "secp256k1", "Ed25519"))
PEOPLE = People(
    (
        Person(
            "treasury-1",
            "treasury",
            ("requester", "approver"),
            (
                PersonKey("ed", public(ED)),
                PersonKey("ed-2025", public(ED), valid_until=datetime(2026, 1, 1, tzinfo=UTC)),
                PersonKey("ed-2027", public(ED), valid_from=datetime(2027, 1, 1, tzinfo=UTC)),
            ),
        ),
        Person("compliance-1", "compliance", ("approver",), (PersonKey("p256", public(P256)),)),
        Person("compliance-2", "compliance", ("approver",), (PersonKey("k256", public(K256)),)),
    )
)
RING = KeyRing(PEOPLE)


def read(line: bytes, *, signatures: Any = "required", read_at: datetime = NOW) -> Act | Malformed:
    return parse_act(
        line.rstrip(b"\n"),
        feed="approvals.jsonl",
        line_no=7,
        signatures=signatures,
        people=RING,
        parse_address=parse_address,
        read_at=read_at,
    )


def act_of(line: bytes, **options: Any) -> Act:
    answer = read(line, **options)
    assert isinstance(answer, Act), answer
    return answer


def error_of(line: bytes, **options: Any) -> str:
    answer = read(line, **options)
    assert isinstance(answer, Malformed), answer
    return answer.error


def approve(actor: str = "treasury-1", at: datetime = AT, **more: Any) -> dict[str, Any]:
    return make_payload("approve", "W-1", actor, at, intent=INTENT) | more


def request(actor: str = "treasury-1", **more: Any) -> dict[str, Any]:
    return make_payload("request", "W-1", actor, AT, intent=INTENT) | more


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jws_line(payload: bytes, header: dict[str, Any] | bytes, sign: Any) -> bytes:
    """A flattened JWS made from the RFC alone."""
    protected = b64(header if isinstance(header, bytes) else json.dumps(header).encode())
    signing_input = f"{protected}.{b64(payload)}".encode()
    return json.dumps({"payload": b64(payload), "protected": protected, "signature": b64(sign(signing_input))}).encode()


def ed_sign(private: dict[str, str]) -> Any:
    raw = base64.urlsafe_b64decode(private["d"] + "==")
    return ed25519.Ed25519PrivateKey.from_private_bytes(raw).sign


def ec_sign(private: dict[str, str], curve: ec.EllipticCurve) -> Any:
    number = int.from_bytes(base64.urlsafe_b64decode(private["d"] + "=="), "big")
    key = ec.derive_private_key(number, curve)

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign
