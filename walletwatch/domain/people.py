"""Who may ask for and approve withdrawals, and by which keys they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from joserfc.errors import JoseError
from joserfc.jwk import import_key


@dataclass(frozen=True)
class PersonKey:
    """A public key of a person: `jwk` as in RFC 7517. Valid in [valid_from, valid_until); None is open."""

    kid: str
    jwk: Mapping[str, str]
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @cached_property
    def thumbprint(self) -> str:
        """The JWK thumbprint of the public key (RFC 7638), the same however the key is written. Raises ValueError for a
        key that cannot be used.
        """
        try:
            public: dict[str, str | list[str]] = {n: self.jwk[n] for n in ("kty", "crv", "x", "y") if n in self.jwk}
            return import_key(public).thumbprint()
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"key {self.kid} is no usable public key: {error}") from None

    def valid_at(self, moment: datetime) -> bool:
        """Whether an act dated `moment` may bear this key."""
        after = self.valid_from is None or self.valid_from <= moment
        return after and (self.valid_until is None or moment < self.valid_until)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a say in withdrawals."""

    id: str
    department: str
    roles: tuple[str, ...]
    keys: tuple[PersonKey, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """Everybody, found by id and by key id. Of two with the same id (or key id) the first named is meant."""

    persons: tuple[Person, ...] = ()
    _by_id: dict[str, Person] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_kid: dict[str, tuple[Person, PersonKey]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for person in self.persons:
            self._by_id.setdefault(person.id, person)
            for key in person.keys:
                self._by_kid.setdefault(key.kid, (person, key))

    def by_id(self, person_id: str) -> Person | None:
        """The person with this id."""
        return self._by_id.get(person_id)

    def by_kid(self, kid: str) -> tuple[Person, PersonKey] | None:
        """The person and key with this key id."""
        return self._by_kid.get(kid)
