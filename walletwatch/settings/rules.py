"""`[[rule]]`: kept as written; the rule catalogue reads its own parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from walletwatch.settings.fields import Items, Loudness, Name, Table

SELECTORS = ("wallets", "roles", "chains", "assets")


class RuleSettings(Table):
    """The keys every rule has. What else stands in the table belongs to its type."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1, max_length=64)]
    id: Name | None = None
    severity: Loudness | None = None
    mode: Literal["enforce", "shadow"] = "enforce"
    wallets: Items[str] = ()
    roles: Items[str] = ()
    chains: Items[str] = ()
    assets: Items[str] = ()

    @property
    def rule_id(self) -> str:
        """Its id; by default its type."""
        return self.id or self.type

    @property
    def params(self) -> dict[str, Any]:
        """What belongs to the type: not checked here."""
        return dict(self.model_extra or {})

    def table(self) -> dict[str, Any]:
        """The table as the rule catalogue reads it: plain TOML values."""
        table: dict[str, Any] = {"type": self.type, "id": self.rule_id, "mode": self.mode, **self.params}
        if self.severity is not None:
            table["severity"] = str(self.severity)
        selectors = {key: list(getattr(self, key)) for key in SELECTORS}
        return table | {key: names for key, names in selectors.items() if names}
