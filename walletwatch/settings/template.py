"""The configuration that `walletwatch init` writes."""

from __future__ import annotations

from importlib.resources import files

DEFAULT_ORIGIN = "audit.exchange.example/log"


def render_template(origin: str = DEFAULT_ORIGIN) -> str:
    """A commented configuration that loads as it stands and watches nothing yet. `origin` names the audit log."""
    text = files("walletwatch.settings").joinpath("template.toml").read_text(encoding="utf-8")
    return text.replace("@ORIGIN@", origin)
