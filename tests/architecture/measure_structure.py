"""Measure the shape of the source: `python tests/architecture/measure_structure.py [--base REV] [--entered]`.

How each figure is counted:

- *modules*, *lines*: the .py files below chains/ and walletwatch/, and all their lines.
- *functions*: every `def`, nested ones too, without its decorators; the median of their lines.
- *private functions with one caller*: functions whose name begins with one underscore, and those of
  them whose name is used once in their own module, as a name or as an attribute.
- *modules with one importer*: modules that exactly one other module imports, packages' own `__init__` apart.
- *import circles*: strongly connected components of more than one module; imports inside functions and under
  TYPE_CHECKING count.
- *pairs of like places*: the shape of a line of the file is its sequence of tokens, in which every name but a keyword
  reads "n" and every string or number "s". Imports, docstrings, comments and lines of less than three tokens are left
  out. Two places are a pair if six lines in a row have the same shape and at least three of them equal tokens; a run of
  more than six lines counts once.
- *modules entered*: own modules of which at least one function, comprehension or module body was called, by
  `sys.setprofile`; *depth*: own calls on the stack at once; *changes of file*: calls from one own file straight into
  another one. The tick is the one of the demonstration after which the database first knows an outflow of the
  theft's transaction; the approval line is the first single signed line that the feed reader adds to the request book.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from keyword import iskeyword
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGES = ("chains", "walletwatch")
PROJECT = Path(__file__).resolve().parents[2]
WINDOW = 6
SHORTEST_LINE = 3
THEFT = bytes.fromhex("975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7")

DEMONSTRATIONS = ("walletwatch.demo.play", "walletwatch.service.demo_plays")
WORKERS = ("walletwatch.watch.worker:ChainWorker", "walletwatch.pipeline.workers:ChainWorker")
FEED_READERS = ("walletwatch.watch.feed_reader:FeedReader", "walletwatch.pipeline.feeds:FeedDesk")
"""Where each stands now, then where it stood in earlier revisions."""


def read_modules(root: Path) -> dict[str, str]:
    """The source text of every module, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def import_graph(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Which own modules each module imports."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for name, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
                graph[name] |= {target if target in modules else node.module for target in targets}
            elif isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
        graph[name] = (graph[name] & modules.keys()) - {name}
    return graph


def import_circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The sets of modules that import each other, directly or not."""
    reached = {name: _reachable(graph, name) for name in graph}
    circles = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in graph
        if name in reached[name]
    }
    return [list(circle) for circle in sorted(circles)]


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(graph[name])
    return seen


@dataclass(frozen=True, slots=True)
class Functions:
    """The lengths of all functions in lines, and the private ones: all, and those with one caller."""

    lengths: Sequence[int]
    private: int
    with_one_caller: int


def measure_functions(modules: Mapping[str, str]) -> Functions:
    """Lengths of functions, and how often private ones are used in their own module."""
    lengths: list[int] = []
    private: list[tuple[str, bool]] = []
    for text in modules.values():
        nodes = list(ast.walk(ast.parse(text)))
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        uses = Counter(node.id for node in nodes if isinstance(node, ast.Name))
        uses.update(node.attr for node in nodes if isinstance(node, ast.Attribute))
        lengths += [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
        names = [node.name for node in functions if node.name.startswith("_") and not node.name.startswith("__")]
        private += [(name, uses[name] == 1) for name in names]
    return Functions(lengths, len(private), sum(once for _, once in private))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: its number, its tokens, and their shape."""

    number: int
    tokens: tuple[str, ...]
    shape: tuple[str, ...]


_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}


def counted_lines(text: str) -> Iterator[Line]:
    """The lines that count for likeness."""
    rows: defaultdict[int, list[tokenize.TokenInfo]] = defaultdict(list)
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT:
            if token.type != tokenize.NEWLINE and not (begins and token.type == tokenize.STRING):
                rows[token.start[0]].append(token)
            begins = token.type == tokenize.NEWLINE
    for number, tokens in rows.items():
        if len(tokens) >= SHORTEST_LINE and tokens[0].string not in {"import", "from"}:
            yield Line(number, tuple(token.string for token in tokens), tuple(map(_shape, tokens)))


