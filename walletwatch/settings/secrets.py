"""Secrets: from the environment or a file, shown nowhere."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from walletwatch.settings.problems import Fault

MAX_BYTES = 64 * 1024
_FORM = '{ env = "NAME" } or { file = "PATH" }'


class SecretMissing(Exception):
    """A secret is needed now and was not to be had; the message names its source, never a value."""


class Secret:
    """A value that no text form, copy or pickle gives away. `reveal` is the only way to it.

    `source` is safe to show: `env NAME` or `file PATH`.
    """

    __slots__ = ("_reveal", "is_loaded", "source")

    def __init__(self, source: str, value: str | None, missing: str = "") -> None:
        def reveal() -> str:
            if value is None:
                raise SecretMissing(missing or f"the secret from {source} is missing")
            return value

        self.source = source
        self.is_loaded = value is not None
        self._reveal = reveal

    def reveal(self) -> str:
        """The value. Raises SecretMissing if the settings were loaded without it."""
        return self._reveal()

    def reference(self) -> dict[str, str]:
        """How the configuration names it: {"env": "NAME"}."""
        kind, _, name = self.source.partition(" ")
        return {kind: name}

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret) or self.source != other.source:
            return False
        try:
            return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())
        except SecretMissing:
            return False

    def __hash__(self) -> int:
        return hash(self.source)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a secret is not pickled ({self.source})")


@dataclass(frozen=True, slots=True)
class Resolver:
    """How the values of one file are resolved. With `need_secrets` False a missing secret is no error yet."""

    base: Path
    """Relative paths start here: the folder of the file that names them."""
    environ: Mapping[str, str] = field(repr=False)
    need_secrets: bool = True

    def path(self, text: str) -> Path:
        """`text` as an absolute path; `~` is the home folder. Raises Fault for an empty one."""
        if not text or "\0" in text:
            raise Fault("must name a file or folder")
        return self.base / Path(text).expanduser()

    def secret(self, value: object) -> Secret:
        """Read `{ env = … }` or `{ file = … }`. Raises Fault for a literal, or for a secret that is not there."""
        if not isinstance(value, Mapping):
            raise Fault("a secret is never written into the configuration", f"write {_FORM}")
        if len(value) != 1 or next(iter(value)) not in ("env", "file"):
            raise Fault("a secret is taken from the environment or a file", f"write {_FORM}")
        kind, name = next(iter(value.items()))
        if not isinstance(name, str) or not name:
            raise Fault(f"{kind} must be text", f"write {_FORM}")
        text, missing = self._from_env(name) if kind == "env" else self._from_file(name)
        if text is None and self.need_secrets:
            raise Fault(missing, "set it before the start" if kind == "env" else "check the path and who may read it")
        return Secret(f"{kind} {name}", text, missing)

    def _from_env(self, name: str) -> tuple[str | None, str]:
        value = self.environ.get(name, "").strip()
        return value or None, f"the environment variable {name} is not set"

    def _from_file(self, name: str) -> tuple[str | None, str]:
        path = self.path(name)
        try:
            if path.stat().st_size > MAX_BYTES:
                return None, f"the secret file {path} is larger than {MAX_BYTES} bytes"
            value = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            return None, f"cannot read the secret file {path}: {error.strerror}"
        except UnicodeDecodeError:
            return None, f"the secret file {path} is not UTF-8 text"
        return value or None, f"the secret file {path} is empty"


def resolver_of(info: ValidationInfo) -> Resolver:
    """The resolver handed to validation as its context."""
    if not isinstance(info.context, Resolver):
        raise TypeError("settings are validated with a Resolver as context")
    return info.context


def _read_secret(value: Any, info: ValidationInfo) -> Secret:
    return resolver_of(info).secret(value)


SecretField = Annotated[Secret, PlainValidator(_read_secret), PlainSerializer(lambda s: s.reference())]
"""A secret in a model: validated from its reference, dumped as its reference."""
