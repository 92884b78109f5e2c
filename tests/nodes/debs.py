"""Debian packages unpacked into a folder of the project: nothing is installed, no root is needed.

apt does the work, with a configuration of its own: it verifies the suite's signature with the Debian keyring (by gpgv),
each package's SHA-256, and finds the dependency closure. An empty package status makes that closure complete, so that
the programs run with their own C library whatever the machine's is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_INDEX = re.compile(r"'(\S+?)/dists/(\S+?)/(?:In)?Release'")


class NoPackages(Exception):
    """apt could not deliver; the text says what it said."""


@dataclass(frozen=True)
class PrivateApt:
    """apt with state, cache and sources below `folder`, reading one `suite` of the machine's own mirror."""

    folder: Path
    suite: str

    def prepare(self) -> None:
        """Write the sources and read the suite's signed index. Raises NoPackages."""
        for name in ("state/lists/partial", "cache/archives/partial", "sources"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").write_text("")
        base = self._mirror_base()
        signed_by = f"Signed-By: {_KEYRING}\n" if _KEYRING.exists() else ""
        source = self.folder / "sources" / "mirror.sources"
        source.write_text(f"Types: deb\nURIs: {base}\nSuites: {self.suite}\nComponents: main\n{signed_by}")
        source.chmod(0o600)
        self._run("update", "-o", "APT::Update::Error-Mode=any")

    def unpack(self, package: str, into: Path) -> str:
        """Download `package` with all it depends on, unpack into the folder `into`, return the package's version."""
        self._run("install", "--yes", "--no-install-recommends", "--download-only", package)
        debs = sorted((self.folder / "cache" / "archives").glob("*.deb"))
        for deb in debs:
            run_tool("dpkg-deb", "--extract", str(deb), str(into))
        mine = next(deb for deb in debs if deb.name.startswith(f"{package}_"))
        return run_tool("dpkg-deb", "--field", str(mine), "Version").strip()

    def _mirror_base(self) -> str:
        """The base address of the machine's Debian archive, as apt itself reads it from sources of either form."""
        codename = _read_codename()
        listed = run_tool("apt-get", "update", "--print-uris", "-o", f"Dir::State={self.folder}/state")
        bases = [base for base, suite in _INDEX.findall(listed) if suite == codename]
        if not bases:
            raise NoPackages(f"the machine's apt sources name no mirror of its own suite ({codename})")
        return str(bases[0])

    def _run(self, *arguments: str) -> None:
        settings = {
            "Dir::State": f"{self.folder}/state",
            "Dir::State::status": f"{self.folder}/status",
            "Dir::Cache": f"{self.folder}/cache",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{self.folder}/sources",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false",
            "APT::Get::AllowUnauthenticated": "false",
            "APT::Sandbox::User": "",  # its user could not enter a private folder
            # a container image's hook may delete what was downloaded
            "DPkg::Post-Invoke": "",
            "APT::Keep-Downloaded-Packages": "true",
        }
        options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
        run_tool("apt-get", "-qq", *options, *arguments)


def run_tool(name: str, *arguments: str, cwd: Path | None = None) -> str:
    """Run a program of the machine and return what it printed. Raises NoPackages with its last words if it fails."""
    if shutil.which(name) is None:
        raise NoPackages(f"{name} is not on this machine")
    done = subprocess.run([name, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[:12]
        raise NoPackages(f"{name} ended with {done.returncode}:\n  " + "\n  ".join(words))
    return done.stdout


def _read_codename() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise NoPackages("/etc/os-release names no VERSION_CODENAME")
