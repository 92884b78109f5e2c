"""The store on both databases, for every contract that needs one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores_samples import NOW

from walletwatch.store import Store, open_store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    opened = open_store(url, lambda: NOW)
    opened.upgrade()
    yield opened
    opened.close()
