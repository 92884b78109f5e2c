"""Approved requests that nobody pays: checked on a schedule, reported once each, resolved when they are paid."""

from __future__ import annotations

from datetime import datetime

from walletwatch.domain.findings import Finding
from walletwatch.domain.withdrawals import ActKind, Authorisation, Request
from walletwatch.rules.facts import AwaitedRequest
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.store import Store, UnitOfWork
from walletwatch.watch.judging import Judge, awaited_key

RULE = "request_unpaid"


class UnpaidCheck:
    """Run while holding the approval service (`ApprovalService.held`). Its memory is rebuilt from the store."""

    def __init__(self, store: Store, judge: Judge) -> None:
        self._store = store
        self._judge = judge
        self._waiting: dict[str, None] = {}
        self._approved: dict[str, tuple[int, Authorisation | None]] = {}
        self._last_row = 0

    def check(self) -> int:
        """Judge every request that is open; how many findings were made or resolved."""
        if not any(config.type == RULE for config in self._judge.deployment.rules):
            return 0
        try:
            with self._store.transaction() as unit:
                return self._check(unit)
        except BaseException:
            self._waiting, self._approved, self._last_row = {}, {}, 0
            self._judge.approvals.forget()
            raise

    def _check(self, unit: UnitOfWork) -> int:
        self._judge.approvals.refresh(unit)
        self._take_in(unit)
        reported = {f.evidence["request_id"]: f for f in unit.findings.open_of(RULE)}
        paid = unit.approvals.standing_payments([*self._waiting, *reported])
        times = self._latest_times(unit)
        count = sum(self._settle(unit, finding, paid.get(request_id)) for request_id, finding in reported.items())
        for request_id in list(self._waiting):
            request = self._judge.approvals.book.get(request_id)
            if request is None or request_id in paid or request_id in reported:
                continue
            count += self._judge_one(unit, request, times)
        return count

    def _take_in(self, unit: UnitOfWork) -> None:
        """Requests made since the last check; those paid for good need no further one."""
        for row, request_id in unit.approvals.requests_after(self._last_row):
            self._waiting[request_id] = None
            self._last_row = row
        for request_id in unit.approvals.paid_for_good():
            self._waiting.pop(request_id, None)
            self._approved.pop(request_id, None)

    def _latest_times(self, unit: UnitOfWork) -> dict[str, datetime]:
        """The time of each watched chain's latest block, at most the present."""
        found = {str(chain): unit.chain_state.latest_time(chain) for chain in self._judge.deployment.chains}
        return {chain: min(at, unit.now) for chain, at in found.items() if at is not None}

    def _judge_one(self, unit: UnitOfWork, request: Request, times: dict[str, datetime]) -> int:
        chain = request.intent.chain
        watched = chain in self._judge.deployment.chains
        if watched and str(chain) not in times:
            return 0
        at = times[str(chain)] if watched else unit.now
        now = self._judge.approvals.standing(request, unit.now)
        if now.withdrawn is not None:
            del self._waiting[request.id]
            return 0
        answer = self._approval(request) or now
        approved_at = max((act.at for act in answer.counted), default=None) if answer.met else None
        event = AwaitedRequest(chain, request.intent.wallet, at, answer, approved_at, watched)
        return len(self._judge.judge_event(unit, event, b"", None, PayeeIndex()))

    def _approval(self, request: Request) -> Authorisation | None:
        """The standing at the approval that first met the policy: later the approvals may be too old to pay on."""
        known = self._approved.get(request.id)
        if known is None or known[0] != len(request.acts):
            times = sorted({act.at for act in request.acts if act.kind is ActKind.APPROVE})
            answers = (self._judge.approvals.standing(request, at) for at in times)
            known = len(request.acts), next((answer for answer in answers if answer.met), None)
            self._approved[request.id] = known
        return known[1]

    def _settle(self, unit: UnitOfWork, finding: Finding, paid_at: datetime | None) -> int:
        """A payment that came late, or a withdrawal, explains the finding."""
        request_id = str(finding.evidence["request_id"])
        request = self._judge.approvals.book.get(request_id)
        if request is None:
            return 0
        answer = self._judge.approvals.standing(request, unit.now)
        if paid_at is None and answer.withdrawn is None:
            return 0
        ended = paid_at or (answer.withdrawn.at if answer.withdrawn is not None else unit.now)
        late_secs = max(0, int((ended - finding.found_at).total_seconds()))
        if not self._judge.findings.resolve(unit, finding, late_secs):
            return 0
        self._judge.alert_writer.close_explained(unit, awaited_key(request_id), [request_id], late_secs)
        return 1
