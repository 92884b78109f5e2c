"""Evidence packs: written the same way each time, checked offline, and each kind of forgery named by its file."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from walletwatch.audit.leaves import AuditEntry, make_entry
from walletwatch.audit.merkle import Frontier
from walletwatch.audit.notes import SigningKey, sign_checkpoint
from walletwatch.audit.pack_verification import PackLimits, manifest_text
from walletwatch.audit.packs import Pack, entry_line, verify_pack, write_pack
from walletwatch.audit.proofs import build_proofs

KEY = SigningKey.generate("audit.exchange.example/log")
VKEY = KEY.verifying_key
TRICKY = {"memo": 'x,"payload":{"leaf_hash":"' + "0" * 64 + '"}', "é\U0001f600": ["ü", True, None]}
LOG = [
    make_entry(n, datetime(2026, 11, 22, tzinfo=UTC), 'a,"payload":', "finding.made", f"tx-{n}", {"n": n, **TRICKY})
    for n in range(40)
]
LEAVES = [e.leaf_hash for e in LOG]
NOTE = sign_checkpoint(KEY, 37, Frontier().extend(LEAVES[:37]).root())
CHOSEN = [LOG[n] for n in (3, 4, 17, 36)]
FILES = {"outflows.csv": b"id,amount\n1,2\n", "pictures/case-1.svg": b"<svg/>"}


def make_pack(entries: list[AuditEntry] | None = None, **changes: object) -> bytes:
    chosen = CHOSEN if entries is None else entries
    pack = Pack(chosen, build_proofs(chosen, NOTE, VKEY, LEAVES), NOTE, b"<html>report</html>", FILES)
    out = io.BytesIO()
    write_pack(out, replace(pack, **changes), KEY)  # type: ignore[arg-type]
    return out.getvalue()


PACK = make_pack()


def rebuild(pack: bytes, edit: Callable[[dict[str, bytes]], object]) -> bytes:
    """The pack with its files edited, as a forger without the key would do it."""
    with zipfile.ZipFile(io.BytesIO(pack)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    edit(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def refit(files: dict[str, bytes]) -> None:
    """Make the manifest fit the files again; only the signature cannot be made to."""
    manifest = json.loads(files["manifest.json"])

    own = {"manifest.json", "manifest.note"}
    manifest["files"] = {n: hashlib.sha256(c).hexdigest() for n, c in files.items() if n not in own}
    files["manifest.json"] = json.dumps(manifest).encode()


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    def run(pack: bytes, **more: object) -> list[tuple[str, str]]:
        path = tmp_path / "pack.zip"
        path.write_bytes(pack)
        found = verify_pack(path, **more)  # type: ignore[arg-type]
        return [(p.kind, p.file) for p in found.problems]

    return run


Check = Callable[..., list[tuple[str, str]]]


def test_a_pack_is_fine_alone_and_under_the_published_key(check: Check, tmp_path: Path) -> None:
    assert check(PACK) == []
    assert check(PACK, trusted=VKEY) == []
    assert check(PACK, trusted=SigningKey.generate(KEY.name).verifying_key) == [("key", "vkey.txt")]
    found = verify_pack(tmp_path / "pack.zip")
    assert found.size == 4
    assert "compare it with the published one" in found.notices[0]


def test_the_same_content_gives_the_same_bytes() -> None:
    assert make_pack() == PACK


def test_a_pack_of_the_whole_log_needs_no_proofs(check: Check) -> None:
    assert check(make_pack(LOG[:37], proofs=[])) == []
    assert check(make_pack(LOG[:36], proofs=[])) == [("root", "proofs.json")]
    assert check(make_pack([], proofs=[])) == []


def test_a_line_carries_its_hash_where_sed_finds_it() -> None:
    line = entry_line(LOG[3])
    assert json.loads(line) == LOG[3].as_json()
    assert line.endswith(b"\n")


@pytest.mark.parametrize("name", ["README.txt", "entries.jsonl", "proofs.json", "report.html", "outflows.csv"])
def test_a_changed_file_is_named(check: Check, name: str) -> None:
    changed = rebuild(PACK, lambda f: f.update({name: f[name].replace(b"t", b"T", 1).replace(b"1", b"2", 1)}))
    assert ("changed", name) in check(changed)


@pytest.mark.parametrize(
    "name", ["README.txt", "report.html", "outflows.csv", "entries.jsonl", "vkey.txt", "manifest.note"]
)
def test_a_missing_file_is_named(check: Check, name: str) -> None:
    assert ("missing", name) in check(rebuild(PACK, lambda f: f.pop(name)))


def test_a_file_that_was_added_is_named(check: Check) -> None:
    assert check(rebuild(PACK, lambda f: f.update({"extra.csv": b"x"}))) == [("manifest", "extra.csv")]


def test_a_report_exchanged_together_with_its_digest_fails_at_the_signature(check: Check) -> None:
    def forge(files: dict[str, bytes]) -> None:
        files["report.html"] = b"all is well"
        refit(files)

    assert check(rebuild(PACK, forge)) == [("changed", "manifest.json")]


def test_a_pack_signed_anew_by_a_stranger_fails_under_the_published_key(check: Check) -> None:
    """A forger who has everything but the key can make a pack that is right in itself; only the key tells."""
    other = SigningKey.generate(KEY.name)
    note = sign_checkpoint(other, 37, Frontier().extend(LEAVES[:37]).root())
    out = io.BytesIO()
    proofs = build_proofs(CHOSEN, note, other.verifying_key, LEAVES)
    write_pack(out, Pack(CHOSEN, proofs, note, b"", {}), other)
    assert check(out.getvalue()) == []
    assert check(out.getvalue(), trusted=VKEY) == [("key", "vkey.txt")]


def resigned(edit: Callable[[dict[str, bytes]], object]) -> bytes:
    """What a forger inside could do: edit, and have manifest and all signed again, but not the log's root."""

    def forge(files: dict[str, bytes]) -> None:
        edit(files)
        refit(files)
        files["manifest.note"] = KEY.sign(manifest_text(files["manifest.json"])).encode()

    return rebuild(PACK, forge)


