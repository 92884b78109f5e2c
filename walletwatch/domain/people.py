"""Who may ask for and approve withdrawals, and by which keys they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A public key of a person: `jwk` as in RFC 7517. Valid in [valid_from, valid_until); None is open."""

    kid: str
    jwk: Mapping[str, str]
    valid_from: datetime | None = None
    valid_until: datetime | None = None

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
    """Everybody, found by id and by key id."""

    persons: tuple[Person, ...] = ()

    def by_id(self, person_id: str) -> Person | None:
        """The person with this id."""
        return next((p for p in self.persons if p.id == person_id), None)

    def by_kid(self, kid: str) -> tuple[Person, PersonKey] | None:
        """The person and key with this key id."""
        return next(((p, k) for p in self.persons for k in p.keys if k.kid == kid), None)
