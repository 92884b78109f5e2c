"""What is said when a balance and the books part: one finding a wallet, asset and interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chains.model import Address, AssetId, BlockRef, format_units
from chains.registry import format_hash
from walletwatch.deployment import WatchedChain
from walletwatch.domain.findings import Finding, Severity, VerdictKind, finding_id
from walletwatch.rules.evidence import shown
from walletwatch.rules.registry import RuleConfig
from walletwatch.store import UnitOfWork
from walletwatch.watch.findings import day_of
from walletwatch.watch.judging import Judge
from walletwatch.watch.opening_balances import Pair

RULE = "unexplained_balance"


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What one account of a wallet holds, base units."""

    address: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`amount` base units (negative: missing) that nothing seen in the blocks above `above` up to `at` explains.

    `opening` is what the node reported at `above`; `received`, `sent` and `fees` are what was seen; `accounts` are
    (account, before, after) of those that changed. `second_word`: what another endpoint says the wallet gained between
    the two blocks, None if no other endpoint can answer.
    """

    wallet: str
    asset: AssetId
    above: int
    at: BlockRef
    opening: int
    received: int
    sent: int
    fees: int
    amount: int
    accounts: tuple[tuple[Address, int, int], ...]
    second_word: int | None = None

    @property
    def gained(self) -> int:
        """What the wallet gained between the two blocks by the word the difference was found by, base units."""
        return self.received - self.sent - self.fees + self.amount

    @property
    def is_contradicted(self) -> bool:
        """Whether another endpoint says otherwise: one of the two is wrong."""
        return self.second_word is not None and self.second_word != self.gained

    @property
    def is_of_one_block(self) -> bool:
        """Whether the block in which it arose is known."""
        return self.at.height == self.above + 1


class Reporter:
    """Makes findings of differences, by the configured rules."""

    def __init__(self, watched: WatchedChain, judge: Judge) -> None:
        self._watched = watched
        self._judge = judge

    def is_on(self, wallet: str, asset: AssetId) -> bool:
        """Whether any rule checks this book."""
        return next(self._rules(wallet, asset), None) is not None

    def _rules(self, wallet: str, asset: AssetId) -> Iterator[RuleConfig]:
        deployment = self._judge.deployment
        for config in deployment.rules:
            chosen = config.selectors
            if (
                config.type == RULE
                and (not chosen.wallets or wallet in chosen.wallets)
                and (not chosen.chains or self._watched.chain in chosen.chains)
                and (not chosen.assets or asset in chosen.assets)
                and (not chosen.roles or deployment.roles.get(wallet) in chosen.roles)
            ):
                yield config

    def report(self, unit: UnitOfWork, difference: Difference) -> list[Finding]:
        """Keep it and raise its alert; the new findings. More than the books say is `low`: nothing was lost."""
        period = f"{difference.at.height}/{difference.at.hash.hex()}"
        gaps = unit.chain_state.gaps_between(self._watched.chain, difference.above + 1, difference.at.height)
        words = list(dict.fromkeys(word for _height, said in gaps for word in said))
        summary, evidence = self._summary(difference, words), self._evidence(difference, words)
        louder = difference.amount < 0
        return [
            finding
            for config in self._rules(difference.wallet, difference.asset)
            for finding in self._keep(
                unit,
                config,
                (difference.wallet, difference.asset),
                period,
                summary,
                evidence,
                config.severity if louder else Severity.LOW,
                VerdictKind.UNDETERMINED if difference.is_contradicted else VerdictKind.VIOLATION,
            )
        ]

    def report_unread(self, unit: UnitOfWork, pair: Pair, why: str) -> list[Finding]:
        """A book that cannot be held to the chain must not read as balanced; reported once a day."""
        wallet, asset = pair
        reason = f"what {wallet} holds of {self._symbol(asset)} cannot be read: {why}"
        evidence = {"reason": reason, "wallet": wallet, "asset": str(asset)}
        period = f"unread/{day_of(unit.now)}"
        return [
            finding
            for config in self._rules(wallet, asset)
            for finding in self._keep(
                unit, config, pair, period, reason, evidence, config.severity, VerdictKind.UNDETERMINED
            )
        ]

    def _keep(
        self,
        unit: UnitOfWork,
        config: RuleConfig,
        pair: Pair,
        period: str,
        summary: str,
        evidence: dict[str, Any],
        severity: Severity,
        verdict: VerdictKind,
    ) -> Iterator[Finding]:
        wallet, asset = pair
        chain = str(self._watched.chain)
        finding = Finding(
            id=finding_id(chain, None, wallet, str(asset), config.id, period),
            rule=RULE,
            rule_id=config.id,
            verdict=verdict,
            severity=severity,
            mode=config.mode,
            chain=chain,
            tx=None,
            wallet=wallet,
            asset=str(asset),
            outflow=None,
            summary=summary,
            evidence=evidence,
            rules_digest=self._judge.deployment.rules_digest,
            found_at=unit.now,
        )
        if self._judge.findings.keep(unit, (finding,), f"{chain}/{RULE}/{wallet}/{asset}/{period}"):
            yield finding

    # --- words --------------------------------------------------------------------------------------------------------

    def _summary(self, difference: Difference, gaps: list[str]) -> str:
        known = self._judge.deployment.asset(difference.asset)
        amount = f"{format_units(abs(difference.amount), known.decimals)} {known.symbol}"
        way = "left" if difference.amount < 0 else "reached"
        when = f"in block {difference.at.height}"
        if not difference.is_of_one_block:
            when = f"between blocks {difference.above} and {difference.at.height}"
        why = f" (the node shows no {gaps[0].partition(':')[0]})" if gaps else ""
        but = "; another endpoint tells of another balance" if difference.is_contradicted else ""
        return f"{amount} {way} {difference.wallet} {when}, and no transaction that was seen explains it{why}{but}"

    def _symbol(self, asset: AssetId) -> str:
        return self._judge.deployment.asset(asset).symbol

    def _evidence(self, difference: Difference, gaps: list[str]) -> dict[str, Any]:
        known = self._judge.deployment.asset(difference.asset)
        expected = difference.opening + difference.received - difference.sent - difference.fees
        return {
            "asset": str(difference.asset),
            "symbol": known.symbol,
            "decimals": known.decimals,
            "above_height": difference.above,
            "height": difference.at.height,
            "block_hash": format_hash(self._watched.chain, difference.at.hash),
            "narrowed_to": "block" if difference.is_of_one_block else "interval",
            "opening": str(difference.opening),
            "in": str(difference.received),
            "out": str(difference.sent),
            "fees": str(difference.fees),
            "expected": str(expected),
            "balance": str(expected + difference.amount),
            "difference": str(difference.amount),
            "accounts": shown(
                {"address": address.text, "before": str(before), "after": str(after)}
                for address, before, after in difference.accounts
            ),
            "not_shown_by_the_node": shown(gaps),
            "second_endpoint": _second_word(difference),
        }


def _second_word(difference: Difference) -> str:
    if difference.second_word is None:
        return "none that can tell"
    return f"says {difference.second_word}, not {difference.gained}" if difference.is_contradicted else "agrees"