def test_entries_and_proofs_hold_even_when_the_manifest_is_signed_anew(check: Check) -> None:
    lines = b"".join(entry_line(e) for e in CHOSEN)
    forged = make_entry(17, datetime(2026, 11, 22, tzinfo=UTC), "x", "y", "z", {})

    def swap(files: dict[str, bytes]) -> None:
        files["entries.jsonl"] = lines.replace(entry_line(LOG[17]), entry_line(forged))

    def swap_both(files: dict[str, bytes]) -> None:
        swap(files)
        proofs = json.loads(files["proofs.json"])
        proofs[2]["entry"] = forged.as_json()
        files["proofs.json"] = json.dumps(proofs).encode()

    assert check(resigned(lambda f: f)) == []
    assert check(resigned(lambda f: f.update({"entries.jsonl": lines.replace(b'"n":17', b'"n":18')}))) == [
        ("changed", "entries.jsonl")
    ]
    assert check(resigned(swap)) == [("proof", "proofs.json")]
    assert check(resigned(swap_both)) == [("proof", "entries.jsonl")]
    assert check(resigned(lambda f: f.update({"entries.jsonl": lines[: -len(entry_line(LOG[36]))]}))) == [
        ("missing", "entries.jsonl")
    ]
    assert check(resigned(lambda f: f.update({"entries.jsonl": lines + entry_line(LOG[38])}))) == [
        ("proof", "proofs.json")
    ]
    assert check(resigned(lambda f: f.update({"entries.jsonl": lines + lines}))) == [("order", "entries.jsonl")]
    assert check(resigned(lambda f: f.update({"entries.jsonl": lines[:-1]}))) == [("entries", "entries.jsonl")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("proofs.json", b"{}"),
        ("proofs.json", b"[1]"),
        ("proofs.json", b"[" * 200_000),
        ("entries.jsonl", b"[]\n"),
        ("entries.jsonl", b"\xff\n"),
        ("checkpoint.txt", b"none"),
    ],
)
def test_junk_in_a_signed_pack_is_named_by_its_file(check: Check, name: str, content: bytes) -> None:
    assert check(resigned(lambda f: f.update({name: content})))[-1][1] == name


