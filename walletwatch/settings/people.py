"""`[[person]]`: who may ask for and approve withdrawals, and by which public keys they are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from joserfc.errors import JoseError
from joserfc.jwk import import_key
from pydantic import Field, PlainValidator, model_validator

from walletwatch.domain.people import Person, PersonKey
from walletwatch.settings.fields import Items, Moment, Name, Table
from walletwatch.settings.problems import Fault

_PRIVATE = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
_KEY_TYPES = {"OKP": ("Ed25519",), "EC": ("P-256", "secp256k1")}
_MAX_JWK_CHARS = 4096


def _read_jwk(value: Any) -> dict[str, str]:
    """A public key as in RFC 7517, of a kind the approval log knows. The key itself is never quoted."""
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise Fault("must be a table of texts", 'write { kty = "OKP", crv = "Ed25519", x = "…" }')
    if len(json.dumps(dict(value))) > _MAX_JWK_CHARS:
        raise Fault(f"the key is longer than {_MAX_JWK_CHARS} characters")
    if _PRIVATE & set(value):
        raise Fault(
            "this is a private key: whoever reads the file could sign", "put the public key here, make a new pair"
        )
    curves = _KEY_TYPES.get(value.get("kty", ""), ())
    if value.get("crv") not in curves:
        raise Fault("the kind of key is not known", "known: OKP with Ed25519, EC with P-256 or secp256k1")
    try:
        import_key(dict(value)).public_key  # noqa: B018 - computing it proves that the point lies on the curve
    except (JoseError, ValueError):
        raise Fault("the key's numbers are not a public key of this kind", "copy the JWK again") from None
    return dict(value)


class KeySettings(Table):
    """A public key, valid in [valid_from, valid_until)."""

    kid: Annotated[str, Field(min_length=1, max_length=200)]
    jwk: Annotated[dict[str, str], PlainValidator(_read_jwk)]
    valid_from: Moment | None = None
    valid_until: Moment | None = None

    @model_validator(mode="after")
    def _check(self) -> KeySettings:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise Fault("valid_until must lie after valid_from")
        return self


class PersonSettings(Table):
    """Somebody with a say in withdrawals."""

    id: Name
    department: Name
    roles: Items[Name]
    keys: Items[KeySettings] = ()

    def person(self) -> Person:
        """The person in the words of the domain."""
        keys = tuple(PersonKey(k.kid, k.jwk, k.valid_from, k.valid_until) for k in self.keys)
        return Person(self.id, self.department, self.roles, keys)
