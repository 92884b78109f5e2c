"""Writing evidence packs, which a regulator can check without us (CONTRACT §6).

`entries.jsonl` has one entry on each line as canonical JSON with `leaf_hash`; without that member, the line is exactly
the leaf that was hashed, so that `sed` and `sha256sum` are enough to check it. `manifest.json` lists the SHA-256 of
every other file, and `manifest.note` is the digest of the manifest, signed by the log's key, so that a file cannot be
replaced together with its digest. The same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as resource_files
from typing import IO, Any

import orjson

from walletwatch.audit.leaves import AuditEntry, leaf_bytes
from walletwatch.audit.notes import SigningKey, open_checkpoint
from walletwatch.audit.pack_verification import (
    FIXED_FILES,
    MANIFEST,
    MANIFEST_NOTE,
    PACK_TYPE,
    check_name,
    manifest_text,
    verify_pack,
)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEAF_HASH_AFTER = b',"payload":'

__all__ = ["Pack", "entry_line", "verify_pack", "write_pack"]


@dataclass(frozen=True, slots=True)
class Pack:
    """The content of a pack. `proofs` are `proofs.build_proofs` of the entries; they may be empty if `entries` is the
    whole log under `checkpoint`. `files` are CSV tables and pictures by name.
    """

    entries: Iterable[AuditEntry]
    proofs: Sequence[Mapping[str, Any]]
    checkpoint: str
    report_html: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


def entry_line(entry: AuditEntry) -> bytes:
    """The line of `entries.jsonl`: the leaf with `leaf_hash` in its canonical place, and a newline."""
    leaf = leaf_bytes(entry.seq, entry.recorded_at, entry.actor, entry.action, entry.subject, entry.payload)
    # The first unescaped ,"payload": follows actor, because it cannot occur inside a JSON string.
    head, mark, tail = leaf.partition(_LEAF_HASH_AFTER)
    return b'%b,"leaf_hash":"%b"%b%b\n' % (head, entry.leaf_hash.hex().encode(), mark, tail)


def write_pack(out: IO[bytes], pack: Pack, key: SigningKey) -> str:
    """Write the ZIP and return the SHA-256 (hex) of its manifest. Raises InvalidNote for a checkpoint that the key
    did not sign, ValueError for an invalid file name.
    """
    open_checkpoint(pack.checkpoint, key.verifying_key)
    for name in pack.files:
        check_name(name)
        if name in FIXED_FILES:
            raise ValueError(f"{name} is one of the pack's own files")
    digests: dict[str, str] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        readme = resource_files("walletwatch.audit").joinpath("pack_readme.txt").read_bytes()
        _write(archive, digests, "README.txt", (readme,))
        _write(archive, digests, "entries.jsonl", (entry_line(entry) for entry in pack.entries))
        _write(archive, digests, "proofs.json", (orjson.dumps(list(pack.proofs)),))
        _write(archive, digests, "checkpoint.txt", (pack.checkpoint.encode(),))
        _write(archive, digests, "vkey.txt", (f"{key.verifying_key}\n".encode(),))
        _write(archive, digests, "report.html", (pack.report_html,))
        for name in sorted(pack.files):
            _write(archive, digests, name, (pack.files[name],))
        manifest = orjson.dumps({"type": PACK_TYPE, "files": digests}, option=orjson.OPT_INDENT_2) + b"\n"
        _write(archive, {}, MANIFEST, (manifest,))
        _write(archive, {}, MANIFEST_NOTE, (key.sign(manifest_text(manifest)).encode(),))
    return hashlib.sha256(manifest).hexdigest()


def _write(archive: zipfile.ZipFile, digests: dict[str, str], name: str, chunks: Iterable[bytes]) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, 0o100644 << 16  # the same bytes on every platform
    digest = hashlib.sha256()
    with archive.open(info, "w", force_zip64=True) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    digests[name] = digest.hexdigest()