def test_a_zip_bomb_is_stopped_by_what_comes_out_and_not_by_what_it_says(check: Check) -> None:
    bomb = make_pack(files={"bomb.csv": bytes(30_000_000)})
    assert len(bomb) < 100_000
    assert check(bomb, limits=PackLimits(total=5_000_000)) == [("size", "bomb.csv")]
    assert check(make_pack(files={f"f{n}.csv": b"" for n in range(50)}), limits=PackLimits(files=20)) == [("size", "")]
    assert check(PACK, limits=PackLimits(json=100)) == [("size", "proofs.json")]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "a\\b", "", "x" * 300, "C:evil", ".hidden"])
def test_names_that_lead_elsewhere_are_refused_on_both_sides(check: Check, name: str) -> None:
    with pytest.raises(ValueError, match="not a valid file name"):
        make_pack(files={name: b""})
    if name:
        assert check(rebuild(PACK, lambda f: f.update({name: b""})))[0][0] == "name"


def test_own_names_cannot_be_taken() -> None:
    with pytest.raises(ValueError, match="own files"):
        make_pack(files={"manifest.json": b""})


@pytest.mark.parametrize("pack", [b"", b"PK\x03\x04", b"no zip at all", PACK[: len(PACK) // 2]])
def test_what_is_no_pack_is_said_to_be_none(check: Check, pack: bytes) -> None:
    assert check(pack) == [("damaged", "pack.zip")]


def test_every_flipped_byte_of_a_pack_is_noticed_or_harmless(check: Check) -> None:
    """A flip may fall on bytes of the ZIP that say nothing (dates, attributes); then every file is still the same."""
    for at in range(0, len(PACK), 97):
        flipped = PACK[:at] + bytes([PACK[at] ^ 0x41]) + PACK[at + 1 :]
        if check(flipped) == []:
            with zipfile.ZipFile(io.BytesIO(flipped)) as one, zipfile.ZipFile(io.BytesIO(PACK)) as two:
                assert {n: one.read(n) for n in one.namelist()} == {n: two.read(n) for n in two.namelist()}


def test_the_readme_s_commands_work_as_it_says(tmp_path: Path) -> None:
    """A regulator has nothing but these commands; they are run here as they stand."""
    with zipfile.ZipFile(io.BytesIO(PACK)) as archive:
        archive.extractall(tmp_path)
    readme = (tmp_path / "README.txt").read_text()
    blocks = re.split(r"(?m)^(?! {4}).*\n", readme)
    commands = ["".join(line[4:] + "\n" for line in block.splitlines()) for block in blocks if block.strip()]
    said = [
        subprocess.run(["sh", "-ec", c], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for c in commands
    ]
    key, sums, verified, manifest, leaf, proofs = said
    assert key == f"{VKEY}\n"
    assert sums.count(": OK\n") == len(FILES) + 6
    assert verified.count("Signature Verified Successfully") == 2
    for two_equal_lines in (manifest, leaf):
        first, second = two_equal_lines.split()
        assert first == second
    assert proofs.splitlines() == [f"entry {e.seq} OK" for e in CHOSEN]


def test_the_offline_check_needs_the_standard_library_and_cryptography_only(tmp_path: Path) -> None:
    (tmp_path / "pack.zip").write_bytes(PACK)
    program = """
import sys, pathlib
class Door:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {"walletwatch", "cryptography", "_cffi_backend", "cffi"}:
            raise ImportError("not allowed offline: " + name)
sys.meta_path.insert(0, Door())
from walletwatch.audit.pack_verification import verify_pack
print(verify_pack(pathlib.Path(sys.argv[1])).ok, sorted(m for m in sys.modules if m.startswith("walletwatch")))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "pack.zip")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("True"), done.stderr
    assert "leaves" not in done.stdout
