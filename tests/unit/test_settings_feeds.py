"""`[[approval_feed]]`: each type asks for what it needs, refuses what it has no use for, and names what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from settings_samples import BASE, problems_of

from walletwatch.settings import load

BODIES = {
    "jsonl": 'path = "log"',
    "http": "",
    "table": 'url = "sqlite:///books.db"\ntable = "acts"',
    "fireblocks": 'path = "log"\npeople = { u = "treasury-1" }\nassets = { ETH = "eip155:1/slip44:60", T = "USDT" }',
    "bitgo": 'path = "log"\npeople = { u = "treasury-1" }\nassets = { btc = "BTC" }\nwallets = { w = "btc-hot" }',
    "safe": 'path = "log"\npeople = { u = "treasury-1" }\nchain = "ethereum"\nsafe_version = "1.4.1"',
}


def feed(kind: str, *more: str, body: str | None = None) -> str:
    return "\n".join(["[[approval_feed]]", f'type = "{kind}"', BODIES[kind] if body is None else body, *more, ""])


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "walletwatch.toml"
    path.write_text(BASE + text, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", list(BODIES))
def test_each_type_is_read_and_may_be_said_to_be_silent(tmp_path: Path, kind: str) -> None:
    settings = load(write(tmp_path, feed(kind, 'silent_after = "2h"', 'name = "n"')), environ={"KEY": "k"})
    (read,) = settings.feeds
    assert (read.type, read.label, read.is_vendor) == (kind, "n", kind in {"fireblocks", "bitgo", "safe"})
    assert read.silent_after is not None


def test_without_a_name_a_feed_is_called_by_its_file_or_type(tmp_path: Path) -> None:
    path = write(tmp_path, feed("jsonl") + feed("http") + feed("table"))
    assert [f.label for f in load(path, environ={"KEY": "k"}).feeds] == ["log", "http", "table"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (feed("jsonl", body=""), "a jsonl feed needs path"),
        (feed("table", body='url = "sqlite:///x.db"'), "a table feed needs table"),
        (feed("safe", body='path = "log"\nchain = "ethereum"'), "a safe feed needs people"),
        (feed("jsonl", 'listen = "127.0.0.1:1"'), "has no meaning for a jsonl feed"),
        (feed("http", 'signatures = "none"'), "has no meaning for a http feed"),
        (feed("http", 'path = "log"'), "has no meaning for a http feed"),
        (feed("http", 'listen = "127.0.0.1"'), "must be a host and a port"),
        (feed("http", 'listen = "127.0.0.1:70000"'), "must be a host and a port"),
        (feed("http", 'listen = "0.0.0.0:8650"'), "needs a secret"),
        (feed("http", 'listen = "0.0.0.0:8650"', 'secret = { env = "KEY" }'), "plain http"),
        (feed("http", 'tls_cert = "c.pem"'), "TLS needs both files"),
        (feed("http", 'secret = "literal"'), "a secret is never written"),
        (feed("table", 'sequence = "id; DROP TABLE x"'), "must be a plain name"),
        (feed("table", body='url = "mysql://h/d"\ntable = "a"'), "must be a database URL"),
        (feed("table", body='url = "postgresql://u:p@h/d"\ntable = "a"'), "a password is never written"),
        (feed("safe", body=BODIES["safe"].replace("1.4.1", "0.1.0")), "from 1.0.0 on"),
        (feed("safe", body=BODIES["safe"].replace("ethereum", "etherium")), 'no chain is called "etherium"'),
        (feed("bitgo", body=BODIES["bitgo"].replace("treasury-1", "treasury-7")), 'no person is called "treasury-7"'),
        (feed("bitgo", body=BODIES["bitgo"].replace("btc-hot", "btc-hat")), 'no wallet is called "btc-hat"'),
        (feed("bitgo", body=BODIES["bitgo"].replace('"BTC"', '"XBT"')), "does not name exactly one asset"),
        (feed("bitgo", body=BODIES["bitgo"].replace('"BTC"', '"ETH"')), "does not name exactly one asset"),
        (feed("jsonl") + feed("jsonl"), "is already used"),
        (feed("http") + feed("http"), 'the feed name "http" is already used'),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in told for _, _, told in problems_of(write(tmp_path, text)))


def test_other_machines_are_let_in_with_a_secret_and_tls_or_by_a_persons_word(tmp_path: Path) -> None:
    for how in ('tls_cert = "c.pem"\ntls_key = "k.pem"', "insecure = true"):
        text = feed("http", 'listen = "[::]:8650"', 'secret = { env = "KEY" }', how)
        (read,) = load(write(tmp_path, text), environ={"KEY": "k"}).feeds
        assert read.address == ("::", 8650)
