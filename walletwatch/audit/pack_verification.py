"""The offline check of an evidence pack: no database, no configuration, no trust in its author.

Standard library and `cryptography` only, so that it is portable and short enough to review. A pack is untrusted input:
sizes are counted while reading, names are never used as paths, and JSON depth is limited.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from walletwatch.audit.merkle import Tree, verify_inclusion
from walletwatch.audit.notes import Checkpoint, InvalidNote, VerifyingKey, open_checkpoint, open_note
from walletwatch.audit.verdicts import MAX_PROBLEMS, LogProblem, Verification

_MAX_DEPTH = 64
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)

PACK_TYPE = "walletwatch.evidence-pack/v1"
MANIFEST = "manifest.json"
MANIFEST_NOTE = "manifest.note"
FIXED_FILES = frozenset(
    {"README.txt", "entries.jsonl", "proofs.json", "checkpoint.txt", "vkey.txt", "report.html", MANIFEST, MANIFEST_NOTE}
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}\Z")
_LEAF_HASH = re.compile(rb',"leaf_hash":"([0-9a-f]{64})"')
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_CHUNK = 1 << 20
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True, slots=True)
class PackLimits:
    """Limits of a pack: number of files, and sizes in bytes after unpacking."""

    files: int = 10_000
    total: int = 8 << 30
    json: int = 512 << 20
    line: int = 16 << 20
    text: int = 1 << 20


class _InvalidPack(Exception):
    """A file of the pack is invalid, and the check cannot go on."""

    def __init__(self, kind: str, file: str, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.problem = LogProblem(kind, f"{file}: {message}" if file else message, seq, file)


@dataclass(slots=True)
class _Inspection:
    archive: zipfile.ZipFile
    limits: PackLimits
    problems: list[LogProblem] = field(default_factory=list)
    unpacked: int = 0

    def read(self, name: str, most: int) -> bytes:
        """The content of a file, at most `most` bytes. Raises _InvalidPack."""
        return b"".join(self.chunks(name, most))

    def chunks(self, name: str, most: int) -> Iterator[bytes]:
        """The file's bytes, counted while reading, because the sizes stated in a ZIP cannot be trusted."""
        try:
            with self.archive.open(name) as file:
                yield from self._counted(file, name, most)
        except KeyError as error:
            raise _InvalidPack("missing", name, "the file is missing") from error
        except _BAD_ZIP as error:
            raise _InvalidPack("damaged", name, f"cannot be unpacked ({type(error).__name__})") from error

    def _counted(self, file: IO[bytes], name: str, most: int) -> Iterator[bytes]:
        size = 0
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            self.unpacked += len(chunk)
            if size > most or self.unpacked > self.limits.total:
                raise _InvalidPack("size", name, f"is larger than {min(most, self.limits.total):,} bytes when unpacked")
            yield chunk

    def lines(self, name: str) -> Iterator[bytes]:
        """The file's lines without newlines."""
        rest = b""
        for chunk in self.chunks(name, self.limits.total):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > self.limits.line:
                raise _InvalidPack("size", name, f"a line is longer than {self.limits.line:,} bytes")
        if rest:
            raise _InvalidPack("entries", name, "the last line has no newline")


def check_name(name: str) -> str:
    """Return `name` if it is a plain relative name. Raises ValueError for others, such as `../x`."""
    if not _NAME.match(name) or len(name) > 200:
        raise ValueError(f"not a valid file name in a pack: {name[:80]!r}")
    return name


def manifest_text(manifest: bytes) -> str:
    """The signed text for a manifest; its second line is not a number, so that it cannot be used as a checkpoint."""
    return f"{PACK_TYPE}\nsha256:{hashlib.sha256(manifest).hexdigest()}\n"


