"""Who signed a line: JWS in flattened JSON form (RFC 7515 §7.2.2), verified by joserfc.

The header is held to a closed list first, because most breaks of JOSE are headers that talk the verifier into another
algorithm, another key or another payload encoding (RFC 8725 §2, §3).
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

from walletwatch.approvals.documents import Unreadable, check_members, parse_object
from walletwatch.domain.people import People, Person, PersonKey

ALGORITHMS: Mapping[str, tuple[str, str]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "ES256K": ("EC", "secp256k1"),
}
"""Accepted `alg`s, each with the one key type and curve it goes with."""

_JWS_MEMBERS = frozenset({"payload", "protected", "signature"})
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ", "cty"})

INVALID_SIGNATURE = "invalid_signature"
NOT_AUTHORISED = "approver_not_authorised"


class _ClosedRegistry(JWSRegistry):
    """Our four algorithms and no others. joserfc warns on each use of the name EdDSA (RFC 9864 renames it Ed25519);
    the feed's format allows both names for one and the same signature.
    """

    max_header_length = 4096
    max_payload_length = 128_000

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


REGISTRY: JWSRegistry = _ClosedRegistry(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an act does not count: the rule type CONTRACT §3 names, and words."""

    rule: str
    reason: str


class KeyRing:
    """Everybody's public keys, imported once. Raises ValueError for a key that is none."""

    def __init__(self, people: People) -> None:
        self.people = people
        self._keys: dict[str, jwk.Key] = {}
        owners: dict[str, set[str]] = defaultdict(set)
        for person in people.persons:
            for key in person.keys:
                self._keys.setdefault(key.kid, _import_public(key))
                owners[key.thumbprint].add(person.id)
        self._shared = {thumbprint: sorted(ids) for thumbprint, ids in owners.items() if len(ids) > 1}

    def owner(self, kid: str) -> tuple[Person, PersonKey] | None:
        """Whose key this is."""
        return self.people.by_kid(kid)

    def sharers(self, key: PersonKey) -> list[str]:
        """Everybody who has this very public key, under whatever key id, if they are several."""
        return self._shared.get(key.thumbprint, [])

    def key(self, kid: str) -> jwk.Key:
        """The public key of a known `kid`."""
        return self._keys[kid]


def _import_public(key: PersonKey) -> jwk.Key:
    if "d" in key.jwk:
        raise ValueError(f"key {key.kid}: the jwk holds a private key; only its public part belongs here")
    if key.jwk.get("kty") not in {"OKP", "EC"}:
        raise ValueError(f"key {key.kid}: kty must be OKP or EC")
    try:
        return jwk.import_key({name: key.jwk[name] for name in ("kty", "crv", "x", "y") if name in key.jwk})
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"key {key.kid} is not a usable public key: {error}") from None


@dataclass(frozen=True, slots=True)
class SignedLine:
    """A line that has the form of a JWS; nothing about it is verified yet. `payload` is decoded."""

    members: Mapping[str, str]
    header: Mapping[str, Any]
    payload: bytes

    @property
    def kid(self) -> str:
        """The key id the header claims, `""` for none."""
        kid = self.header.get("kid", "")
        return kid[:200] if isinstance(kid, str) else ""


def split_signed(line: dict[str, Any]) -> SignedLine:
    """The parts of a flattened JWS. Raises Unreadable if it does not have that form."""
    check_members(line, _JWS_MEMBERS, frozenset({"header"}), "signed line")
    for name in _JWS_MEMBERS:
        if not isinstance(line[name], str):
            raise Unreadable(f"{name} must be a text")
    members = {name: line[name] for name in _JWS_MEMBERS}
    header = parse_object(_decode(members["protected"], "protected"), "protected header")
    if "header" in line:
        header["header"] = "unprotected"
    return SignedLine(members, header, _decode(members["payload"], "payload"))


def _decode(text: str, what: str) -> bytes:
    """Strict base64url without padding: one text for the same bytes."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise Unreadable(f"{what} is not base64url without padding (RFC 7515 §2)")
    return raw


def check_signature(line: SignedLine, actor: str, at: datetime, ring: KeyRing) -> Refusal | None:
    """None if `actor` signed `line` with a key of theirs that was valid at `at`; else why it does not count."""
    return _check_header(line.header) or _check_key(line, actor, at, ring)


def _check_header(header: Mapping[str, Any]) -> Refusal | None:
    for name, why in (
        ("crit", "`crit` asks for extensions that are not understood here"),
        ("b64", "`b64` changes what is signed (RFC 7797)"),
        ("header", "an unprotected header is not covered by the signature"),
    ):
        if name in header:
            return Refusal(INVALID_SIGNATURE, why)
    alg = header.get("alg")
    if isinstance(alg, str) and alg.lower() == "none":
        return Refusal(INVALID_SIGNATURE, "alg `none`: the line is not signed")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        return Refusal(INVALID_SIGNATURE, f"alg {str(alg)[:40]!r} is not one of {', '.join(ALGORITHMS)}")
    extra = sorted(header.keys() - _HEADER_MEMBERS)
    if extra:
        return Refusal(
            INVALID_SIGNATURE, f"header member {extra[0][:40]!r} is not allowed: keys come from the configuration"
        )
    return None


def _check_key(line: SignedLine, actor: str, at: datetime, ring: KeyRing) -> Refusal | None:
    owner = ring.owner(line.kid)
    if owner is None:
        return Refusal(NOT_AUTHORISED, f"no person has the key {line.kid!r}" if line.kid else "the header names no key")
    person, key = owner
    alg, fits = line.header["alg"], ALGORITHMS[line.header["alg"]]
    if (key.jwk.get("kty"), key.jwk.get("crv")) != fits:
        return Refusal(INVALID_SIGNATURE, f"alg {alg} does not fit the key {key.kid}, which is {key.jwk.get('crv')}")
    if not _verify(line, ring.key(key.kid)):
        return Refusal(INVALID_SIGNATURE, f"the signature is not by the key {key.kid} over this content")
    if person.id != actor:
        return Refusal(NOT_AUTHORISED, f"the key {key.kid} is {person.id}'s, not {actor}'s")
    return _check_use(key, at, ring)


def _check_use(key: PersonKey, at: datetime, ring: KeyRing) -> Refusal | None:
    sharers = ring.sharers(key)
    if sharers:
        words = f"{' and '.join(sharers)} have one and the same key, so it does not tell who signed"
        return Refusal(NOT_AUTHORISED, words)
    if not key.valid_at(at):
        return Refusal(NOT_AUTHORISED, f"the key {key.kid} was not valid at {at.isoformat()}")
    return None


def _verify(line: SignedLine, key: jwk.Key) -> bool:
    try:
        jws.deserialize_json(
            {
                "payload": line.members["payload"],
                "protected": line.members["protected"],
                "signature": line.members["signature"],
            },
            key,
            registry=REGISTRY,
        )
    except (JoseError, ValueError):
        return False
    return True
