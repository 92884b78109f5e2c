"""What stands in the documents is so: links, configurations, runbooks; and nothing of anybody's machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.cli_samples import Run, runner
from unit.docs_pages import PAGES, ROOT, Fence, anchors, fences, links, prose, read_page
from walletwatch.rules.registry import catalogue
from walletwatch.service.deployment import check_rule
from walletwatch.settings import Settings, load
from walletwatch.settings.loading import render_template
from walletwatch.settings.partial_settings import LISTS, SINGLES

RUNBOOKS = ROOT / "docs" / "runbooks.md"
PARTS = ("Means", "First look", "Call", "False alarm if", "Close")
SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
TOML = [fence for page in PAGES for fence in fences(page, "toml")]
ABSOLUTE = re.compile(r"(?<![\w.:/~-])/(?:work|home|root|tmp|Users|mnt|srv)\b")
HOSTS = re.compile(r"pypi\.|npmjs|registry\.(?!py)|pythonhosted|deb\.debian|crates\.io|proxy\.golang|docker\.io|ghcr\.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [f"{line}: {target}" for line, target in links(page) if not leads_somewhere(page, target)]
    assert broken == []


def leads_somewhere(page: Path, target: str) -> bool:
    if re.match(r"https://[\w.-]+(/|$)", target):
        return True
    name, _, fragment = target.partition("#")
    aim = (page.parent / name).resolve() if name else page
    return aim.exists() and ROOT in aim.parents and (not fragment or fragment in anchors(aim))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_speaks_of_the_machine_or_of_a_registry(page: Path) -> None:
    text = read_page(page)
    assert ABSOLUTE.findall(text) == []
    assert HOSTS.findall(text) == []


def test_the_readme_names_every_document() -> None:
    named = {(ROOT / target.partition("#")[0]).resolve() for _, target in links(ROOT / "README.md")}
    assert set((ROOT / "docs").glob("*.md")) <= named


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fence", TOML, ids=lambda fence: fence.place)
def test_a_configuration_in_the_documents_loads(fence: Fence, tmp_path: Path) -> None:
    """A whole one as it stands; a part of one behind what `walletwatch init` writes."""
    names = tomllib.loads(fence.text).keys()
    assert names <= {*LISTS, *SINGLES, "timezone", "include"}
    whole = "store" in names
    (tmp_path / "eth-usd.csv").write_text("at,usd\n2026-11-22T00:00:00Z,3200\n", encoding="utf-8")
    settings = load_text(tmp_path, fence.text if whole else f"{render_template()}\n{fence.text}")
    for name, attribute in (("chain", "chains"), ("wallet", "wallets"), ("person", "persons"), ("rule", "rules")):
        assert len(getattr(settings, attribute)) == len(tomllib.loads(fence.text).get(name, []))


def load_text(folder: Path, text: str) -> Settings:
    path = folder / "walletwatch.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={}, need_secrets=False, rule_check=check_rule)


def test_the_first_steps_of_the_readme_end_in_a_clean_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run: Run = runner(monkeypatch, capsys)
    assert run("init").code == 0
    readme = read_page(ROOT / "README.md")
    (steps,) = re.findall(r"<!-- first steps -->\n```toml\n(.*?)```", readme, re.DOTALL)
    with (tmp_path / "config/walletwatch.toml").open("a", encoding="utf-8") as file:
        file.write(steps)
    checked = run("check")
    assert (checked.code, checked.err) == (0, "")
    assert "1 wallets, 1 addresses" in checked.out
    assert run("status").code == 0
    assert run("outflows", "list").code == 0


# --- runbooks ---------------------------------------------------------------------------------------------------------


def sections() -> Iterator[tuple[str, str]]:
    for match in SECTION.finditer(read_page(RUNBOOKS)):
        yield match[1], match[2]


def test_every_alert_has_a_runbook_and_no_runbook_is_without_its_alert() -> None:
    told = [name for name, _ in sections()]
    assert sorted(told) == sorted(entry.name for entry in catalogue())


@pytest.mark.parametrize(("name", "text"), list(sections()), ids=[name for name, _ in sections()])
def test_a_runbook_says_what_to_look_at_whom_to_call_and_how_to_end(name: str, text: str) -> None:
    assert re.findall(r"^- \*\*([^*:]+):\*\* \S", text, re.MULTILINE) == list(PARTS), name


def test_runbooks_call_only_those_whose_number_is_in_the_table() -> None:
    text = prose(RUNBOOKS)
    known = set(re.findall(r"^\| \*([a-z ]+)\* \|", text, re.MULTILINE))
    calls = "".join(re.findall(r"^- \*\*Call:\*\* (.*)$", text, re.MULTILINE))
    assert set(re.findall(r"\*([a-z ]+)\*", calls)) <= known
    assert known


# --- the layers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "architecture.md"], ids=lambda page: page.name)
def test_the_layers_told_are_those_that_are_held(page: Path) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(c["layers"] for c in contracts if c["name"] == "layers of walletwatch")
    assert " > ".join(layer.replace(" |", ",") for layer in layers) in read_page(page)


def test_every_package_stands_in_the_architecture() -> None:
    (tree,) = (f.text for f in fences(ROOT / "docs/architecture.md") if "walletwatch/     decides" in f.text)
    packages = {path.parent.name for top in ("chains", "walletwatch") for path in (ROOT / top).glob("*/__init__.py")}
    assert {name for name in packages if f"{name}/" not in tree} == set()