def verify_pack(path: Path, trusted: VerifyingKey | None = None, limits: PackLimits | None = None) -> Verification:
    """Check a pack: every file against the manifest, the manifest and checkpoint against the key, every entry against
    the signed root. Without `trusted`, the pack's own key is used, and a notice says so. Raises OSError if the file
    cannot be opened.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        return Verification(0, problems=(LogProblem("damaged", f"not a readable ZIP file: {error}", file=path.name),))
    with archive:
        inspection = _Inspection(archive, limits or PackLimits())
        try:
            return _inspect(inspection, trusted)
        except _InvalidPack as error:
            return Verification(0, problems=(*inspection.problems, error.problem))


def _inspect(pack: _Inspection, trusted: VerifyingKey | None) -> Verification:
    _check_names(pack)
    vkey = _read_key(pack, trusted)
    _check_files(pack, vkey)
    checkpoint, note = _read_checkpoint(pack, vkey)
    proofs = _read_proofs(pack)
    count = _check_entries(pack, checkpoint, _check_proof_frames(proofs, note, vkey))
    own = (f"the key comes from the pack itself, compare it with the published one: {vkey}",) if trusted is None else ()
    return Verification(
        size=count,
        root=checkpoint.root,
        signed_size=count,
        checkpoints=1,
        problems=tuple(pack.problems[:MAX_PROBLEMS]),
        notices=own,
    )


def _check_names(pack: _Inspection) -> None:
    names = pack.archive.namelist()
    if len(names) > pack.limits.files:
        raise _InvalidPack("size", "", f"the pack has {len(names):,} files, more than {pack.limits.files:,}")
    for name in names:
        try:
            check_name(name)
        except ValueError as error:
            raise _InvalidPack("name", "", str(error)) from error
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) != len(names) else set()
    for name in sorted(twice):
        raise _InvalidPack("name", name, "is in the pack twice")


def _read_key(pack: _Inspection, trusted: VerifyingKey | None) -> VerifyingKey:
    try:
        vkey = VerifyingKey.parse(_decode(pack.read("vkey.txt", pack.limits.text), "vkey.txt"))
    except InvalidNote as error:
        raise _InvalidPack("key", "vkey.txt", str(error)) from error
    if trusted is not None and trusted != vkey:
        raise _InvalidPack("key", "vkey.txt", f"the pack's key is {vkey}, the trusted one is {trusted}")
    return vkey


def _check_files(pack: _Inspection, vkey: VerifyingKey) -> None:
    """Check the manifest against its signature, and every file against the manifest."""
    raw = pack.read(MANIFEST, pack.limits.text * 4)
    try:
        text = open_note(_decode(pack.read(MANIFEST_NOTE, pack.limits.text), MANIFEST_NOTE), (vkey,))
    except InvalidNote as error:
        raise _InvalidPack("signature", MANIFEST_NOTE, str(error)) from error
    if text != manifest_text(raw):
        pack.problems.append(LogProblem("changed", f"{MANIFEST}: is not the manifest that was signed", file=MANIFEST))
    manifest = _parse(raw, MANIFEST)
    digests = manifest.get("files") if isinstance(manifest, dict) and manifest.get("type") == PACK_TYPE else None
    if not isinstance(digests, dict):
        raise _InvalidPack("manifest", MANIFEST, "is not a manifest of an evidence pack")
    present = set(pack.archive.namelist()) - {MANIFEST, MANIFEST_NOTE}
    for name in sorted(present | set(digests) | (FIXED_FILES - {MANIFEST, MANIFEST_NOTE})):
        _check_file(pack, name, digests.get(name), present)


def _check_file(pack: _Inspection, name: str, expected: Any, present: set[str]) -> None:
    if name not in present:
        pack.problems.append(LogProblem("missing", f"{name[:200]}: the file is missing", file=name[:200]))
        return
    if not isinstance(expected, str) or not _HEX.match(expected):
        pack.problems.append(LogProblem("manifest", f"{name}: is not in the manifest", file=name))
        return
    digest = hashlib.sha256()
    try:
        for chunk in pack.chunks(name, pack.limits.total):
            digest.update(chunk)
    except _InvalidPack as error:
        if error.problem.kind == "size":
            raise
        pack.problems.append(error.problem)
        return
    if digest.hexdigest() != expected:
        pack.problems.append(
            LogProblem("changed", f"{name}: was changed, its SHA-256 is not that in the manifest", file=name)
        )


def _read_checkpoint(pack: _Inspection, vkey: VerifyingKey) -> tuple[Checkpoint, str]:
    note = _decode(pack.read("checkpoint.txt", pack.limits.text), "checkpoint.txt")
    try:
        return open_checkpoint(note, vkey), note
    except InvalidNote as error:
        raise _InvalidPack("checkpoint", "checkpoint.txt", str(error)) from error


def _read_proofs(pack: _Inspection) -> list[Any]:
    proofs = _parse(pack.read("proofs.json", pack.limits.json), "proofs.json")
    if not isinstance(proofs, list):
        raise _InvalidPack("proof", "proofs.json", "is not a list of proofs")
    return proofs


def _check_proof_frames(proofs: list[Any], note: str, vkey: VerifyingKey) -> dict[int, dict[str, Any]]:
    """The proofs by seq; each must be for the pack's own checkpoint and key."""
    found: dict[int, dict[str, Any]] = {}
    for proof in proofs:
        seq = proof.get("leaf_index") if isinstance(proof, dict) else None
        if type(seq) is not int or not isinstance(proof.get("entry"), dict) or seq in found:
            raise _InvalidPack("proof", "proofs.json", f"a proof is malformed or duplicate (leaf_index {seq!r:.40})")
        if proof.get("checkpoint") != note or proof.get("vkey") != str(vkey):
            raise _InvalidPack(
                "proof", "proofs.json", f"the proof of entry {seq} is for another checkpoint or key", seq
            )
        found[seq] = proof
    return found


