"""What every run of pytest has here.

Real nodes: nodes/fixtures.py starts them for the tests that ask for one, nodes/reports.py counts the tests on each.
Hypothesis: no deadline, since a loaded machine is not a fault of the code.
The order of tests: `--shuffle SEED` runs them in a random order, the same for the same seed.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import settings

pytest_plugins = ["nodes.fixtures", "nodes.reports"]

settings.register_profile("walletwatch", deadline=None)
settings.load_profile("walletwatch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in the random order of this seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)  # noqa: S311 - an order of tests is no secret


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seed = config.getoption("--shuffle")
    if seed is not None:
        terminalreporter.write_line(f"order of tests: --shuffle {seed}")
