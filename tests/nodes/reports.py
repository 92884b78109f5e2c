"""What a run must say: how many tests passed on each real node; and what it must not do: skip.

A test is counted for each node whose fixture it used, whether it named the fixture or asked for it while it ran. A
skipped test becomes a failed one, because a skip proves nothing and a green run with skips says more than it knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any

import pytest

_NODES = {"bitcoind": "bitcoind", "anvil": "anvil", "postgres": "PostgreSQL"}
_NODE_OF_FIXTURE = {
    "bitcoind": "bitcoind",
    "bitcoinds": "bitcoind",
    "anvil": "anvil",
    "anvils": "anvil",
    "postgres": "postgres",
}
_PROPERTY = "real node"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the nodes its fixtures start, so that `-m anvil` selects them."""
    for item in items:
        for node in _nodes_among(getattr(item, "fixturenames", ())):
            item.add_marker(node)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the nodes a test used on its report, which also travels from a worker; turn a skip into a failure."""
    report = yield
    if report.when == "call":
        report.user_properties += [(_PROPERTY, node) for node in sorted(_nodes_used(item))]
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure."""
    report = yield
    _fail_if_skipped(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line with the tests that passed on each real node."""
    passed = Counter(
        value
        for report in terminalreporter.getreports("passed")
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY
    )
    counts = ", ".join(f"{passed[node]} on {text}" for node, text in _NODES.items())
    terminalreporter.write_line(f"real nodes: {counts.replace(' on', ' tests on', 1)}")


def _nodes_used(item: pytest.Item) -> set[str]:
    marked = {mark.name for mark in item.iter_markers() if mark.name in _NODES}
    if not isinstance(item, pytest.Function):
        return marked
    # the request, unlike the item, knows fixtures that were asked for by name while the test ran
    return marked | _nodes_among(item._request.fixturenames)


def _nodes_among(fixtures: Iterable[str]) -> set[str]:
    return {_NODE_OF_FIXTURE[name] for name in fixtures if name in _NODE_OF_FIXTURE}


def _fail_if_skipped(report: Any) -> None:
    if report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        where, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{where}:{line}: {reason}. A skipped test proves nothing: make it run, or delete it."
