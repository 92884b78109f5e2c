"""Every rule type: an example that fires, the nearest that does not, and one that cannot be judged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import rfc8785

from unit.rules_examples import NAMES, Example, all_examples
from unit.rules_facts import MemoryFacts
from walletwatch.domain.findings import VerdictKind
from walletwatch.rules.engine import examine
from walletwatch.rules.registry import catalogue, configure

EXAMPLES = all_examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.rule}-{e.outcome}")
def test_an_example_has_its_outcome(example: Example) -> None:
    broken: list[str] = []
    config = configure({"type": example.rule, **example.table}, amounts=NAMES)
    facts = MemoryFacts(example.world, example.subject)
    judgement = examine(example.subject, facts, [config], on_error=lambda c, e: broken.append(f"{c.id}: {e!r}"))
    verdict = judgement.answers[0].verdict
    assert broken == []
    assert verdict is not None
    assert verdict.kind is example.outcome, verdict
    findings = judgement.findings("sha256:0", datetime(2026, 11, 22, tzinfo=UTC))
    assert len(findings) == (example.outcome is not VerdictKind.PASS)
    for finding in findings:
        assert finding.summary
        assert finding.evidence
        rfc8785.dumps(dict(finding.evidence))


def test_every_judged_rule_has_all_three_examples() -> None:
    have = {(example.rule, example.outcome) for example in EXAMPLES}
    judged = [t.name for t in catalogue() if t.judge is not None]
    missing = [(name, str(kind)) for name in judged for kind in VerdictKind if (name, kind) not in have]
    assert missing == []