def _check_entries(pack: _Inspection, checkpoint: Checkpoint, proofs: dict[int, dict[str, Any]]) -> int:
    """Check every line against its hash and its proof; without proofs, the whole log against the signed root."""
    tree, whole, last = Tree(), not proofs, -1
    for line in pack.lines("entries.jsonl"):
        seq, digest, entry = _read_entry(line, tree.size)
        if seq <= last:
            raise _InvalidPack("order", "entries.jsonl", f"entry {seq} comes after entry {last}", seq)
        last = seq
        tree.push(digest)
        if not whole:
            _check_proof(pack, proofs.pop(seq, None), seq, digest, entry, checkpoint)
    for seq in sorted(proofs)[:MAX_PROBLEMS]:
        message = f"entries.jsonl: entry {seq} is missing, but proofs.json has its proof"
        pack.problems.append(LogProblem("missing", message, seq, "entries.jsonl"))
    if whole and tree.size and (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        message = f"proofs.json: is empty, and the {tree.size} entries are not the whole log of {checkpoint.size}"
        pack.problems.append(LogProblem("root", message, file="proofs.json"))
    return tree.size


def _read_entry(line: bytes, number: int) -> tuple[int, bytes, dict[str, Any]]:
    """(seq, leaf hash, entry) of a line. The leaf is the line without its `leaf_hash` member; the first match is
    the member, because its quotes would be escaped inside a JSON string.
    """
    match = _LEAF_HASH.search(line)
    entry = _parse(line, "entries.jsonl")
    seq = entry.get("seq") if isinstance(entry, dict) else None
    if match is None or type(seq) is not int or not 0 <= seq < 2**53:
        raise _InvalidPack("entries", "entries.jsonl", f"line {number + 1} is not an entry with seq and leaf_hash")
    digest = hashlib.sha256(b"\x00" + line[: match.start()] + line[match.end() :]).digest()
    if digest != bytes.fromhex(match[1].decode()):
        message = f"entry {seq} was changed: its content does not match its leaf hash"
        raise _InvalidPack("changed", "entries.jsonl", message, seq)
    return seq, digest, entry


def _check_proof(
    pack: _Inspection, proof: dict[str, Any] | None, seq: int, digest: bytes, entry: Any, checkpoint: Checkpoint
) -> None:
    hashes = proof.get("hashes") if proof is not None else None
    if proof is None or not isinstance(hashes, list) or not all(isinstance(h, str) and _HEX.match(h) for h in hashes):
        pack.problems.append(LogProblem("proof", f"proofs.json: entry {seq} has no proof", seq, "proofs.json"))
    elif _same(proof["entry"]) != _same(entry) or proof.get("tree_size") != checkpoint.size:
        message = f"proofs.json: the proof of entry {seq} is for another entry or tree size"
        pack.problems.append(LogProblem("proof", message, seq, "proofs.json"))
    elif not verify_inclusion(digest, seq, checkpoint.size, [bytes.fromhex(h) for h in hashes], checkpoint.root):
        message = f"entries.jsonl: entry {seq} does not lead to the signed root"
        pack.problems.append(LogProblem("proof", message, seq, "entries.jsonl"))


def _same(value: Any) -> str:
    """A text to compare JSON values by: in Python, 1 == True."""
    return json.dumps(value, sort_keys=True)


def _decode(raw: bytes, name: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _InvalidPack("damaged", name, "is not UTF-8 text") from error


def _depth(text: str) -> int:
    """The nesting depth of JSON, measured before parsing: with a raised recursion limit (py_ecc raises it on import),
    200,000 brackets crash the parser instead of raising RecursionError.
    """
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _parse(raw: bytes, name: str) -> Any:
    text = _decode(raw, name)
    if _depth(text) > _MAX_DEPTH:
        raise _InvalidPack("damaged", name, f"is nested deeper than {_MAX_DEPTH}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise _InvalidPack("damaged", name, f"is not valid JSON ({type(error).__name__})") from error
