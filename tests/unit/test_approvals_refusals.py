"""Every way in which a line is refused, for each algorithm, each with a reason of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from chains.registry import parse_address
from unit.approvals_samples import (
    ED,
    INTENT,
    K256,
    NOW,
    P256,
    STRANGER,
    act_of,
    approve,
    b64,
    ec_sign,
    ed_sign,
    jws_line,
    new_key,
    read,
    request,
)
from walletwatch.approvals.acts import MAX_LINE, Malformed, parse_act
from walletwatch.approvals.documents import MAX_DEPTH
from walletwatch.domain.people import People, Person, PersonKey
from walletwatch.domain.withdrawals import Act

DATA = Path(__file__).parents[1] / "data" / "approvals"
EXPIRED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Signer:
    """A person's key, and how it signs without the program's own library."""

    alg: str
    kid: str
    actor: str
    sign: Callable[[bytes], bytes]
    forge: Callable[[bytes], bytes]
    """Signs with a key of the same kind that is nobody's."""

    def line(self, payload: dict[str, Any] | bytes, **header: Any) -> bytes:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return jws_line(raw, {"alg": self.alg, "kid": self.kid} | header, self.sign)

    def payload(self) -> dict[str, Any]:
        return approve(self.actor)


SIGNERS = (
    Signer("EdDSA", "ed", "treasury-1", ed_sign(ED), ed_sign(STRANGER)),
    Signer("ES256", "p256", "compliance-1", ec_sign(P256, ec.SECP256R1()), ec_sign(new_key("P-256"), ec.SECP256R1())),
    Signer(
        "ES256K", "k256", "compliance-2", ec_sign(K256, ec.SECP256K1()), ec_sign(new_key("secp256k1"), ec.SECP256K1())
    ),
)


def other_alg(signer: Signer) -> str:
    return {"EdDSA": "ES256", "ES256": "ES256K", "ES256K": "EdDSA"}[signer.alg]


def changed(signer: Signer, **members: str) -> bytes:
    return json.dumps(json.loads(signer.line(signer.payload())) | members).encode()


def flipped(signer: Signer) -> bytes:
    raw = bytearray(json.dumps(signer.payload()).encode())
    raw[raw.index(b"W-1") + 2] ^= 1  # W-1 becomes W-0
    return changed(signer, payload=b64(bytes(raw)))


def public_key_as_secret(signer: Signer) -> bytes:
    key = {"ed": ED, "p256": P256, "k256": K256}[signer.kid]
    secret = base64.urlsafe_b64decode(key["x"] + "=")
    raw = json.dumps(signer.payload()).encode()
    return jws_line(raw, {"alg": "HS256", "kid": signer.kid}, lambda m: hmac.digest(secret, m, "sha256"))


def loosely_hashed(signer: Signer) -> bytes:
    """The hash over the intent as Python prints it, not over its canonical form."""
    loose = "sha256:" + hashlib.sha256(json.dumps(INTENT).encode()).hexdigest()
    return signer.line(request(signer.actor) | {"intent_hash": loose})


def deep(signer: Signer) -> bytes:
    nested = json.dumps(signer.payload())[:-1] + ',"x":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}"
    return signer.line(nested.encode())


def twice(signer: Signer) -> bytes:
    return signer.line((json.dumps(signer.payload())[:-1] + ',"actor":"treasury-1"}').encode())


def huge(signer: Signer) -> bytes:
    return signer.line(signer.payload() | {"shown_hash": "sha256:" + "0" * MAX_LINE})


ATTACKS: dict[str, tuple[Callable[[Signer], bytes], str, str]] = {
    "wrong key": (
        lambda s: jws_line(json.dumps(s.payload()).encode(), {"alg": s.alg, "kid": s.kid}, s.forge),
        "invalid_signature",
        "is not by the key",
    ),
    "unknown key": (lambda s: s.line(s.payload(), kid="nobody"), "approver_not_authorised", "no person has the key"),
    "alg none": (lambda s: s.line(s.payload(), alg="none"), "invalid_signature", "alg `none`"),
    "algorithm swap": (lambda s: s.line(s.payload(), alg=other_alg(s)), "invalid_signature", "does not fit the key"),
    "public key as secret": (public_key_as_secret, "invalid_signature", "'HS256' is not one of"),
    "payload changed by one bit": (flipped, "invalid_signature", "is not by the key"),
    "duplicate member names": (twice, "", "member 'actor' stands twice"),
    "non-canonical intent": (loosely_hashed, "content_mismatch", "canonical intent (RFC 8785)"),
    "huge line": (huge, "", "bytes, the longest allowed has 65536"),
    "deep nesting": (deep, "", f"nests deeper than {MAX_DEPTH}"),
}


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda s: s.alg)
def test_a_good_line_is_taken(signer: Signer) -> None:
    assert act_of(signer.line(signer.payload())).refused == ""


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda s: s.alg)
@pytest.mark.parametrize("attack", list(ATTACKS))
def test_each_attack_is_refused_with_its_own_reason(signer: Signer, attack: str) -> None:
    make, rule, words = ATTACKS[attack]
    answer = read(make(signer))
    if rule:
        assert isinstance(answer, Act)
        assert (answer.refused, words in answer.reason) == (rule, True), answer.reason
    else:
        assert isinstance(answer, Malformed)
        assert words in answer.error


def test_the_reasons_tell_the_attacks_apart() -> None:
    """A wrong key and a changed payload cannot be told apart by anybody; all others can."""
    words = [words for name, (_, _, words) in ATTACKS.items() if name != "payload changed by one bit"]
    assert len(set(words)) == len(words)


@cache
def jwcrypto_lines() -> tuple[bytes, ...]:
    return tuple((DATA / "acts_ethereum_w1042_signed_by_jwcrypto.jsonl").read_bytes().splitlines())


def people(valid_until: datetime | None = None) -> People:
    rows = json.loads((DATA / "people_ethereum_w1042.json").read_text())
    keys = {r["id"]: (PersonKey(r["kid"], r["jwk"], valid_until=valid_until),) for r in rows}
    return People(tuple(Person(r["id"], r["department"], tuple(r["roles"]), keys[r["id"]]) for r in rows))


def read_by(line: bytes, who: People) -> Act | Malformed:
    return parse_act(
        line, feed="f", line_no=1, signatures="required", people=who, parse_address=parse_address, read_at=NOW
    )


@pytest.mark.parametrize("n", range(3), ids=["EdDSA", "ES256", "ES256K"])
def test_an_expired_key_is_refused_with_the_time(n: int) -> None:
    good, late = read_by(jwcrypto_lines()[n], people()), read_by(jwcrypto_lines()[n], people(EXPIRED))
    assert isinstance(good, Act)
    assert isinstance(late, Act)
    assert good.refused == ""
    assert late.refused == "approver_not_authorised"
    assert "was not valid at 2026-11-22" in late.reason


PEOPLE = people()


@given(st.data())
def test_any_one_bit_of_another_librarys_line_changed_is_no_act_that_counts(data: st.DataObject) -> None:
    """Payload, header or signature: whichever bit is changed, the line is malformed or refused."""
    line = json.loads(data.draw(st.sampled_from(jwcrypto_lines())))
    member = data.draw(st.sampled_from(["payload", "protected", "signature"]))
    raw = bytearray(base64.urlsafe_b64decode(line[member] + "=" * (-len(line[member]) % 4)))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    answer = read_by(json.dumps(line | {member: b64(bytes(raw))}).encode(), PEOPLE)
    assert isinstance(answer, Malformed) or answer.refused
