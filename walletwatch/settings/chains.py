"""`[[chain]]`, `[[asset]]` and `[[price]]`: the chains to follow, their nodes, tokens, and prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, ValidationInfo, model_validator

from chains.registry import family_of, find_family
from chains.source import Endpoint
from walletwatch.settings.fields import AssetRef, ChainRef, Duration, Items, LocalPath, Name, Table, UsdE8
from walletwatch.settings.problems import Fault
from walletwatch.settings.secrets import HttpUrl, Resolver, Url, WebSocketUrl, plain_http, read_url, resolver_of

MAX_CONFIRMATIONS = 10_000
FINALITY_TAGS = ("finalized", "safe", "latest")
RECORDED = "recorded:"
"""An endpoint `recorded:PATH` answers from a capture, without network."""


def _read_endpoint_url(value: Any, info: ValidationInfo) -> Url:
    resolver: Resolver = resolver_of(info)
    if isinstance(value, str) and value.startswith(RECORDED):
        return Url(f"{RECORDED}{resolver.path(value.removeprefix(RECORDED))}")
    return read_url(value, resolver)


def _check_notifier(text: str) -> str:
    if not text.startswith(("tcp://", "ipc://")) or "@" in text:
        raise Fault("must be a ZMQ address", 'write "tcp://127.0.0.1:28332" as in bitcoind\'s zmqpubhashblock')
    return text


def _read_start(value: object) -> str | int:
    if value == "tip":
        return "tip"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise Fault('must be "tip" or a block height', 'write start = "tip" or start = 840000')


def _read_finality(value: object) -> str | int:
    if isinstance(value, str) and value in FINALITY_TAGS:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CONFIRMATIONS:
        return value
    raise Fault(f"must be one of {', '.join(FINALITY_TAGS)} or a number of confirmations", 'finality = "finalized"')


class EndpointSettings(Table):
    """One node: a URL, or a table with the URL and its options."""

    url: Annotated[Url, PlainValidator(_read_endpoint_url), PlainSerializer(lambda u: u.reference())]
    cookie: LocalPath | None = None
    """bitcoind's `.cookie` file, read again whenever the node refuses the cookie."""
    zmq: Annotated[str, AfterValidator(_check_notifier)] = ""
    """Block notifier of bitcoind: the address of `zmqpubhashblock` and `zmqpubhashtx`."""
    rest: bool = False
    """Ask bitcoind's REST interface (`-rest`) for blocks: half the bytes. Everything else comes by RPC."""
    ws: WebSocketUrl | None = None
    """Block notifier of an EVM node: `eth_subscribe` for new heads. Only a hint to poll; its data is not used."""
    insecure: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        if isinstance(value, str) or (isinstance(value, Mapping) and value and set(value) <= {"env", "file"}):
            return {"url": value}
        if not isinstance(value, Mapping):
            raise Fault("must be a URL or a table", 'write "http://…", { env = "NAME" } or { url = "…", cookie = "…" }')
        return value

    @property
    def public_name(self) -> str:
        """Host and port, the capture's file name, or where the secret comes from."""
        recorded = self.url.secret is None and self.url.reveal().startswith(RECORDED)
        return Path(self.url.reveal()).name if recorded else self.url.shown.rpartition("//")[2]

    def endpoint(self, taken: int = 0) -> Endpoint:
        """The endpoint. `taken` endpoints before it have the same public name: if any, a number is appended.

        Raises SecretMissing.
        """
        name = f"{self.public_name}#{taken + 1}" if taken else self.public_name
        notifier_url = self.zmq or (self.ws.reveal() if self.ws else "")
        return Endpoint(name, self.url.reveal(), self.cookie, notifier_url, self.rest)


