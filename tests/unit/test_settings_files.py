"""Files, includes, address files: what can be wrong with them, and who is named."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from settings_samples import BASE, problems_of

from walletwatch.settings import Settings, SettingsError, load, refreshed, stamps
from walletwatch.settings.loading import MAX_REPORTED

FIRST = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
SECOND = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
WITH_FILE = '[[wallet]]\nname = "deposits"\nrole = "deposit"\nchain = "bitcoin"\naddresses_file = "a.txt"\n'


@pytest.fixture(autouse=True)
def _usual_recursion_limit() -> Iterator[None]:
    """py_ecc raises it to 100,000 when another test imports web3; the program itself never imports either."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> Settings:
    return load(path, environ={"KEY": "k"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml.*\n.*No such file"):
        read(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"a = 1\nb = = 2\n", 2, "invalid TOML"),
        (b"a = 1\na = 2\n", 2, "invalid TOML"),
        (b"a = 1\nb = \xff\n", 2, "not UTF-8"),
        (b"a = " + b"[" * 5000, 0, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_toml_is_named_with_its_line(tmp_path: Path, text: bytes, line: int, words: str) -> None:
    path = tmp_path / "w.toml"
    path.write_bytes(text)
    ((told, _, message),) = problems_of(path)
    assert told == line
    assert words in message


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "w.toml", "#" * (5 * 1024 * 1024))
    assert "larger than" in problems_of(path)[0][2]


def test_a_broken_include_names_the_includer(tmp_path: Path) -> None:
    path = write(tmp_path / "w.toml", 'include = [\n  "gone.toml",\n  "bad.toml",\n]\n' + BASE)
    write(tmp_path / "bad.toml", "x = = 1")
    with pytest.raises(SettingsError) as caught:
        read(path)
    first, second = sorted(caught.value.problems, key=lambda p: p.file.name, reverse=True)
    assert (first.file.name, first.line, first.key) == ("w.toml", 2, "include[1]")
    assert "gone.toml" in first.message
    assert (second.file.name, second.line) == ("bad.toml", 1)


@pytest.mark.parametrize("name", ["w.toml", "./w.toml"])
def test_a_file_that_includes_itself_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "w.toml", f'include = ["{name}"]\n{BASE}')
    assert [(line, key) for line, key, _ in problems_of(path)] == [(1, "include[1]")]


def test_include_must_be_a_list_of_names(tmp_path: Path) -> None:
    path = write(tmp_path / "w.toml", f'include = "x.toml"\n{BASE}')
    assert [(line, key) for line, key, _ in problems_of(path)] == [(1, "include")]


def test_a_single_table_in_two_files_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.toml", f'include = ["more.toml"]\n{BASE}')
    write(tmp_path / "more.toml", '[store]\nurl = "sqlite:///other.db"\n')
    with pytest.raises(SettingsError, match=r"\[store\] is already defined at .*w\.toml:2"):
        read(path)


def test_relative_paths_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "logs").mkdir()
    write(inner / "a.txt", f"# deposits\n\n{SECOND}   # the only one\n")
    write(inner / "more.toml", WITH_FILE + '[[approval_feed]]\ntype = "jsonl"\npath = "logs/approvals.jsonl"\n')
    settings = read(write(tmp_path / "w.toml", f'include = ["inner/more.toml"]\n{BASE}'))
    assert settings.store.url.reveal() == f"sqlite:///{tmp_path}/w.db"
    assert settings.feeds[0].path == inner / "logs" / "approvals.jsonl"
    assert [a.text for a in settings.addresses_of("deposits")] == [SECOND]


def test_a_bad_line_of_an_address_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", f"{SECOND}\nnonsense\n{FIRST}\n")
    with pytest.raises(SettingsError) as caught:
        read(write(tmp_path / "w.toml", BASE + WITH_FILE))
    told = [(p.file.name, p.line, p.message) for p in caught.value.problems]
    assert [t[:2] for t in told] == [("a.txt", 2), ("a.txt", 3)]
    assert 'already belongs to the wallet "btc-hot"' in told[1][2]


def test_a_file_of_another_chain_is_told_in_a_few_lines(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n" * 1000)
    with pytest.raises(SettingsError, match="1000 lines are wrong") as caught:
        read(write(tmp_path / "w.toml", BASE + WITH_FILE))
    assert len(caught.value.problems) == MAX_REPORTED + 1


def test_an_address_file_is_not_read_for_who_needs_no_address(tmp_path: Path) -> None:
    """A million addresses took 22 s at every listing of alerts. To take them for none would be worse: who asks for
    them after all is refused."""
    write(tmp_path / "a.txt", "nonsense\n")
    path = write(tmp_path / "w.toml", BASE + WITH_FILE)
    settings = load(path, environ={"KEY": "k"}, need_addresses=False)
    assert [a.text for a in settings.addresses_of("btc-hot")] == [FIRST]
    for ask in (settings.addresses_of, lambda _name: settings.perimeter(settings.reader.chain("bitcoin"))):
        with pytest.raises(LookupError, match="was not read"):
            ask("deposits")
    with pytest.raises(LookupError, match="was not read"):
        _ = settings.digest
    (tmp_path / "a.txt").unlink()
    load(path, environ={"KEY": "k"}, need_addresses=False)
    with pytest.raises(SettingsError, match="there is no file"):
        load(path, environ={"KEY": "k"})


@pytest.mark.parametrize("text", ["", "# all of them moved\n\n"])
def test_an_address_file_without_addresses_is_refused(tmp_path: Path, text: str) -> None:
    """A file truncated by a failed export was read as a wallet that owns nothing, and nothing of it was watched."""
    write(tmp_path / "a.txt", text)
    path = write(tmp_path / "w.toml", BASE + WITH_FILE)
    assert [message for _, _, message in problems_of(path)] == [
        "holds no address -> write one a line, or remove addresses_file"
    ]


def test_the_same_account_may_be_a_wallet_on_two_chains(tmp_path: Path) -> None:
    account = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    both = "".join(
        f'[[wallet]]\nname = "{chain}-hot"\nrole = "hot"\nchain = "{chain}"\naddresses = ["{text}"]\n'
        for chain, text in (("ethereum", account), ("base", account.lower()))
    )
    settings = read(write(tmp_path / "w.toml", BASE + both))
    assert [a.text for name in ("ethereum-hot", "base-hot") for a in settings.addresses_of(name)] == [account] * 2


def test_a_changed_address_file_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path / "a.txt", f"{SECOND}\n")
    before = read(write(tmp_path / "w.toml", BASE + WITH_FILE))
    seen = stamps(before)
    assert refreshed(before, seen) is before
    file.write_text(f"{SECOND}\n# one more\nbc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3\n")
    after = refreshed(before, seen)
    chain = after.reader.chain("bitcoin")
    assert [len(s.perimeter(chain).wallets) for s in (before, after)] == [2, 3]
    assert before.digest != after.digest
    file.write_text("nonsense\n")
    with pytest.raises(SettingsError, match=r"a\.txt:1"):
        refreshed(after, seen)