def _shape(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME:
        return token.string if iskeyword(token.string) else "n"
    return "s" if token.type in {tokenize.STRING, tokenize.NUMBER} else token.string


Place = tuple[str, int]
"""A module, and the index of a counted line in it."""


def like_places(modules: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Pairs of like places: where each begins (`module:line`), and how many lines are alike."""
    lines = {name: list(counted_lines(text)) for name, text in modules.items()}
    by_shape: defaultdict[tuple[tuple[str, ...], ...], list[Place]] = defaultdict(list)
    for name, of_module in lines.items():
        for start in range(len(of_module) - WINDOW + 1):
            by_shape[tuple(line.shape for line in of_module[start : start + WINDOW])].append((name, start))
    windows = {pair for places in by_shape.values() for pair in combinations(places, 2) if _is_pair(lines, *pair)}
    found = []
    for first, second in sorted(windows):
        if (_moved(first, -1), _moved(second, -1)) not in windows:
            length = WINDOW
            while (_moved(first, length - WINDOW + 1), _moved(second, length - WINDOW + 1)) in windows:
                length += 1
            found.append((_written(lines, first), _written(lines, second), length))
    return found


def _is_pair(lines: Mapping[str, Sequence[Line]], first: Place, second: Place) -> bool:
    if first[0] == second[0] and abs(first[1] - second[1]) < WINDOW:
        return False
    equal = sum(lines[first[0]][first[1] + n].tokens == lines[second[0]][second[1] + n].tokens for n in range(WINDOW))
    return equal >= WINDOW // 2


def _moved(place: Place, by: int) -> Place:
    return place[0], place[1] + by


def _written(lines: Mapping[str, Sequence[Line]], place: Place) -> str:
    return f"{place[0]}:{lines[place[0]][place[1]].number}"


def measure_source(root: Path) -> dict[str, Any]:
    """The figures that are read from the source without running it, by their names in the table."""
    modules = read_modules(root)
    graph = import_graph(modules)
    importers = Counter(target for targets in graph.values() for target in targets)
    functions = measure_functions(modules)
    packages = {name.rpartition(".")[0] for name in modules}
    one_caller = functions.with_one_caller
    return {
        "modules": len(modules),
        "lines": sum(len(text.splitlines()) for text in modules.values()),
        "functions": len(functions.lengths),
        "median lines of a function": int(statistics.median(functions.lengths)),
        "private functions": functions.private,
        "private functions with one caller": one_caller,
        "their share, percent": round(100 * one_caller / functions.private),
        "modules with one importer": sum(importers[name] == 1 for name in modules if name not in packages),
        "import circles": len(import_circles(graph)),
        "pairs of like places": len(like_places(modules)),
    }


@dataclass(slots=True)
class CallRecorder:
    """A profile function that keeps which own modules are entered, how deep, and how often the file changes."""

    root: Path
    entered: dict[str, int] = field(default_factory=dict)
    depth: int = 0
    changes: int = 0
    _stack: list[str | None] = field(default_factory=list)
    _names: dict[str, str | None] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Called by the interpreter at each call and return of a Python function."""
        if event == "call":
            self._enter(self._module(frame.f_code.co_filename))
        elif event == "return" and self._stack:
            self._stack.pop()

    def _enter(self, module: str | None) -> None:
        caller = self._stack[-1] if self._stack else None
        self._stack.append(module)
        if module is not None:
            self.entered[module] = self.entered.get(module, 0) + 1
            self.depth = max(self.depth, sum(name is not None for name in self._stack))
            self.changes += caller is not None and caller != module

    def _module(self, filename: str) -> str | None:
        if filename not in self._names:
            path = Path(filename)
            own = any(path.is_relative_to(self.root / package) for package in PACKAGES)
            parts = path.relative_to(self.root).with_suffix("").parts if own else ()
            self._names[filename] = ".".join(parts).removesuffix(".__init__") or None
        return self._names[filename]

    def run(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call `function` and record it."""
        sys.setprofile(self)
        try:
            return function(*arguments)
        finally:
            sys.setprofile(None)

    def as_json(self) -> dict[str, Any]:
        """Modules with their numbers of calls, depth and changes of file."""
        return {"entered": dict(sorted(self.entered.items())), "depth": self.depth, "changes": self.changes}


def play_demonstration(root: Path) -> dict[str, Any]:
    """Play the demonstration at `root` twice: record the tick, then the approval line."""
    play = importlib.import_module(_here(root, DEMONSTRATIONS))
    recorded: dict[str, Any] = {}
    for places, method, table, values in (
        (WORKERS, "tick", "outflows WHERE txid = ?", (THEFT,)),
        (FEED_READERS, "read", "acts", ()),
    ):
        module, _, name = _here(root, places).partition(":")
        of_class = getattr(importlib.import_module(module), name)
        original = getattr(of_class, method)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "demonstration"
            count = partial(_count, folder / "walletwatch.db", table, values)
            setattr(of_class, method, _recording(original, root, count, recorded))
            with play.played(folder, io.StringIO()):
                pass
        setattr(of_class, method, original)
    return recorded


def _recording(
    original: Callable[[Any], Any], root: Path, count: Callable[[], int], recorded: dict[str, Any]
) -> Callable[[Any], Any]:
    """`original` under a recorder. The first call after which `count` is one more is kept."""

    def under_recorder(instance: object) -> Any:
        if original.__name__ in recorded:
            return original(instance)
        before, recorder = count(), CallRecorder(root)
        answer = recorder.run(original, instance)
        if count() == before + 1:
            recorded[original.__name__] = recorder.as_json()
        return answer

    return under_recorder


def _here(root: Path, names: Sequence[str]) -> str:
    """The one of `names` whose module stands below `root`. Raises StopIteration."""
    return next(name for name in names if (root / name.partition(":")[0].replace(".", "/")).with_suffix(".py").exists())


def _count(database: Path, table: str, values: Sequence[object]) -> int:
    connection = sqlite3.connect(database)
    try:
        found: tuple[int] = connection.execute(f"SELECT count(*) FROM {table}", values).fetchone()  # noqa: S608
    finally:
        connection.close()
    return found[0]


def measure_calls(root: Path) -> dict[str, Any]:
    """`play_demonstration` on the checkout at `root`, in a process of its own. Raises CalledProcessError."""
    command = [sys.executable, str(Path(__file__).resolve()), "--play", "--root", str(root)]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, check=True)
    recorded: dict[str, Any] = json.loads(done.stdout)
    return recorded


def measure(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every figure of the table by its name, and what `measure_calls` recorded."""
    calls = measure_calls(root)
    figures = measure_source(root)
    for what, method in (("the theft's tick", "tick"), ("one approval line", "read")):
        figures |= {
            f"modules entered by {what}": len(calls[method]["entered"]),
            f"depth of {what}": calls[method]["depth"],
            f"changes of file of {what}": calls[method]["changes"],
        }
    return figures, calls


def measure_revision(root: Path, revision: str) -> dict[str, Any]:
    """The figures of another revision, checked out into a temporary worktree."""
    with tempfile.TemporaryDirectory() as temporary:
        worktree = Path(temporary).resolve() / "worktree"
        git = ["git", "-C", str(root), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(worktree), revision], check=True)
        try:
            return measure(worktree)[0]
        finally:
            subprocess.run([*git, "remove", "--force", str(worktree)], check=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure the shape of the source.")
    parser.add_argument("--base", metavar="REV", help="measure this revision too, in a temporary worktree")
    parser.add_argument("--entered", action="store_true", help="list the modules entered, with their numbers of calls")
    parser.add_argument("--like", action="store_true", help="list the pairs of like places")
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, default=PROJECT, help="the checkout to measure, this one by default")
    options = parser.parse_args()
    root = options.root.resolve()
    if options.play:
        sys.stdout.write(json.dumps(play_demonstration(root)))
        return
    before = measure_revision(root, options.base) if options.base else {}
    after, calls = measure(root)
    lines = [f"{name:<45} {before.get(name, ''):>8} {value:>8}" for name, value in after.items()]
    if options.entered:
        for method, recorded in calls.items():
            lines += ["", method, *(f"  {module} {count}" for module, count in recorded["entered"].items())]
    if options.like:
        lines += ["", *(f"{length:>4} {first} {second}" for first, second, length in like_places(read_modules(root)))]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
