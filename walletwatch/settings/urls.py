"""Where something answers: a literal address without secrets, or a secret that holds the whole of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from walletwatch.settings.problems import Fault, KeyPath
from walletwatch.settings.secrets import Resolver, Secret, resolver_of

HTTP, WEBSOCKET = ("http", "https"), ("ws", "wss")
_SECRET_PARAMETERS = frozenset({"password", "passwd", "pwd", "token", "secret"})


class Url:
    """A URL. `shown` is safe everywhere: scheme, host and port of a literal, or the source of a secret one."""

    __slots__ = ("_literal", "secret", "shown")

    def __init__(self, literal: str = "", secret: Secret | None = None) -> None:
        self._literal = literal
        self.secret = secret
        self.shown = secret.source if secret else public_part(literal)

    def reveal(self) -> str:
        """The whole URL. Raises SecretMissing if it comes from a secret that was not loaded."""
        return self.secret.reveal() if self.secret else self._literal

    def reference(self) -> object:
        """How the configuration names it. A literal's path may hold an access key, so it goes into digests only."""
        return self.secret.reference() if self.secret else self._literal

    def __repr__(self) -> str:
        return f"Url({self.shown})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and (self._literal, self.secret) == (other._literal, other.secret)

    def __hash__(self) -> int:
        return hash(self.shown)


def public_part(url: str) -> str:
    """Scheme, host and port of a URL: what may be shown of it. A SQLite URL is a path and is shown whole."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "sqlite":
        return url
    return f"{parts.scheme}://{host}" if host else f"{parts.scheme}:"


def is_loopback(host: str) -> bool:
    """True for a name or number of this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, schemes: tuple[str, str], *, literal: bool) -> None:
    """Raise Fault unless `url` has one of `schemes` (plain, encrypted) and a host, and no userinfo if it stands in the
    file literally.
    """
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
            "a URL in the configuration may carry no user or password",
            'put the whole URL into the environment: { env = "NODE_URL" }',
        )


def needs_insecure(url: str) -> bool:
    """True for plain http to another machine: anybody on the way reads and changes it."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "ws") and not is_loopback(parts.hostname or "")


def plain_http(url: Url, key: KeyPath, involves: tuple[str, ...] = ()) -> Iterator[Fault]:
    """A fault at `key` if `url` is plain http to another machine; none if it comes from a secret not loaded."""
    if (url.secret is None or url.secret.is_loaded) and needs_insecure(url.reveal()):
        message = "plain http to another machine can be read and changed on the way"
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
        raise Fault("a password never stands in the configuration", 'write { env = "DATABASE_URL" } for the whole URL')
    return Url(literal)


def _checked_store_url(url: str, resolver: Resolver) -> str:
    if url.startswith("sqlite:///"):
        name = url.removeprefix("sqlite:///")
        if not name or name == ":memory:":
            raise Fault("a database in memory forgets everything at the end", '"sqlite:///walletwatch.db"')
        return f"sqlite:///{resolver.path(name)}"
    try:
        if urlsplit(url).scheme == "postgresql" and urlsplit(url).path.strip("/"):
            return url
    except ValueError:
        pass  # not even a URL: said in the same words below
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
