"""Who signed a line: every curve, every trick with headers, lines of other libraries."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chains.registry import parse_address
from unit.approvals_samples import (
    AT,
    ED,
    K256,
    NOW,
    P256,
    STRANGER,
    act_of,
    approve,
    b64,
    ec_sign,
    ed_sign,
    error_of,
    jws_line,
)
from walletwatch.approvals.act_files import sign_act, write_unsigned
from walletwatch.approvals.acts import parse_act
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.people import People, Person, PersonKey
from walletwatch.domain.withdrawals import Act

DATA = Path(__file__).parents[1] / "data" / "approvals"


@pytest.mark.parametrize(
    ("actor", "kid", "private"),
    [("treasury-1", "ed", ED), ("compliance-1", "p256", P256), ("compliance-2", "k256", K256)],
)
def test_every_curve_signs_and_verifies(actor: str, kid: str, private: dict[str, str]) -> None:
    assert act_of(sign_act(approve(actor), private, kid)).refused == ""


def test_both_names_of_eddsa_are_one_algorithm() -> None:
    payload = json.dumps(approve()).encode()
    for alg in ("EdDSA", "Ed25519"):
        assert act_of(jws_line(payload, {"alg": alg, "kid": "ed"}, ed_sign(ED))).refused == ""


def test_signatures_made_without_a_jose_library_verify() -> None:
    for actor, kid, alg, sign in (
        ("treasury-1", "ed", "EdDSA", ed_sign(ED)),
        ("compliance-1", "p256", "ES256", ec_sign(P256, ec.SECP256R1())),
        ("compliance-2", "k256", "ES256K", ec_sign(K256, ec.SECP256K1())),
    ):
        payload = json.dumps(approve(actor), indent=2).encode()
        assert act_of(jws_line(payload, {"kid": kid, "typ": "JOSE", "alg": alg}, sign)).refused == ""


def test_lines_of_another_library_verify() -> None:
    """The file was signed by jwcrypto 1.6.1 over indented, non-canonical payloads."""
    rows = json.loads((DATA / "people_ethereum_w1042.json").read_text())
    people = People(
        tuple(Person(r["id"], r["department"], tuple(r["roles"]), (PersonKey(r["kid"], r["jwk"]),)) for r in rows)
    )
    lines = (DATA / "acts_ethereum_w1042_signed_by_jwcrypto.jsonl").read_bytes().splitlines()
    acts = [
        parse_act(
            line,
            feed="w1042",
            line_no=number,
            signatures="required",
            people=people,
            parse_address=parse_address,
            read_at=NOW,
        )
        for number, line in enumerate(lines, 1)
    ]
    assert all(isinstance(act, Act) and not act.refused for act in acts)
    assert [act.kid for act in acts if isinstance(act, Act)] == [
        "treasury-1-2026",
        "treasury-2-2026",
        "compliance-1-2026",
    ]
    assert acts[2].at == datetime(2026, 11, 22, 1, 12, 30, 500000, tzinfo=UTC)  # type: ignore[union-attr]


def test_another_key_than_the_named_one_is_an_invalid_signature() -> None:
    act = act_of(sign_act(approve(), STRANGER, "ed"))
    assert act.refused == "invalid_signature"
    assert "not by the key ed" in act.reason


@pytest.mark.parametrize("kid", ["ed-2025", "ed-2027"])
def test_a_key_outside_its_time_is_not_authorised(kid: str) -> None:
    act = act_of(sign_act(approve(), ED, kid))
    assert act.refused == "approver_not_authorised"
    assert "was not valid at 2026-11-22" in act.reason


def test_an_unknown_key_and_a_key_of_somebody_else_are_not_authorised() -> None:
    unknown = act_of(sign_act(approve(), STRANGER, "nobody"))
    borrowed = act_of(sign_act(approve("compliance-1"), ED, "ed"))
    assert unknown.refused == borrowed.refused == "approver_not_authorised"
    assert "no person has the key 'nobody'" in unknown.reason
    assert "treasury-1's, not compliance-1's" in borrowed.reason


def test_a_line_without_kid_is_not_authorised() -> None:
    act = act_of(jws_line(json.dumps(approve()).encode(), {"alg": "EdDSA"}, ed_sign(ED)))
    assert (act.refused, act.reason) == ("approver_not_authorised", "the header names no key")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"alg": "none", "kid": "ed"}, "alg `none`"),
        ({"alg": "NONE", "kid": "ed"}, "alg `none`"),
        ({"alg": "HS256", "kid": "ed"}, "'HS256' is not one of"),
        ({"alg": "RS256", "kid": "ed"}, "'RS256' is not one of"),
        ({"alg": 5, "kid": "ed"}, "is not one of"),
        ({"kid": "ed"}, "alg 'None' is not one of"),
        ({"alg": "ES256", "kid": "ed"}, "does not fit the key ed, which is Ed25519"),
        ({"alg": "ES256K", "kid": "p256"}, "does not fit the key p256, which is P-256"),
        ({"alg": "EdDSA", "kid": "ed", "crit": ["exp"]}, "`crit`"),
        ({"alg": "EdDSA", "kid": "ed", "b64": False, "crit": ["b64"]}, "`crit`"),
        ({"alg": "EdDSA", "kid": "ed", "b64": True}, "`b64`"),
        ({"alg": "EdDSA", "kid": "ed", "jwk": {"kty": "OKP"}}, "'jwk' is not allowed"),
        ({"alg": "EdDSA", "kid": "ed", "jku": "http://x"}, "'jku' is not allowed"),
    ],
)
def test_headers_that_talk_the_verifier_into_something_else(header: dict[str, Any], words: str) -> None:
    """RFC 8725 §2.1: `alg: none` and algorithm swaps; an Ed25519 signature is valid here in all but the header."""
    act = act_of(jws_line(json.dumps(approve()).encode(), header, ed_sign(ED)))
    assert act.refused == "invalid_signature"
    assert words in act.reason


def test_the_public_key_as_a_shared_secret_is_no_key() -> None:
    """The classic swap: HS256 keyed with the public key's own bytes."""
    secret = base64.urlsafe_b64decode(ED["x"] + "=")
    line = jws_line(
        json.dumps(approve()).encode(),
        {"alg": "HS256", "kid": "ed"},
        lambda message: hmac.digest(secret, message, "sha256"),
    )
    assert act_of(line).refused == "invalid_signature"


