"""Signed notes and checkpoints, held to the examples of the formats' authors."""

import base64
import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from walletwatch.audit.notes import (
    Checkpoint,
    InvalidNote,
    SigningKey,
    VerifyingKey,
    open_checkpoint,
    open_note,
    sign_checkpoint,
)

# From the documentation of golang.org/x/mod/sumdb/note, where the format was first written down.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The public key of Go's checksum database.
GO_SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

KEY = SigningKey("audit.exchange.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VKEY = KEY.verifying_key
ROOT = bytes(range(100, 132))
NOTE = sign_checkpoint(KEY, 12, ROOT)


def test_a_note_and_keys_made_by_another_implementation_are_read() -> None:
    peter = VerifyingKey.parse(PETER)
    assert str(peter) == PETER
    assert str(VerifyingKey.parse(GO_SUMDB)) == GO_SUMDB
    assert open_note(PETER_NOTE, [VerifyingKey.parse(GO_SUMDB), peter]).startswith("If you think")


def test_a_checkpoint_is_three_lines_a_blank_one_and_the_signature() -> None:
    lines = NOTE.split("\n")
    assert lines[:4] == ["audit.exchange.example/log", "12", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith("— audit.exchange.example/log ")
    assert base64.b64decode(lines[4].split(" ")[2])[:4] == VKEY.id
    assert open_checkpoint(NOTE, VKEY) == Checkpoint("audit.exchange.example/log", 12, ROOT)


def test_a_witness_s_signature_is_ignored_and_a_stranger_s_alone_is_not_enough() -> None:
    witness = SigningKey.generate("witness.example")
    line = witness.sign(open_note(NOTE, [VKEY])).split("\n\n")[1]
    assert open_checkpoint(NOTE + line, VKEY).size == 12
    with pytest.raises(InvalidNote, match=r"no signature by audit\.exchange"):
        open_checkpoint(NOTE.split("\n\n")[0] + "\n\n" + line, VKEY)


def test_every_changed_character_of_a_checkpoint_fails() -> None:
    for at, char in enumerate(NOTE):
        for other in {"A", "B", "1", "\n", " "} - {char}:
            with pytest.raises(InvalidNote):
                open_checkpoint(NOTE[:at] + other + NOTE[at + 1 :], VKEY)


def test_a_checkpoint_of_another_log_signed_by_the_same_key_is_refused() -> None:
    with pytest.raises(InvalidNote, match="for the log 'other'"):
        open_checkpoint(KEY.sign(Checkpoint("other", 12, ROOT).text), VKEY)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "a\n",
        NOTE[:-1],
        NOTE.replace("— ", "- "),
        NOTE.replace("\n12\n", "\n012\n"),
        "\x00" + NOTE,
        "\ud800" + NOTE,
        NOTE + "— x y\n" * 200,
        "x" * 70_000 + NOTE,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(InvalidNote):
        open_checkpoint(note, VKEY)


@pytest.mark.parametrize(
    "text", ["o\n-1\nAAAA\n", "o\n1\nAAAA\n", "o\n99999999999999999999\nx\n", "o\n1\n", "\n1\nx\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidNote):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "vkey",
    ["", "a+b", "a b+" + PETER[13:], PETER.replace("c74f20a3", "c74f20a4"), PETER[:-4], PETER.replace("+AR", "+BR")],
)
def test_what_is_no_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(InvalidNote):
        VerifyingKey.parse(vkey)


def test_a_key_file_is_private_is_never_overwritten_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    KEY.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(KEY.name, path).verifying_key == VKEY
    with pytest.raises(FileExistsError):
        SigningKey.generate("x").save(path)


def test_a_key_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "audit.key"
    KEY.save(path)
    with caplog.at_level(logging.WARNING):
        SigningKey.load(KEY.name, path)
        assert not caplog.records
        path.chmod(0o640)
        SigningKey.load(KEY.name, path)
    assert "chmod 600" in caplog.text


def test_the_private_key_never_shows() -> None:
    secret = KEY.private.private_bytes_raw()
    pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert "private" not in repr(KEY)
    assert secret.hex() not in repr(KEY)
    with pytest.raises(InvalidNote) as error:
        SigningKey.from_pem("x", pem[:60] + b"!!" + pem[60:])
    assert pem[40:60].decode() not in str(error.value)
    assert error.value.__cause__ is None


def test_a_key_of_another_kind_is_refused() -> None:
    pem = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidNote, match="not an Ed25519"):
        SigningKey.from_pem("x", pem)
    with pytest.raises(InvalidNote, match="without space"):
        SigningKey.generate("two words")
