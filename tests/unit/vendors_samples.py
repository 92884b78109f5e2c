"""Records in the shapes that vendors document, and a feed that reads them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chains.model import Asset, AssetId, ChainId
from chains.registry import native_asset, parse_address
from unit.approvals_samples import NOW
from walletwatch.approvals.act_sources import Taken
from walletwatch.approvals.acts import Malformed
from walletwatch.approvals.signatures import KeyRing
from walletwatch.approvals.vendors.exports import ExportFeed
from walletwatch.approvals.vendors.records import RequestTerms
from walletwatch.domain.people import People, Person
from walletwatch.domain.withdrawals import Act

ETHEREUM = ChainId("eip155", "1")
ETH = native_asset(ETHEREUM)
BTC = native_asset(ChainId.parse("bip122:000000000019d6689c085ae165831e93"))
USDT = Asset(AssetId.parse("eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"), "USDT", 6)
PAYEE = "0x52908400098527886E0F7030069857D2E4169EE7"
BTC_PAYEE = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
PEOPLE = People(
    (
        Person("treasury-1", "treasury", ("requester",), ()),
        Person("treasury-2", "treasury", ("approver",), ()),
        Person("compliance-1", "compliance", ("approver",), ()),
    )
)
ASKER, FIRST, SECOND = (
    "60895bff-457a-49da-977e-7bbe7698a73b",
    "46791871-dc7e-5ece-b3b4-a232d1d6290c",
    "9e165261-cffc-4a7f-9f7e-3ed515cfbf16",
)
TERMS = RequestTerms(
    people={ASKER: "treasury-1", FIRST: "treasury-2", SECOND: "compliance-1"},
    assets={"ETH": ETH, "USDT_ERC20": USDT, "BTC": BTC, "btc": BTC, "eth": ETH},
    wallets={"1190": "eth-hot", "59cd72485007a239fb00282ed480da1f": "btc-hot"},
    chain=ETHEREUM,
    tokens=(ETH, USDT),
)
CREATED_MS = 1_795_309_200_000
"""2026-11-22T01:00:00Z."""


class Export:
    """An export file that is replaced by newer ones, and the feed that reads it."""

    def __init__(self, folder: Path, vendor: str, terms: RequestTerms = TERMS) -> None:
        self.path = folder / "export.json"
        self.feed = ExportFeed("export", self.path, vendor, terms, KeyRing(PEOPLE), parse_address)
        self.position: dict[str, Any] = {}

    def write(self, *records: Any) -> None:
        self.write_text(json.dumps(list(records)))

    def write_text(self, text: str) -> None:
        newer = self.path.with_suffix(".new")
        newer.write_text(text, encoding="utf-8")
        newer.replace(self.path)

    def look(self, now: datetime = NOW) -> Taken | None:
        taken = self.feed.read_new(json.loads(json.dumps(self.position)), now)
        if taken is not None:
            self.position = dict(taken.position)
        return taken

    def acts(self, *records: Any, minutes: float = 0) -> tuple[Act, ...]:
        """What a newer export with these records tells; every record must be readable."""
        taken = self._read(records, minutes)
        assert taken.malformed == ()
        return taken.acts

    def errors(self, *records: Any) -> list[str]:
        return [bad.error for bad in self.malformed(*records)]

    def malformed(self, *records: Any) -> tuple[Malformed, ...]:
        taken = self._read(records, 0)
        assert taken.acts == ()
        return taken.malformed

    def _read(self, records: tuple[Any, ...], minutes: float) -> Taken:
        self.write(*records)
        taken = self.look(NOW + timedelta(minutes=minutes))
        assert taken is not None
        return taken


def told(acts: tuple[Act, ...]) -> list[tuple[str, str, str]]:
    """(what, whose, when) of acts."""
    return [(a.kind.value, a.actor, f"{a.at:%H:%M:%S}") for a in acts]


def fireblocks(**changes: Any) -> dict[str, Any]:
    """A transaction of `GET /v1/transactions`."""
    return {
        "id": "569feac0-c2c3-42bb-bb91-378e0fe5cb48",
        "externalTxId": None,
        "status": "PENDING_AUTHORIZATION",
        "subStatus": "",
        "operation": "TRANSFER",
        "assetId": "ETH",
        "source": {"type": "VAULT_ACCOUNT", "id": "1190", "name": "hot", "subType": ""},
        "destination": {"type": "ONE_TIME_ADDRESS", "id": "", "name": "N/A", "subType": ""},
        "destinations": [],
        "destinationAddress": PAYEE,
        "amount": 1.5,
        "requestedAmount": 1.5,
        "netAmount": -1,
        "amountInfo": {"amount": "1.5", "requestedAmount": "1.5", "amountUSD": "5250.00"},
        "createdAt": CREATED_MS,
        "lastUpdated": CREATED_MS + 60_000,
        "createdBy": ASKER,
        "signedBy": [],
        "rejectedBy": "",
        "txHash": "",
        "customerRefId": None,
        "note": "W-1042",
        "authorizationInfo": {
            "allowOperatorAsAuthorizer": False,
            "logic": "AND",
            "groups": [
                {"th": 1, "users": {FIRST: "PENDING_AUTHORIZATION"}},
                {"th": 1, "users": {SECOND: "PENDING_AUTHORIZATION", ASKER: "NA"}},
            ],
        },
        **changes,
    }


def authorised(*decisions: tuple[str, str]) -> dict[str, Any]:
    """`authorizationInfo` with one group a user."""
    groups = [{"th": 1, "users": {user: status}} for user, status in decisions]
    return {"allowOperatorAsAuthorizer": False, "logic": "AND", "groups": groups}


def bitgo(**changes: Any) -> dict[str, Any]:
    """A pending approval of `GET /api/v2/pendingapprovals`."""
    asked = {
        "coinSpecific": {"btc": {"txHex": "00"}},
        "buildParams": {"numBlocks": 2},
        "requestedAmount": "150000000",
        "recipients": [{"address": BTC_PAYEE, "amount": "150000000"}],
        "sourceWallet": "59cd72485007a239fb00282ed480da1f",
    }
    return {
        "id": "655686880765186f0b3e9e88b3e8a2f3",
        "coin": "btc",
        "wallet": "59cd72485007a239fb00282ed480da1f",
        "enterprise": "6111785f59548d0007a4d13c",
        "creator": ASKER,
        "createDate": "2026-11-22T01:00:00.000Z",
        "info": {"type": "transactionRequest", "transactionRequest": asked},
        "state": "pending",
        "scope": "wallet",
        "userIds": [ASKER, FIRST, SECOND],
        "approvalsRequired": 2,
        "resolvers": [],
        **changes,
    }


def resolver(user: str, at: str, kind: str = "pending") -> dict[str, Any]:
    """One entry of `resolvers`."""
    return {"user": user, "date": f"2026-11-22T{at}.000Z", "resolutionType": kind, "signatures": []}
