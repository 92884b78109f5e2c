"""The people who may request and approve withdrawals, and their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from joserfc.errors import JoseError
from joserfc.jwk import import_key


@dataclass(frozen=True)
class PersonKey:
    """A public key of a person: `jwk` as in RFC 7517. Valid in [valid_from, valid_until); None means unbounded."""

    kid: str
    jwk: Mapping[str, str]
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @cached_property
    def thumbprint(self) -> str:
        """The JWK thumbprint of the public key (RFC 7638), independent of how the key is written. Raises ValueError for
        an unusable key.
        """
        try:
            public: dict[str, str | list[str]] = {n: self.jwk[n] for n in ("kty", "crv", "x", "y") if n in self.jwk}
            return import_key(public).thumbprint()
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"key {self.kid} is not a usable public key: {error}") from None

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key is valid for an act dated `moment`."""
        after = self.valid_from is None or self.valid_from <= moment
        return after and (self.valid_until is None or moment < self.valid_until)


@dataclass(frozen=True, slots=True)
class Person:
    """A person who may request or approve withdrawals."""

    id: str
    department: str
    roles: tuple[str, ...]
    keys: tuple[PersonKey, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """All people, by id and by key id. Of two with the same id (or key id), the first one counts."""

    persons: tuple[Person, ...] = ()
    _by_id: dict[str, Person] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_kid: dict[str, tuple[Person, PersonKey]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for person in self.persons:
            self._by_id.setdefault(person.id, person)
            for key in person.keys:
                self._by_kid.setdefault(key.kid, (person, key))

    def by_id(self, person_id: str) -> Person | None:
        """The person with this id, or None."""
        return self._by_id.get(person_id)

    def by_kid(self, kid: str) -> tuple[Person, PersonKey] | None:
        """The person and key with this key id, or None."""
        return self._by_kid.get(kid)
