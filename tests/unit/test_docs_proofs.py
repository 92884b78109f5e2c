"""The script of docs/regulators.md, run as it stands there: right proofs pass, changed ones do not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from unit.docs_pages import ROOT, read_page
from walletwatch.audit.leaves import make_entry
from walletwatch.audit.merkle import Frontier
from walletwatch.audit.notes import SigningKey, sign_checkpoint
from walletwatch.audit.proofs import build_proofs

START = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)
KEY = SigningKey.generate("audit.exchange.example/log")
SIZE = 43

Proof = dict[str, Any]


def make_proof(seq: int) -> Proof:
    payload = {"reason": "\u2028 é ü \U0001f4b8 <&>", "n": 7, "deep": [{"flag": True, "none": None}]}
    times = [START + timedelta(seconds=n) for n in range(SIZE)]
    entries = [make_entry(n, at, "treasury-1", "alert.closed", "x", payload) for n, at in enumerate(times)]
    hashes = [entry.leaf_hash for entry in entries]
    note = sign_checkpoint(KEY, SIZE, Frontier().extend(hashes).root())
    (proof,) = build_proofs([entries[seq]], note, KEY.verifying_key, hashes)
    return json.loads(json.dumps(proof))  # type: ignore[no-any-return]  # an object, as `audit prove` prints it


def check(folder: Path, proof: Proof, vkey: str = f"{KEY.verifying_key}\n") -> subprocess.CompletedProcess[str]:
    (script,) = re.findall(
        r"<!-- example: check -->\n```python\n(.*?)```", read_page(ROOT / "docs/regulators.md"), re.DOTALL
    )
    (folder / "check.py").write_text(script, encoding="utf-8")
    (folder / "proof.json").write_text(json.dumps(proof), encoding="utf-8")
    (folder / "audit.vkey").write_text(vkey, encoding="utf-8")
    command = [sys.executable, "check.py", "proof.json", "audit.vkey"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("seq", [0, 31, 32, SIZE - 1])
def test_the_script_accepts_a_proof(tmp_path: Path, seq: int) -> None:
    answer = check(tmp_path, make_proof(seq))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(
        f"entry {seq} of {SIZE} is in audit.exchange.example/log: alert.closed by treasury-1"
    )


def flip(text: str) -> str:
    """Another hex digit at the end."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


CHANGES: dict[str, Callable[[Proof], object]] = {
    "the payload": lambda p: p["entry"]["payload"].update(n=8),
    "the actor": lambda p: p["entry"].update(actor="treasury-2"),
    "the time": lambda p: p["entry"].update(recorded_at="2026-11-22T01:02:03.000000Z"),
    "the leaf's hash": lambda p: p["entry"].update(leaf_hash=flip(p["entry"]["leaf_hash"])),
    "a hash on the way": lambda p: p["hashes"].__setitem__(2, flip(p["hashes"][2])),
    "a hash too few": lambda p: p["hashes"].pop(),
    "the place": lambda p: p.update(leaf_index=p["leaf_index"] - 1),
    "the size": lambda p: p.update(tree_size=SIZE + 1),
    "the checkpoint's size": lambda p: p.update(checkpoint=p["checkpoint"].replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")),
    "another log's checkpoint": lambda p: p.update(
        checkpoint=sign_checkpoint(SigningKey.generate(KEY.name), SIZE, bytes(32))
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_script_refuses_a_proof_in_which_something_was_changed(
    tmp_path: Path, change: Callable[[Proof], object]
) -> None:
    proof = make_proof(21)
    change(proof)
    answer = check(tmp_path, proof)
    assert answer.returncode != 0
    assert "is in audit" not in answer.stdout


def test_the_script_refuses_another_key_of_the_same_name(tmp_path: Path) -> None:
    stranger = SigningKey.generate(KEY.name)
    assert check(tmp_path, make_proof(21), f"{stranger.verifying_key}\n").returncode != 0