class ChainSettings(Table):
    """One chain. A block is final after `confirmations`, or when the network's tag `finality` covers it."""

    name: Name
    id: ChainRef
    endpoints: Items[EndpointSettings]
    confirmations: Annotated[int, Field(ge=1, le=MAX_CONFIRMATIONS)] | None = None
    finality: Annotated[str | int | None, PlainValidator(_read_finality)] = None
    start: Annotated[str | int, PlainValidator(_read_start)] = "tip"
    poll: Duration = timedelta(seconds=2)
    max_reorg: Annotated[int, Field(ge=1, le=100_000)] = 100
    check_balances: Duration = timedelta(minutes=5)
    """How often, at most, the books are compared with the balances that the node reports (account chains)."""
    prove: bool = False
    """Check every block's transactions, receipts and logs against its header: for third-party nodes (EVM)."""
    history: HttpUrl | None = None
    """An explorer's Esplora API, asked about stolen coins in blocks that our nodes have pruned (Bitcoin)."""
    insecure: bool = False

    def faults(self) -> Iterator[Fault]:
        """Finality given twice or by a tag that the chain does not have; no node; plain http."""
        if self.confirmations is not None and self.finality is not None:
            hint = "keep one of the two"
            yield Fault(
                "confirmations and finality exclude each other", hint, key="finality", involves=("confirmations",)
            )
        family = None if self.id is None else find_family(self.id)
        if isinstance(self.finality, str) and family is not None and self.finality not in family.finality_tags:
            yield Fault(f"{family.name} has no such tag", "write confirmations = 6", key="finality", involves=("id",))
        if not self.endpoints:
            yield Fault("is empty: a chain needs at least one node", 'endpoints = ["http://…"]', key="endpoints")
        for key, given in (("prove", self.prove), ("history", self.history is not None)):
            if given and family is not None and key not in family.options.chain:
                yield Fault(f"has no meaning on {family.name} chains", f"remove {key}", key=key, involves=("id",))
        if self.history is not None and not self.insecure:
            yield from plain_http(self.history, key=("history",), involves=("insecure",))
        for n, endpoint in enumerate(self.endpoints or ()):
            yield from self._endpoint_faults(n, endpoint)

    def _endpoint_faults(self, n: int, endpoint: EndpointSettings) -> Iterator[Fault]:
        if not (self.insecure or endpoint.insecure):
            yield from plain_http(endpoint.url, key=("endpoints", n), involves=("insecure",))
            if endpoint.ws is not None:
                yield from plain_http(endpoint.ws, key=("endpoints", n, "ws"), involves=("insecure",))
        family = None if self.id is None else find_family(self.id)
        for key in ("zmq", "cookie", "rest", "ws"):
            if getattr(endpoint, key) and family is not None and key not in family.options.endpoint:
                message = f"has no meaning for a node of {self.name}"
                yield Fault(message, f"remove {key}", key=("endpoints", n, key), involves=("id",))

    def history_endpoint(self) -> Endpoint | None:
        """The explorer's endpoint, named after its host; None without one. Raises SecretMissing."""
        if self.history is None:
            return None
        return Endpoint(self.history.shown.rpartition("//")[2], self.history.reveal())

    @property
    def final_after(self) -> tuple[int, str | None]:
        """(confirmations, tag); by default those of the chain's family (6 on Bitcoin, `finalized` on EVM networks)."""
        if isinstance(self.finality, str):
            return 1, self.finality
        if self.finality is not None or self.confirmations is not None:
            return self.finality or self.confirmations or 1, None
        family = family_of(self.id)
        return family.confirmations, family.finality


class AssetSettings(Table):
    """A token, or the coin of a network that is not built in (`/slip44:60`)."""

    id: AssetRef
    symbol: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9.$+_-]+$")]
    decimals: Annotated[int, Field(ge=0, le=77)]


class PriceSettings(Table):
    """The value of one whole unit: fixed (`usd`), from a CSV file (`path`), or from a Chainlink feed (`feed`)."""

    asset: Annotated[str, Field(min_length=1, max_length=300)]
    """A symbol (for every configured asset that has it) or a CAIP-19 id."""
    usd: UsdE8 | None = None
    source: Literal["fixed", "file", "chainlink"] = "fixed"
    path: LocalPath | None = None
    feed: str | None = None
    chain: str | None = None
    """The chain of the feed's contract; by default the asset's own, if that has contracts."""
    max_age: Duration | None = None
    """A price older than this is not used."""

    def faults(self) -> Iterator[Fault]:
        """A source without the key it needs, or with a key of another source."""
        needed = {"fixed": "usd", "file": "path", "chainlink": "feed"}[self.source]
        for key in ("usd", "path", "feed"):
            given = getattr(self, key) is not None
            if key == needed and not given:
                message = f'a price with source = "{self.source}" needs {key}'
                yield Fault(message, f'add {key} = "…"', involves=("source", key))
            if key != needed and given:
                message = f'has no meaning with source = "{self.source}"'
                yield Fault(message, f"remove {key} or change source", key=key, involves=("source",))