def test_an_unprotected_header_is_refused() -> None:
    line = json.loads(sign_act(approve(), ED, "ed")) | {"header": {"kid": "ed"}}
    act = act_of(json.dumps(line).encode())
    assert (act.refused, act.reason) == (
        "invalid_signature",
        "an unprotected header is not covered by the signature",
    )


def test_one_changed_bit_is_an_invalid_signature() -> None:
    line = json.loads(sign_act(approve(), ED, "ed"))
    payload = json.loads(base64.urlsafe_b64decode(line["payload"] + "=="))
    line["payload"] = b64(json.dumps(payload | {"request_id": "W-2"}).encode())
    assert act_of(json.dumps(line).encode()).refused == "invalid_signature"
    good = json.loads(sign_act(approve(), ED, "ed"))
    raw = bytearray(base64.urlsafe_b64decode(good["signature"] + "=="))
    for bit in (0, 255, 511):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert act_of(json.dumps(good | {"signature": b64(flipped)}).encode()).refused == "invalid_signature"


@pytest.mark.parametrize("signature", ["", "AA", "!!!!", "AAAA=", "A", "AB"])
def test_a_signature_that_is_none(signature: str) -> None:
    line = json.loads(sign_act(approve("compliance-1"), P256, "p256")) | {"signature": signature}
    assert act_of(json.dumps(line).encode()).refused == "invalid_signature"


def test_an_unsigned_line_counts_only_where_signatures_are_not_required() -> None:
    line = write_unsigned(approve())
    assert act_of(line).refused == "invalid_signature"
    act = act_of(line, signatures="none")
    assert (act.refused, act.signed, act.kid) == ("", False, "")
    assert act_of(write_unsigned(approve("nobody")), signatures="none").refused == "approver_not_authorised"


def test_a_signed_line_is_verified_in_an_unsigned_feed_too() -> None:
    assert act_of(sign_act(approve(), STRANGER, "ed"), signatures="none").refused == "invalid_signature"
    assert act_of(sign_act(approve(), ED, "ed"), signatures="none").signed


def test_the_same_payload_has_the_same_digest_whoever_signed_it() -> None:
    first, second = act_of(sign_act(approve(), ED, "ed")), act_of(sign_act(approve(), ED, "ed", "EdDSA"))
    assert first.digest == second.digest
    assert first.digest != act_of(sign_act(approve(at=AT + timedelta(seconds=1)), ED, "ed")).digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"payload": "e30="}, "payload is not base64url"),
        ({"payload": "e31"}, "payload is not base64url"),
        ({"protected": "!"}, "protected is not base64url"),
        ({"protected": b64(b'{"alg":"EdDSA","alg":"none"}')}, "member 'alg' stands twice"),
        ({"protected": b64(b"[]")}, "protected header is not a JSON object"),
        ({"signatures": []}, "unknown members: signatures"),
        ({"signature": 5}, "signature must be a text"),
        ({"payload": b64(b'{"type":1,"type":2}')}, "payload: member 'type' stands twice"),
    ],
)
def test_lines_without_the_form_of_a_jws(change: dict[str, Any], words: str) -> None:
    assert words in error_of(json.dumps(json.loads(sign_act(approve(), ED, "ed")) | change).encode())


def test_a_missing_part_of_a_jws_is_malformed() -> None:
    line = json.loads(sign_act(approve(), ED, "ed"))
    del line["signature"]
    assert "signed line lacks signature" in error_of(json.dumps(line).encode())


def test_keys_that_are_none_are_refused_at_once() -> None:
    for bad, words in (
        (ED, "private key"),
        ({"kty": "oct", "k": "AA"}, "kty must be OKP or EC"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AA"}, "not a usable public key"),
        ({"kty": "EC", "crv": "P-256", "x": P256["x"], "y": P256["x"]}, "not a usable public key"),
    ):
        with pytest.raises(ValueError, match=words):
            KeyRing(People((Person("x", "d", (), (PersonKey("k", bad),)),)))
