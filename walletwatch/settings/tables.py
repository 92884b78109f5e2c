"""The single tables: `[store]`, `[audit]`, `[labels]`, `[trace]`, `[run]`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from walletwatch.domain.cases import TaintModel
from walletwatch.settings.fields import AmountText, Duration, Items, LocalPath, Table
from walletwatch.settings.problems import Fault
from walletwatch.settings.secrets import SecretField
from walletwatch.settings.urls import StoreUrl


def _check_origin(text: str) -> str:
    if not re.fullmatch(r"[^\s+]{1,200}", text) or not text.isprintable():
        raise Fault("must be a name without spaces and +", 'write "audit.exchange.example/log"')
    return text


class StoreSettings(Table):
    """The database."""

    url: StoreUrl


class AuditSettings(Table):
    """The audit log. `origin` is its name for ever: it stands in every checkpoint."""

    origin: Annotated[str, AfterValidator(_check_origin)]
    signing_key: SecretField
    checkpoint_every: Duration = timedelta(hours=1)


class LabelsSettings(Table):
    """The label book's sources: CSV files, TagPacks, or folders of them."""

    sources: Items[LocalPath] = ()


class TraceSettings(Table):
    """How thefts are followed. `auto_open`: findings at least this loud open a case; `never` leaves it to people."""

    auto_open: Literal["critical", "high", "medium", "low", "info", "never"] = "critical"
    model: Annotated[TaintModel, Field(strict=False)] = TaintModel.FIFO
    min_value: AmountText | None = None
    max_hops: Annotated[int, Field(ge=1, le=1000)] = 20


class RunSettings(Table):
    """The daemon."""

    give_up_after: Duration = timedelta(seconds=60)
    """`run --until-synced` ends with 3 when a node or sink stays unreachable for so long."""
