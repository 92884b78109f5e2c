"""The smaller tables of the configuration, one model each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from joserfc.errors import JoseError
from joserfc.jwk import import_key
from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, model_validator

from walletwatch.domain.cases import TaintModel
from walletwatch.domain.findings import Severity
from walletwatch.domain.people import Person, PersonKey
from walletwatch.settings.fields import AmountText, Duration, Items, LocalPath, Moment, Name, SeverityName, Table
from walletwatch.settings.problems import Fault
from walletwatch.settings.secrets import HttpUrl, SecretField, StoreUrl, Url, plain_http

ROLES = ("hot", "warm", "cold", "deposit")


class WalletSettings(Table):
    """A wallet on one chain, by addresses, a file of them, or output descriptors."""

    name: Name
    role: Literal["hot", "warm", "cold", "deposit"]
    chain: str
    """A configured chain's name or CAIP-2 id."""
    addresses: Items[str] = ()
    addresses_file: LocalPath | None = None
    """One address a line, `#` begins a comment; read again when it changes."""
    descriptors: Items[str] = ()
    """BIP 380, a multipath step `<0;1>` included; only public keys."""
    gap_limit: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """How many addresses beyond the last used one of a ranged descriptor are watched."""
    kind: Literal["", "safe"] = ""

    def faults(self) -> Iterator[Fault]:
        """A wallet without addresses."""
        if not self.addresses and self.addresses_file is None and not self.descriptors:
            sources = ("addresses", "addresses_file", "descriptors")
            hint = 'addresses = ["…"], addresses_file = "…" or descriptors = ["…"]'
            yield Fault("the wallet has no address", hint, involves=sources)


_PRIVATE = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
_KEY_TYPES = {"OKP": ("Ed25519",), "EC": ("P-256", "secp256k1")}
_MAX_JWK_CHARS = 4096


def _read_jwk(value: Any) -> dict[str, str]:
    """A public key (RFC 7517) of a type that the approval log supports. The key itself is never quoted."""
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise Fault("must be a table of strings", 'write { kty = "OKP", crv = "Ed25519", x = "…" }')
    if len(json.dumps(dict(value))) > _MAX_JWK_CHARS:
        raise Fault(f"the key is longer than {_MAX_JWK_CHARS} characters")
    if _PRIVATE & set(value):
        raise Fault(
            "this is a private key: anyone who reads this file could sign",
            "make a new pair, and put only the public key here",
        )
    curves = _KEY_TYPES.get(value.get("kty", ""), ())
    if value.get("crv") not in curves:
        raise Fault("unknown type of key", "known: OKP with Ed25519, EC with P-256 or secp256k1")
    try:
        import_key(dict(value)).public_key  # noqa: B018 - checks that the point is on the curve
    except (JoseError, ValueError):
        raise Fault("the values are not a public key of this type", "copy the JWK again") from None
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
            raise Fault("valid_until must be after valid_from")
        return self


class PersonSettings(Table):
    """A person who may request or approve withdrawals."""

    id: Name
    department: Name
    roles: Items[Name]
    keys: Items[KeySettings] = ()

    def person(self) -> Person:
        """The person as the domain's type."""
        keys = tuple(PersonKey(k.kid, k.jwk, k.valid_from, k.valid_until) for k in self.keys)
        return Person(self.id, self.department, self.roles, keys)


SELECTORS = ("wallets", "roles", "chains", "assets")


class RuleSettings(Table):
    """The keys that every rule has. All other keys are parameters of its type."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1, max_length=64)]
    id: Name | None = None
    severity: SeverityName | None = None
    mode: Literal["enforce", "shadow"] = "enforce"
    wallets: Items[str] = ()
    roles: Items[str] = ()
    chains: Items[str] = ()
    assets: Items[str] = ()

    @property
    def rule_id(self) -> str:
        """The id; by default the type."""
        return self.id or self.type

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of its type, not validated here."""
        return dict(self.model_extra or {})

    def table(self) -> dict[str, Any]:
        """The table as plain TOML values, for the rule catalogue."""
        table: dict[str, Any] = {"type": self.type, "id": self.rule_id, "mode": self.mode, **self.params}
        if self.severity is not None:
            table["severity"] = str(self.severity)
        selectors = {key: list(getattr(self, key)) for key in SELECTORS}
        return table | {key: names for key, names in selectors.items() if names}


SLACK_API = "https://slack.com/api/"
_KEYS = {
    "slack": (("token", "channel"), ("base_url",)),
    "webhook": (("url",), ("secret",)),
    "console": ((), ()),
}


class SinkSettings(Table):
    """A destination of alerts. Alerts below `min_severity` are kept and shown, but not sent to it."""

    type: Literal["slack", "webhook", "console"]
    name: Name | None = None
    min_severity: SeverityName = Severity.INFO
    token: SecretField | None = None
    channel: str | None = None
    base_url: HttpUrl | None = None
    url: HttpUrl | None = None
    secret: SecretField | None = None
    """The key that signs the requests to a webhook."""
    insecure: bool = False

    def faults(self) -> Iterator[Fault]:
        """A sink without a key it needs, or with a key of another type; plain http."""
        if self.type is None:
            return
        needed, optional = _KEYS[self.type]
        for key, example in _EXAMPLES.items():
            given = getattr(self, key) is not None
            if key in needed and not given:
                yield Fault(f"a {self.type} sink needs {key}", example, involves=(key,))
            if given and key not in needed + optional:
                yield Fault(f"has no meaning for a {self.type} sink", f"remove {key}", key=key)
        for key, url in (("base_url", self.base_url), ("url", self.url)):
            if url is not None and not self.insecure:
                yield from plain_http(url, (key,), ("insecure",))

    def slack_url(self) -> Url:
        """The base URL of Slack's Web API."""
        return self.base_url or Url(SLACK_API)


_EXAMPLES = {
    "token": 'token = { env = "SLACK_BOT_TOKEN" }',
    "channel": 'channel = "#treasury-alerts"',
    "url": 'url = "https://…" or { env = "WEBHOOK_URL" }',
    "base_url": "",
    "secret": "",
}


def _check_origin(text: str) -> str:
    if not re.fullmatch(r"[^\s+]{1,200}", text) or not text.isprintable():
        raise Fault("must be a name without spaces and +", 'write "audit.exchange.example/log"')
    return text


class StoreSettings(Table):
    """The database."""

    url: StoreUrl


class AuditSettings(Table):
    """The audit log. `origin` is its permanent name: it is part of every checkpoint."""

    origin: Annotated[str, AfterValidator(_check_origin)]
    signing_key: SecretField
    checkpoint_every: Duration = timedelta(hours=1)


class LabelsSettings(Table):
    """The label book's sources: CSV files, TagPacks, or folders of them."""

    sources: Items[LocalPath] = ()


class TraceSettings(Table):
    """How thefts are followed. `auto_open`: findings of at least this severity open a case; with `never` people do."""

    auto_open: Literal["critical", "high", "medium", "low", "info", "never"] = "critical"
    model: Annotated[TaintModel, Field(strict=False)] = TaintModel.FIFO
    min_value: AmountText | None = None
    max_hops: Annotated[int, Field(ge=1, le=1000)] = 20


class RunSettings(Table):
    """The daemon."""

    give_up_after: Duration = timedelta(seconds=60)
    """`run --until-synced` exits with 3 when a node or sink stays unreachable for this long."""
