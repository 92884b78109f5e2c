"""Secrets from the environment or a file, and URLs, which may be secrets."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from walletwatch.settings.problems import Fault, KeyPath

MAX_BYTES = 64 * 1024
_FORM = '{ env = "NAME" } or { file = "PATH" }'


class SecretMissing(Exception):
    """A secret is needed but could not be read. The message names its source, never a value."""


class Secret:
    """A value that repr, str, copy and pickle do not reveal. Only `reveal` returns it.

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
        """The secret as the configuration refers to it: {"env": "NAME"}."""
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
        raise TypeError(f"a secret cannot be pickled ({self.source})")


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves the paths and secrets of one file. With `need_secrets` False a missing secret is not an error yet."""

    base: Path
    """The folder of the file; relative paths start here."""
    environ: Mapping[str, str] = field(repr=False)
    need_secrets: bool = True

    def path(self, text: str) -> Path:
        """`text` as an absolute path; `~` is the home folder. Raises Fault for an empty one."""
        if not text or "\0" in text:
            raise Fault("must name a file or folder")
        return self.base / Path(text).expanduser()

    def secret(self, value: object) -> Secret:
        """Read `{ env = … }` or `{ file = … }`. Raises Fault for a literal, or for a missing secret."""
        if not isinstance(value, Mapping):
            raise Fault("a secret is never written into the configuration", f"write {_FORM}")
        if len(value) != 1 or next(iter(value)) not in ("env", "file"):
            raise Fault("a secret comes from the environment or a file", f"write {_FORM}")
        kind, name = next(iter(value.items()))
        if not isinstance(name, str) or not name:
            raise Fault(f"{kind} must be text", f"write {_FORM}")
        text, missing = self._from_env(name) if kind == "env" else self._from_file(name)
        if text is None and self.need_secrets:
            raise Fault(missing, "set it before the start" if kind == "env" else "check the path and its permissions")
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
    """The resolver passed to validation as its context."""
    if not isinstance(info.context, Resolver):
        raise TypeError("settings are validated with a Resolver as context")
    return info.context


SecretField = Annotated[
    Secret,
    PlainValidator(lambda value, info: resolver_of(info).secret(value)),
    PlainSerializer(lambda s: s.reference()),
]
"""A secret in a model: read from its reference, and serialised as its reference."""


HTTP, WEBSOCKET = ("http", "https"), ("ws", "wss")
_SECRET_PARAMETERS = frozenset({"password", "passwd", "pwd", "token", "secret"})


class Url:
    """A URL. `shown` is safe to display: scheme, host and port of a literal, or the source of a secret."""

    __slots__ = ("_literal", "secret", "shown")

    def __init__(self, literal: str = "", secret: Secret | None = None) -> None:
        self._literal = literal
        self.secret = secret
        self.shown = secret.source if secret else public_part(literal)

    def reveal(self) -> str:
        """The whole URL. Raises SecretMissing if it comes from a secret that was not loaded."""
        return self.secret.reveal() if self.secret else self._literal

    def reference(self) -> object:
        """The URL as the configuration has it. For digests only: a literal's path may hold an access key."""
        return self.secret.reference() if self.secret else self._literal

    def __repr__(self) -> str:
        return f"Url({self.shown})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and (self._literal, self.secret) == (other._literal, other.secret)

    def __hash__(self) -> int:
        return hash(self.shown)


def public_part(url: str) -> str:
    """Scheme, host and port of a URL, which are safe to display; all of a SQLite URL, which is a path."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "sqlite":
        return url
    return f"{parts.scheme}://{host}" if host else f"{parts.scheme}:"


def is_loopback(host: str) -> bool:
    """Whether `host` is a name or IP address of this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, schemes: tuple[str, str], *, literal: bool) -> None:
    """Raise Fault unless `url` has one of `schemes` (plain, encrypted) and a host, and, if `literal`, no userinfo."""
    example = f'write "{schemes[1]}://node.example"'
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise Fault("is not a URL", example) from None
    if parts.scheme not in schemes or not parts.hostname or not port_ok:
        raise Fault(f"must be an {schemes[0]} or {schemes[1]} URL", example)
    if literal and "@" in parts.netloc:
        raise Fault(
            "a URL in the configuration must not contain a user or password",
            'put the whole URL into the environment: { env = "NODE_URL" }',
        )


