"""The configuration reference is made from the models, and says something of every key."""

from __future__ import annotations

from typing import Annotated

import pytest

from unit.docs_configuration import TARGET, kind_of, told_keys, write_document
from unit.docs_meanings import MEANINGS, TABLES
from walletwatch.settings.partial_settings import LISTS, SINGLES


def test_the_reference_in_the_docs_is_that_of_the_program() -> None:
    assert TARGET.read_text(encoding="utf-8") == write_document(), "run: python tests/unit/docs_configuration.py"


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    assert set(MEANINGS) == told_keys()
    assert set(TABLES) == {*LISTS, *SINGLES, "endpoints", "keys", "groups"}


def test_a_kind_nobody_has_words_for_is_noticed() -> None:
    with pytest.raises(ValueError, match="no words"):
        kind_of(Annotated[complex, "new"])
