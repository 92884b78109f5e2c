"""A range recorded from a real node and replayed without it says the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from exchanges import ANVIL, Exchange

from chains.captures import CaptureRange, read_range
from chains.model import ChainId
from nodes.anvils import Anvil
from walletwatch.service.trials import record, replay, scan

HOT, PAYEE = 0, 5


@pytest.fixture
def exchange(tmp_path: Path, fresh_anvil: Anvil) -> Exchange:
    return Exchange(
        tmp_path / "exchange",
        f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{fresh_anvil.url}"]
finality = 2
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses = ["{fresh_anvil.accounts[HOT]}"]
""",
    )


def test_a_recorded_range_is_replayed_without_the_node(exchange: Exchange, fresh_anvil: Anvil, tmp_path: Path) -> None:
    fresh_anvil.mine(3)
    sent = [fresh_anvil.send(fresh_anvil.accounts[HOT], fresh_anvil.accounts[PAYEE], value=n + 1) for n in range(2)]
    fresh_anvil.mine(3)
    covered = CaptureRange(ChainId.parse(ANVIL), 2, 7)
    capture = tmp_path / "range.jsonl.gz"
    done: list[tuple[int, int]] = []
    recorded = record(exchange.settings(), covered, capture, lambda *at: done.append(at))
    scanned = scan(exchange.settings(), covered)
    fresh_anvil.stop()
    replayed = replay(exchange.settings(), capture)
    assert read_range(capture) == covered
    assert done[-1] == (6, 6)
    assert [o.tx.hex() for o in recorded.outflows] == [tx.removeprefix("0x") for tx in sent]
    for trial in (scanned, replayed):
        assert [(o.id, o.amount, o.block) for o in trial.outflows] == [
            (o.id, o.amount, o.block) for o in recorded.outflows
        ]
        assert [(f.id, f.rule) for f in trial.findings] == [(f.id, f.rule) for f in recorded.findings]
    assert {f.rule for f in recorded.findings} == {"unapproved"}


def test_a_file_that_is_no_capture_is_refused_in_words(exchange: Exchange, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"hello": 1}\n')
    with pytest.raises(ValueError, match=r"wrong\.jsonl is no capture"):
        replay(exchange.settings(), wrong)
