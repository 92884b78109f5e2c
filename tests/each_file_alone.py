"""Run each test file in a process of its own, two at a time: python tests/each_file_alone.py FOLDER… [-- ARGUMENT…]

A file that passes only after another was imported or run fails here. Arguments after `--` go to every pytest; a file
of which they select no test is named and passes. Exit status 1 if a file fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
AT_ONCE = 2
PASSED, NONE_SELECTED = 0, 5  # pytest's exit codes


def run_alone(file: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """pytest on `file` and nothing else; stdout holds its errors too."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(file), *arguments]
    output = subprocess.STDOUT
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=output, text=True, check=False)


def say(text: str) -> None:
    """One line of the report, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(folders: Sequence[str], arguments: Sequence[str]) -> int:
    """The exit status, after a line for each file that did not just pass."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("test_*.py"))
    if not files:
        sys.exit(f"no test file below {', '.join(folders) or 'no folder'}")
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for file, done in zip(files, pool.map(lambda file: run_alone(file, arguments), files), strict=True):
            if done.returncode == NONE_SELECTED:
                say(f"no test selected: {file.relative_to(ROOT)}")
            elif done.returncode != PASSED:
                failed += 1
                say(f"FAILED alone: {file.relative_to(ROOT)}\n{done.stdout}")
    say(f"{len(files)} test files, each alone: {len(files) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    where = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    sys.exit(main(sys.argv[1:where], sys.argv[where + 1 :]))
