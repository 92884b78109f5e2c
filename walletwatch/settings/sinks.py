"""`[[sink]]`: who is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from walletwatch.domain.findings import Severity
from walletwatch.settings.fields import Loudness, Name, Table
from walletwatch.settings.problems import Fault
from walletwatch.settings.secrets import SecretField
from walletwatch.settings.urls import HttpUrl, Url, plain_http

SLACK_API = "https://slack.com/api/"
_KEYS = {
    "slack": (("token", "channel"), ("base_url",)),
    "webhook": (("url",), ("secret",)),
    "console": ((), ()),
}


class SinkSettings(Table):
    """One place alerts go to; those below `min_severity` are kept and shown, and not sent there."""

    type: Literal["slack", "webhook", "console"]
    name: Name | None = None
    min_severity: Loudness = Severity.INFO
    token: SecretField | None = None
    channel: str | None = None
    base_url: HttpUrl | None = None
    url: HttpUrl | None = None
    secret: SecretField | None = None
    """Signs what is sent to a webhook."""
    insecure: bool = False

    def faults(self) -> Iterator[Fault]:
        """A sink without what it needs, or with what another one needs; plain http."""
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
        """Where Slack's Web API answers."""
        return self.base_url or Url(SLACK_API)


_EXAMPLES = {
    "token": 'token = { env = "SLACK_BOT_TOKEN" }',
    "channel": 'channel = "#treasury-alerts"',
    "url": 'url = "https://…" or { env = "WEBHOOK_URL" }',
    "base_url": "",
    "secret": "",
}
