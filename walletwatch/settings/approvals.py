"""`[[approval_policy]]`: how many approvals are asked for, and whose."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from walletwatch.settings.fields import AmountText, Duration, Items, Name, Table
from walletwatch.settings.problems import Fault


class GroupSettings(Table):
    """At least `min` different people of this role, of this department, or of both."""

    role: Name | None = None
    department: Name | None = None
    min: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _check(self) -> GroupSettings:
        if self.role is None and self.department is None:
            raise Fault("a group names a role, a department, or both", '{ role = "approver", min = 1 }')
        return self


class PolicySettings(Table):
    """How many people must approve what. The first policy that fits a request applies."""

    name: Name
    quorum: Annotated[int, Field(ge=1, le=1000)]
    groups: Items[GroupSettings] = ()
    min_value: AmountText | None = None
    """Fits requests of at least this amount or value."""
    requester_may_approve: bool = False
    max_age: Duration | None = None
    """An approval older than this at broadcast has expired."""
    min_delay: Duration | None = None
    """An approval sooner than this after the request was not read."""
    chains: Items[str] = ()
    assets: Items[str] = ()
    wallets: Items[str] = ()
