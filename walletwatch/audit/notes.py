"""Checkpoints: the log's signed size and root, in the C2SP formats `signed-note` and `tlog-checkpoint`.

Any client of those formats can check ours. Only Ed25519 (signature type 01) is supported; other signatures on a note
are ignored, as the format requires, so that witnesses can add theirs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

MAX_NOTE_CHARS = 65_536
_MAX_SIGNATURES = 100
_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]{1,255}\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")
_log = logging.getLogger(__name__)


class InvalidNote(ValueError):
    """The note, key or checkpoint is invalid; the message says why."""


def _check_name(name: str) -> str:
    if not _NAME.match(name) or not name.isprintable():
        raise InvalidNote(f"a key's name must be printable, without spaces and '+': {name!r}")
    return name


def _decode(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidNote(f"{what} is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise InvalidNote(f"{what} is not canonical base64")
    return raw


def key_id(name: str, public: bytes) -> bytes:
    """The first 4 bytes of SHA-256(name ‖ 0A ‖ 01 ‖ key)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A log's public key: its name (the origin) and 32 bytes."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> VerifyingKey:
        """Read `name+hex key id+base64(01 ‖ key)`. Raises InvalidNote."""
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise InvalidNote("a vkey has three parts: name+key id+key")
        name, hex_id, raw = _check_name(parts[0]), parts[1], _decode(parts[2], "the vkey's key")
        if len(raw) != 33 or raw[:1] != _ED25519:
            raise InvalidNote(f"the vkey of {name} is not an Ed25519 key")
        if hex_id != key_id(name, raw[1:]).hex():
            raise InvalidNote(f"the vkey's key id {hex_id!r} does not match its name and key")
        return cls(name, raw[1:])

    @property
    def id(self) -> bytes:
        """The key id, 4 bytes."""
        return key_id(self.name, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def verifies(self, signature: bytes, text: str) -> bool:
        """Whether `signature` (64 bytes) is a valid signature of this key over `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The log's private key with its name. The key is left out of repr."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """A new key. Raises InvalidNote for a name that the format does not allow."""
        return cls(_check_name(name), Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, name: str, pem: bytes) -> SigningKey:
        """Read a PKCS#8 PEM. Raises InvalidNote, which never quotes the input."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise InvalidNote("the signing key is not an unencrypted PKCS#8 PEM") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidNote("the signing key is not an Ed25519 key")
        return cls(_check_name(name), private)

    @classmethod
    def load(cls, name: str, path: Path) -> SigningKey:
        """Read a key file, and log a warning if others than its owner can read it. Raises InvalidNote, OSError."""
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                _log.warning("signing key %s can be read by others than its owner: chmod 600 it", path)
            return cls.from_pem(name, file.read(16_384))

    def save(self, path: Path) -> None:
        """Write the PKCS#8 PEM, mode 0600; never overwrites (FileExistsError)."""
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)

    @property
    def verifying_key(self) -> VerifyingKey:
        """The public key."""
        return VerifyingKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The signed note over `text`, which must end with a newline. Raises InvalidNote."""
        _check_text(text)
        blob = self.verifying_key.id + self.private.sign(text.encode())
        return f"{text}\n— {self.name} {base64.b64encode(blob).decode()}\n"


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(c) < 0x20 and c != "\n" for c in text):
        raise InvalidNote("a note's text ends with a newline and has no other control characters")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise InvalidNote("a note's text must be valid UTF-8")


def open_note(note: str, keys: Sequence[VerifyingKey]) -> str:
    """The text of a note that at least one of `keys` signed; signatures of other keys are ignored.

    Raises InvalidNote for a malformed note, without a signature of `keys`, or with a wrong signature of one of them.
    """
    text, signatures = _split_note(note)
    signed = False
    for name, blob in signatures:
        for key in keys:
            if (key.name, key.id) != (name, blob[:4]):
                continue
            if not key.verifies(blob[4:], text):
                raise InvalidNote(f"the signature of {name} does not match the text")
            signed = True
    if not signed:
        raise InvalidNote(f"no signature by {' or '.join(key.name for key in keys) or 'a known key'}")
    return text


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > MAX_NOTE_CHARS:
        raise InvalidNote(f"a note of {len(note)} characters is too long")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise InvalidNote("not a signed note: no blank line before the signatures, or no newline at the end")
    _check_text(text + "\n")
    lines = signatures[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise InvalidNote(f"more than {_MAX_SIGNATURES} signatures")
    return text + "\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, space, encoded = rest.partition(" ")
    if dash != "—" or not space:
        raise InvalidNote(f"not a signature line: {line[:80]!r}")
    blob = _decode(encoded, "a signature")
    if len(blob) < 5:
        raise InvalidNote("a signature is too short")
    return _check_name(name), blob


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement: the log `origin` had `size` leaves with this root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines of `tlog-checkpoint`."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a checkpoint's text; extension lines after the third are allowed and ignored. Raises InvalidNote."""
        lines = text.split("\n")
        if len(lines) < 4 or not lines[0] or lines[-1] or "" in lines[3:-1]:
            raise InvalidNote("a checkpoint has three lines: origin, size, root")
        if not _SIZE.match(lines[1]):
            raise InvalidNote(f"not a tree size: {lines[1][:40]!r}")
        root = _decode(lines[2], "the checkpoint's root")
        if len(root) != 32:
            raise InvalidNote(f"the checkpoint's root has {len(root)} bytes, not 32")
        return cls(lines[0], int(lines[1]), root)


def sign_checkpoint(key: SigningKey, size: int, root: bytes) -> str:
    """The signed checkpoint of the log whose origin is the key's name."""
    return key.sign(Checkpoint(key.name, size, root).text)


def open_checkpoint(note: str, key: VerifyingKey) -> Checkpoint:
    """The checkpoint in a note that `key` signed for the log of its name. Raises InvalidNote."""
    checkpoint = Checkpoint.parse(open_note(note, (key,)))
    if checkpoint.origin != key.name:
        raise InvalidNote(f"the checkpoint is for the log {checkpoint.origin!r}, not for {key.name!r}")
    return checkpoint
