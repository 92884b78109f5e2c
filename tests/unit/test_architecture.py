"""The layers hold, and the thing that holds them works: each contract is shown to catch a planted violation."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import walletwatch
from chains.registry import FAMILIES

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("chains", "walletwatch")
SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text())
NODE_LOCKS = ("tests/nodes/postgres.lock", "tests/nodes/package-lock.json")
CONTRACTS = {contract["name"] for contract in SETTINGS["tool"]["importlinter"]["contracts"]}

LAYERS = "layers of walletwatch"
VENDORS = {
    "web3": "web3 only in chains.evm and chains.tron",
    "bitcoin": "python-bitcoinlib and bdkpython only in chains.bitcoin",
    "bdkpython": "python-bitcoinlib and bdkpython only in chains.bitcoin",
    "sqlalchemy": "sqlalchemy and alembic only in walletwatch.store",
    "alembic": "sqlalchemy and alembic only in walletwatch.store",
    "apscheduler": "apscheduler only in walletwatch.service.scheduler",
    "slack_sdk": "slack_sdk only in walletwatch.alerts.slack",
    "h11": "h11 only in walletwatch.service.act_endpoint",
}

# declared and imported by no line: a program that has it loaded, and what the program prints
LOADED_BY_NAME = {
    "psycopg": (
        "from sqlalchemy import create_engine; print(create_engine('postgresql://h/d').dialect.dbapi.pq.__impl__)",
        "binary",
    ),
    "tzdata": ("import sys, zoneinfo; zoneinfo.ZoneInfo('Asia/Tokyo'); print('tzdata' in sys.modules)", "True"),
}

# contract, the package that the import is planted in, what is imported
PLANTS = [
    ("chains knows nothing of walletwatch", "chains", "walletwatch"),
    ("chains knows nothing of walletwatch", "chains.rpc", "walletwatch.domain"),
    ("chain families never import each other", "chains.evm", "chains.bitcoin"),
    ("chain families never import each other", "chains.tron", "chains.evm"),
    ("walletwatch speaks only the common language", "walletwatch.service", "chains.bitcoin"),
    ("walletwatch speaks only the common language", "walletwatch.watch", "chains.evm"),
    ("walletwatch speaks only the common language", "walletwatch.cli", "chains.rpc"),
    ("the pure layers do no I/O", "walletwatch.domain", "sqlalchemy"),
    ("the pure layers do no I/O", "walletwatch.rules", "socket"),
    ("the pure layers do no I/O", "walletwatch.tracing", "urllib3"),
    ("the pure layers do no I/O", "walletwatch.audit", "subprocess"),
    (LAYERS, "walletwatch.service", "walletwatch.cli"),
    (LAYERS, "walletwatch.watch", "walletwatch.service"),
    (LAYERS, "walletwatch.alerts", "walletwatch.watch"),
    (LAYERS, "walletwatch.store", "walletwatch.reports"),
    (LAYERS, "walletwatch.rules", "walletwatch.store"),
    (LAYERS, "walletwatch.rules", "walletwatch.approvals"),
    (LAYERS, "walletwatch.settings", "walletwatch.store"),
    (LAYERS, "walletwatch.domain", "walletwatch.settings"),
    (LAYERS, "walletwatch.output", "walletwatch.domain"),
    (LAYERS, "walletwatch.output", "walletwatch.reports"),
    (VENDORS["web3"], "chains.bitcoin", "web3"),
    (VENDORS["web3"], "walletwatch.watch", "web3"),
    (VENDORS["bitcoin"], "chains.evm", "bitcoin"),
    (VENDORS["bitcoin"], "walletwatch.approvals", "bitcoin"),
    (VENDORS["sqlalchemy"], "walletwatch.watch", "sqlalchemy"),
    (VENDORS["alembic"], "walletwatch.cli", "alembic"),
    (VENDORS["apscheduler"], "walletwatch.service", "apscheduler"),
    (VENDORS["slack_sdk"], "walletwatch.alerts", "slack_sdk"),
    (VENDORS["h11"], "walletwatch.approvals", "h11"),
]


def test_contracts_hold() -> None:
    done = _lint_imports(PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken" in done.stdout


def test_every_contract_is_planted_against() -> None:
    assert {contract for contract, _, _ in PLANTS} == CONTRACTS


@pytest.mark.parametrize(("contract", "package", "imported"), PLANTS)
def test_planted_import_breaks_its_contract(contract: str, package: str, imported: str, tmp_path: Path) -> None:
    _copy_packages(tmp_path)
    (tmp_path / package.replace(".", "/") / "planted.py").write_text(f"import {imported}\n")
    done = _lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout
    assert f"{package}.planted -> {imported}" in done.stdout


def test_package_of_no_layer_breaks_the_layers(tmp_path: Path) -> None:
    _copy_packages(tmp_path)
    (tmp_path / "walletwatch" / "planted").mkdir()
    (tmp_path / "walletwatch" / "planted" / "__init__.py").write_text("")
    done = _lint_imports(tmp_path)
    assert f"{LAYERS} BROKEN" in done.stdout
    assert "walletwatch.planted" in done.stdout


def test_copy_without_plant_breaks_nothing(tmp_path: Path) -> None:
    _copy_packages(tmp_path)
    assert _lint_imports(tmp_path).returncode == 0


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path.relative_to(PROJECT)): len(path.read_text().splitlines()) for path in _python_files()}
    assert len(lengths) > 50
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


def test_nine_of_ten_functions_are_shorter_than_40_lines() -> None:
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in _python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert sum(length < 40 for length in lengths) >= 0.9 * len(lengths)


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert _circles(_import_graph(PROJECT)) == []


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    _copy_packages(tmp_path)
    (tmp_path / "chains" / "planted.py").write_text("def late():\n    from chains import planted_too\n")
    (tmp_path / "chains" / "planted_too.py").write_text("import chains.planted\n")
    assert _circles(_import_graph(tmp_path)) == [["chains.planted", "chains.planted_too"]]


def test_no_namespace_stands_outside_the_families() -> None:
    """Whoever compares namespaces has to be found and changed for each new family. Whole CAIP-2 ids of networks that
    label files and bridges name in words of their own are data.
    """
    found = {
        f"{path.relative_to(PROJECT)}:{line}: {text}"
        for path in _python_files()
        if path.relative_to(PROJECT).parts[0] != "tests" and not _may_name_namespaces(path)
        for line, text in _strings(path)
        if re.search(rf"(?<![a-z0-9])({'|'.join(FAMILIES)})(?![a-z0-9])", text)
        and not re.fullmatch(rf"({'|'.join(FAMILIES)}):[0-9a-zx]+", text)
    }
    assert found == set()


def _may_name_namespaces(path: Path) -> bool:
    name = str(path.relative_to(PROJECT))
    packages = {module.rpartition(".")[0].replace(".", "/") for module in FAMILIES.values()}
    return name == "chains/registry.py" or name.startswith((*(f"{p}/" for p in packages), "walletwatch/settings/"))


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every text in the code of a file, without documentation."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def _import_graph(folder: Path) -> dict[str, set[str]]:
    """What each module imports of the project, late imports within functions too."""
    files = {path for package in PACKAGES for path in (folder / package).rglob("*.py")}
    names = {".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return {name: _own_imports(ast.parse(path.read_text()), set(names)) - {name} for name, path in names.items()}


def _own_imports(tree: ast.Module, modules: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{name.name}" for name in node.names}
            found.update((whole & modules) or {node.module})
    return found & modules


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The modules that cannot be put in an order in which each imports earlier ones only, with no others among them."""
    left = {name: set(imports) for name, imports in graph.items()}
    while True:
        imported = set().union(*left.values())
        ends = {name for name, imports in left.items() if not imports} | (set(left) - imported)
        if not ends:
            return [sorted(left)] if left else []
        left = {name: imports - ends for name, imports in left.items() if name not in ends}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-run.lock", *NODE_LOCKS])
