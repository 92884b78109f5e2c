"""A small exchange around real nodes: people with keys, an approval log, a configuration, and a daemon to watch it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from slack_server import CHANNEL_NAME, TOKEN, SlackServer
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act
from walletwatch.audit.notes import SigningKey
from walletwatch.service.application import Application
from walletwatch.service.daemon import Daemon, Ended
from walletwatch.service.deployment import check_rule
from walletwatch.settings import Settings, load
from walletwatch.store import open_store

REGTEST = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328"
BTC = f"{REGTEST}/slip44:0"
ANVIL = "eip155:31337"
ETH = f"{ANVIL}/slip44:60"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Colleague:
    """Somebody with a key of their own."""

    id: str
    department: str
    roles: tuple[str, ...]
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": _b64(self.key.public_key().public_bytes_raw())}

    @property
    def private_jwk(self) -> dict[str, str]:
        return self.jwk | {"d": _b64(self.key.private_bytes_raw())}

    def as_toml(self) -> str:
        jwk = ", ".join(f'{name} = "{value}"' for name, value in self.jwk.items())
        roles = ", ".join(f'"{role}"' for role in self.roles)
        return (
            f'[[person]]\nid = "{self.id}"\ndepartment = "{self.department}"\nroles = [{roles}]\n'
            f'keys = [{{ kid = "{self.id}-key", jwk = {{ {jwk} }} }}]\n'
        )


@dataclass
class Exchange:
    """Everything in one folder. `chains` and `wallets` are TOML that the test gives."""

    folder: Path
    chains: str
    slack: SlackServer | None = None
    rules: str = ""
    feeds: str = '[[approval_feed]]\ntype = "jsonl"\nname = "treasury"\npath = "approvals.jsonl"\n'
    database: str = "sqlite:///watch.db"
    asker: Colleague = field(default_factory=lambda: Colleague("treasury-1", "treasury", ("requester",)))
    checkers: tuple[Colleague, ...] = field(
        default_factory=lambda: (
            Colleague("treasury-2", "treasury", ("approver",)),
            Colleague("compliance-1", "compliance", ("approver",)),
        )
    )
    _requests: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        (self.folder / "slack.token").write_text(TOKEN)
        SigningKey.generate("audit.test/log").save(self.folder / "audit.key")
        self.config.write_text(self._toml())
        store = open_store(self.settings().store.url.reveal())
        store.upgrade()
        store.close()

    @property
    def log(self) -> Path:
        return self.folder / "approvals.jsonl"

    @property
    def config(self) -> Path:
        return self.folder / "walletwatch.toml"

    def settings(self) -> Settings:
        return load(self.config, rule_check=check_rule)

    def _toml(self) -> str:
        people = "\n".join(p.as_toml() for p in (self.asker, *self.checkers))
        sink = (
            ""
            if self.slack is None
            else f'[[sink]]\ntype = "slack"\nname = "slack"\ntoken = {{ file = "slack.token" }}\n'
            f'channel = "#{CHANNEL_NAME}"\nbase_url = "{self.slack.base_url}"\n'
        )
        return f"""timezone = "Asia/Tokyo"
[store]
url = "{self.database}"
[audit]
origin = "audit.test/log"
signing_key = {{ file = "audit.key" }}
[run]
give_up_after = "20s"
[trace]
auto_open = "never"
{self.chains}
{people}
{self.feeds}
[[approval_policy]]
name = "everything"
quorum = 2
groups = [{{ role = "approver", department = "treasury", min = 1 }}, {{ department = "compliance", min = 1 }}]
{sink}
{self.rules}
"""

    # --- the approval log ---------------------------------------------------------------------------------------------

    def approve(
        self, chain: str, asset: str, amount: int, destination: str, *, signed_amount: int | None = None
    ) -> str:
        """Ask for a withdrawal and have it approved; with `signed_amount` the approvals are over another amount."""
        self._requests += 1
        request_id, now = f"W-{self._requests}", datetime.now(UTC)
        intent = make_intent(chain=chain, asset=asset, amount=amount, destination=destination)
        shown = intent | {"amount": str(signed_amount or amount)}
        lines = [self._sign(self.asker, make_payload("request", request_id, self.asker.id, now, intent=intent))]
        lines += [
            self._sign(checker, make_payload("approve", request_id, checker.id, now, intent=shown))
            for checker in self.checkers
        ]
        with self.log.open("ab") as log:
            log.write(b"".join(lines))
        return request_id

    def sign_request(self, request_id: str, chain: str, asset: str, amount: int, destination: str) -> list[bytes]:
        """The lines of a request and its approvals, for whoever brings them by another way than the log."""
        intent, now = make_intent(chain=chain, asset=asset, amount=amount, destination=destination), datetime.now(UTC)
        asked = self._sign(self.asker, make_payload("request", request_id, self.asker.id, now, intent=intent))
        return [asked] + [
            self._sign(who, make_payload("approve", request_id, who.id, now, intent=intent)) for who in self.checkers
        ]

    def _sign(self, who: Colleague, payload: dict[str, Any]) -> bytes:
        return sign_act(payload, who.private_jwk, f"{who.id}-key")


@contextmanager
def watching(exchange: Exchange) -> Iterator[Application]:
    """The daemon in a thread of its own, stopped cleanly at the end."""
    with Application.open(exchange.settings()) as app:
        daemon = Daemon(app)
        ended: list[Ended] = []
        thread = threading.Thread(target=lambda: ended.append(daemon.run()), name="daemon")
        thread.start()
        try:
            yield app
        finally:
            daemon.stop.set()
            thread.join(timeout=60)
        assert ended == [Ended.FINE]


def wait_for(what: Callable[[], Any], why: str, timeout_secs: float = 30.0) -> Any:
    """Wait on a real condition of a running system; the deadline only ends a test that would never end."""
    deadline = time.monotonic() + timeout_secs
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never happened: {why}")
