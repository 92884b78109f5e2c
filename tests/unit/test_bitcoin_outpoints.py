"""The outpoint book keeps its wire keys whichever way it is changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chains.model import Address, Outpoint, TxOutput
from chains.source import Outpoints, WatchSet

OUTPUT = TxOutput(0, 5, Address(b"\x51", "script:51"))
KEYS = st.builds(Outpoint, st.integers(0, 3).map(lambda n: bytes([n]) * 32), st.integers(0, 2))
WAYS = ["set", "del", "pop", "pop_default", "popitem", "update", "ior", "setdefault", "clear"]


def change(book: dict[Outpoint, TxOutput], way: str, key: Outpoint) -> None:
    if way == "set":
        book[key] = OUTPUT
    elif way == "del" and key in book:
        del book[key]
    elif way == "pop" and key in book:
        book.pop(key)
    elif way == "pop_default":
        book.pop(key, None)
    elif way == "popitem" and book:
        book.popitem()
    elif way == "update":
        book.update({key: OUTPUT})
    elif way == "ior":
        book |= {key: OUTPUT}
    elif way == "setdefault":
        book.setdefault(key, OUTPUT)
    elif way == "clear":
        book.clear()


@given(st.lists(st.tuples(st.sampled_from(WAYS), KEYS), max_size=30))
def test_the_wire_keys_are_those_of_the_dict_after_any_change(changes: list[tuple[str, Outpoint]]) -> None:
    book, plain = Outpoints({Outpoint(b"\x07" * 32, 7): OUTPUT}), {Outpoint(b"\x07" * 32, 7): OUTPUT}
    for way, key in changes:
        change(book, way, key)
        change(plain, way, key)
        assert book == plain
        assert book.wire == {k.txid[::-1] + k.vout.to_bytes(4, "little") for k in plain}


def test_a_watch_set_starts_with_the_fast_one() -> None:
    assert isinstance(WatchSet().outpoints, Outpoints)