def needs_insecure(url: str) -> bool:
    """Whether `url` is plain http (or ws) to another machine, which can be read and changed in transit."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "ws") and not is_loopback(parts.hostname or "")


def plain_http(url: Url, key: KeyPath, involves: tuple[str, ...] = ()) -> Iterator[Fault]:
    """A fault at `key` if `url` is plain http to another machine. A secret that is not loaded is not checked."""
    if (url.secret is None or url.secret.is_loaded) and needs_insecure(url.reveal()):
        message = "plain http to another machine can be read and changed in transit"
        yield Fault(message, "use https, or insecure = true", key=key, involves=involves)


def read_url(value: Any, resolver: Resolver, schemes: tuple[str, str] = HTTP) -> Url:
    """A URL of one of these schemes, literal or secret. Raises Fault."""
    if isinstance(value, Mapping):
        secret = resolver.secret(value)
        if secret.is_loaded:
            check_url(secret.reveal(), schemes, literal=False)
        return Url(secret=secret)
    if not isinstance(value, str):
        raise Fault("must be a URL in quotes", f'write "{schemes[1]}://…" or {{ env = "NAME" }}')
    check_url(value, schemes, literal=True)
    return Url(value)


def read_store_url(value: Any, resolver: Resolver) -> Url:
    """A database URL. `sqlite:///x` is made absolute. Raises Fault."""
    if isinstance(value, Mapping):
        secret = resolver.secret(value)
        if not secret.is_loaded:
            return Url(secret=secret)
        return Url(secret=Secret(secret.source, _checked_store_url(secret.reveal(), resolver)))
    if not isinstance(value, str):
        raise Fault("must be a database URL in quotes", '"sqlite:///walletwatch.db" or { env = "DATABASE_URL" }')
    literal = _checked_store_url(value, resolver)
    parts = urlsplit(literal)
    if parts.password or _SECRET_PARAMETERS & {name for name, _ in parse_qsl(parts.query)}:
        raise Fault(
            "a password is never written into a configuration", 'write { env = "DATABASE_URL" } for the whole URL'
        )
    return Url(literal)


def _checked_store_url(url: str, resolver: Resolver) -> str:
    if url.startswith("sqlite:///"):
        name = url.removeprefix("sqlite:///")
        if not name or name == ":memory:":
            raise Fault("a database in memory loses its data at the end", '"sqlite:///walletwatch.db"')
        return f"sqlite:///{resolver.path(name)}"
    try:
        if urlsplit(url).scheme == "postgresql" and urlsplit(url).path.strip("/"):
            return url
    except ValueError:
        pass  # not a URL: reported below
    raise Fault("must be a database URL", '"sqlite:///walletwatch.db" or "postgresql://host/database"')


def _http_field(value: Any, info: ValidationInfo) -> Url:
    return read_url(value, resolver_of(info))


def _websocket_field(value: Any, info: ValidationInfo) -> Url:
    return read_url(value, resolver_of(info), WEBSOCKET)


def _store_field(value: Any, info: ValidationInfo) -> Url:
    return read_store_url(value, resolver_of(info))


HttpUrl = Annotated[Url, PlainValidator(_http_field), PlainSerializer(lambda u: u.reference())]
WebSocketUrl = Annotated[Url, PlainValidator(_websocket_field), PlainSerializer(lambda u: u.reference())]
StoreUrl = Annotated[Url, PlainValidator(_store_field), PlainSerializer(lambda u: u.reference())]
