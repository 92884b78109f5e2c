"""The wheel, installed in an environment of its own, does its work outside the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import walletwatch

ROOT = Path(__file__).parents[2]
PACKAGES = ("chains", "walletwatch")
SOURCES = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")
Installed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy of the sources with the locked setuptools; nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        path, to = ROOT / name, folder / "source" / name
        if path.is_dir():
            shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, to)
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", *options, str(folder / "source")], folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Run a program of an environment that has the wheel, and its dependencies from the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder)
    python = folder / "bin" / "python"
    options = ["--no-index", "--no-deps", "--quiet"]
    run([sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)], folder)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([str(python), "-c", code], folder).stdout.strip())
    # a folder named in a .pth file is searched after the environment's own, and its own .pth files (that of the
    # editable install of the repository) are not read
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return lambda program, *arguments, cwd: run([str(folder / "bin" / program), *arguments], cwd)


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """What it wrote; fails with it unless the exit status is 0."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WALLETWATCH"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    assert held == {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def test_the_installed_modules_are_those_of_the_wheel(installed: Installed, tmp_path: Path) -> None:
    code = "import sys, chains, walletwatch; print(sys.prefix, chains.__file__, walletwatch.__file__, sep='\\n')"
    environment, *modules = installed("python", "-c", code, cwd=tmp_path).stdout.splitlines()
    assert all(Path(environment) in Path(module).parents for module in modules)
    assert installed("walletwatch", "--version", cwd=tmp_path).stdout == f"walletwatch {walletwatch.__version__}\n"


def test_init_and_check_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    installed("walletwatch", "init", cwd=tmp_path)
    (steps,) = re.findall(r"<!-- first steps -->\n```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    with (tmp_path / "config" / "walletwatch.toml").open("a") as file:
        file.write(steps)
    assert "1 wallets, 1 addresses" in installed("walletwatch", "check", cwd=tmp_path).stdout


def test_the_demonstration_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    told = installed("walletwatch", "demo", cwd=tmp_path).stdout
    assert "4,502.9" in told
    made = tmp_path / "walletwatch-demo"
    key = str(made / "keys" / "audit.vkey")
    installed("walletwatch", "audit", "verify-pack", str(made / "evidence.zip"), "--vkey", key, cwd=tmp_path)
