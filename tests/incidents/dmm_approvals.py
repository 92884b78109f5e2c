"""The exchange's approval log, invented: every ordinary payment asked for and approved, and the great one too.

The keys are made from words, for the demonstration alone; only their public halves are shipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from chains.bitcoin.params import MAINNET, native_asset
from incidents.dmm_days import BTC, JST, PAYEE, Days, Payment
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act

ASSET = str(native_asset(MAINNET.chain).id)
CHAIN = str(MAINNET.chain)
PEOPLE = {
    "withdrawal-desk": ("operations", ("requester",)),
    "treasury-1": ("treasury", ("requester", "approver")),
    "treasury-2": ("treasury", ("approver",)),
    "compliance-1": ("compliance", ("approver",)),
}
GREAT_PAYMENT = Payment("S-2024-0531", "btc-vault", PAYEE, 450_290_000_000, "settlement 31 May, quarter")
"""The request that the theft took the place of. Its payee is real; that it was asked for like this is invented."""
GREAT_PAYMENT_ASKED = datetime(2024, 5, 31, 12, 42, 7, tzinfo=JST)


def private_jwk(person: str) -> dict[str, str]:
    """The person's key. For everybody to know, and therefore worth nothing."""
    seed = hashlib.sha256(f"walletwatch demo key of {person}".encode()).digest()
    raw = Ed25519PrivateKey.from_private_bytes(seed)
    found: dict[str, str] = OKPKey.import_key(raw).as_dict(private=True)
    return found


def public_jwk(person: str) -> dict[str, str]:
    return {name: text for name, text in private_jwk(person).items() if name in ("kty", "crv", "x")}


def kid(person: str) -> str:
    return f"{person}-2024"


def write_acts(days: Days) -> list[tuple[datetime, bytes]]:
    """(time, signed line) of every act, by time."""
    acts: list[tuple[datetime, bytes]] = []
    for event in days.events:
        for place, payment in enumerate(event.payments):
            asked = event.at - timedelta(minutes=38, seconds=-7 * place)
            acts += _acts_on(payment, asked)
    acts += _acts_on(GREAT_PAYMENT, GREAT_PAYMENT_ASKED)
    return sorted(acts)


def _acts_on(payment: Payment, asked: datetime) -> Iterator[tuple[datetime, bytes]]:
    intent = make_intent(
        chain=CHAIN,
        asset=ASSET,
        amount=payment.amount,
        destination=payment.destination.text,
        wallet=payment.wallet,
        memo=payment.memo,
        customer=payment.customer,
        expires_at=(asked + timedelta(hours=24)).astimezone(UTC),
    )
    requester = "withdrawal-desk" if payment.wallet == "btc-hot" else "treasury-1"
    approvers = ("treasury-2",) if payment.amount < 2 * BTC else ("treasury-2", "compliance-1")
    yield _sign("request", payment, requester, asked, intent)
    for place, approver in enumerate(approvers):
        at = asked + timedelta(minutes=9 + 11 * place, seconds=len(payment.request_id))
        yield _sign("approve", payment, approver, at, intent)


def _sign(act: str, payment: Payment, actor: str, at: datetime, intent: dict[str, str]) -> tuple[datetime, bytes]:
    moment = at.astimezone(UTC)
    payload: dict[str, Any] = make_payload(act, payment.request_id, actor, moment, intent=intent)
    return moment, sign_act(payload, private_jwk(actor), kid(actor))