def test_lock_files_hold_digests_and_no_address(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    assert re.search(r"sha(256|512)[:-]", text)
    assert not re.search(r"https?:|file:|://|\bresolved\b|--(extra-)?index-url|--find-links", text)


def test_lock_satisfies_every_declared_dependency() -> None:
    locked = _pins("requirements.lock")
    declared = SETTINGS["project"]["dependencies"] + SETTINGS["dependency-groups"]["dev"]
    for requirement in map(Requirement, declared):
        assert requirement.specifier.contains(locked[_normalise(requirement.name)]), requirement


def test_what_runs_is_locked_as_what_is_tested() -> None:
    tested, runs = _pins("requirements.lock"), _pins("requirements-run.lock")
    assert runs.items() <= tested.items()
    assert {_normalise(Requirement(text).name) for text in SETTINGS["project"]["dependencies"]} <= runs.keys()
    assert runs.keys().isdisjoint({"pytest", "mypy", "ruff", "hypothesis"})


def test_everything_imported_is_declared() -> None:
    """A module that came with something else's dependencies, or by hand, is missing from the next machine."""
    runtime = {_normalise(Requirement(text).name) for text in SETTINGS["project"]["dependencies"]}
    own = set(PACKAGES) | set(sys.stdlib_module_names)
    providers = packages_distributions()
    undeclared = {name for name in _imported() - own if not runtime & set(map(_normalise, providers.get(name, ())))}
    assert undeclared == set()


def test_everything_declared_is_imported() -> None:
    """web3 was declared and brought 22 packages more, and no line imported it."""
    providers = packages_distributions()
    imported = {_normalise(name) for module in _imported() for name in providers.get(module, ())}
    declared = {_normalise(Requirement(text).name) for text in SETTINGS["project"]["dependencies"]}
    assert declared - imported == LOADED_BY_NAME.keys()


@pytest.mark.parametrize("name", LOADED_BY_NAME)
def test_what_is_loaded_by_its_name_is_loaded(name: str) -> None:
    program, told = LOADED_BY_NAME[name]
    environment = os.environ | {"PYTHONTZPATH": ""}  # no zone of the machine's own: those of the package
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told


def test_keccak_is_the_declared_implementation() -> None:
    """eth-hash has none of its own, and took whichever some other package had brought."""
    (extra,) = (text for text in SETTINGS["project"]["dependencies"] if text.startswith("eth-hash"))
    program = "from eth_hash.auto import keccak; keccak(b''); print(keccak.hasher.__module__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "eth_hash.backends.pycryptodome"
    assert Requirement(extra).extras == {"pycryptodome"}


def test_versions_agree() -> None:
    assert SETTINGS["project"]["version"] == walletwatch.__version__


def _python_files() -> Iterator[Path]:
    for folder in (*PACKAGES, "tests"):
        yield from (PROJECT / folder).rglob("*.py")


def _pins(lock: str) -> dict[str, str]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", (PROJECT / lock).read_text(), re.MULTILINE)
    return {_normalise(name): version for name, version in pins}


def _imported() -> set[str]:
    return {name for package in PACKAGES for path in (PROJECT / package).rglob("*.py") for name in _imports(path)}


def _imports(path: Path) -> Iterator[str]:
    """The first part of each module that a file imports from outside its own package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _copy_packages(folder: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", folder)


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_program_leaves_pythons_recursion_limit_alone() -> None:
    """py_ecc raises it to 100,000 when web3 is imported; 200,000 brackets from a node then crash the C parser."""
    program = "import sys, walletwatch.cli.main, walletwatch.service.daemon, chains.evm.source, chains.bitcoin.source"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(sys.getrecursionlimit())"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 1_000
