"""Telling whoever watches a terminal or a log file."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.text import Text

from walletwatch.alerts.ports import AlertView, PriorDelivery, SendResult, Sent, SinkRefused, TryLater
from walletwatch.alerts.rendering import make_text
from walletwatch.domain.findings import Severity

_STYLES = {
    Severity.CRITICAL: "bold white on red",
    Severity.HIGH: "bold red",
    Severity.MEDIUM: "bold yellow",
    Severity.LOW: "bold blue",
    Severity.INFO: "bold",
}


class ConsoleNotifier:
    """A text stream. Alert texts are never read as rich's markup."""

    can_edit = False
    min_interval_secs = 0.0

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self._stream = stream
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def check(self) -> SendResult:
        """Whether the stream is open."""
        return SinkRefused("the stream is closed") if self._stream.closed else Sent()

    def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
        """Write the page; what was told before is said to be an update."""
        title, _, rest = make_text(view).partition("\n")
        mark = "UPDATE " if told.version else ""
        if self._stream.closed:
            return SinkRefused("the stream is closed")
        try:
            self._console.print(Text(f"{mark}{title}", style=_STYLES[view.alert.severity]), end="\n")
            self._console.print(Text(rest), end="\n")
            self._stream.flush()
        except OSError as error:  # a full disk, a pipe nobody reads any more
            return TryLater(f"cannot write: {type(error).__name__}")
        return Sent()
