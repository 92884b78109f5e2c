"""What of another configuration is watching less: each kind by its name."""

from pathlib import Path

import pytest
from settings_samples import check_rule

from walletwatch.service.coverage import Difference, compare
from walletwatch.service.deployment import rules_of
from walletwatch.settings import Settings, load

SOUND = Path(__file__).parents[1] / "data" / "settings" / "foolish" / "sound"
SLACK = (
    '[[sink]]\ntype = "slack"\nname = "duty"\ntoken = { env = "TOKEN" }\nchannel = "#duty"\nmin_severity = "medium"\n'
    '[[rule]]\nid = "emptied"\ntype = "sweep"\nseverity = "critical"\nroles = ["hot", "cold"]\n'
    '[[wallet]]\nname = "eth-safe"\nrole = "cold"\nchain = "ethereum"\nkind = "safe"\n'
    f'addresses = ["0x{"5e" * 20}"]\n'
)
HOT = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
COLD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = ("watched", "prices", "people", "approvals")
    text = "".join((SOUND / f"{part}.toml").read_text() for part in parts)
    (tmp_path / "w.toml").write_text(text + SLACK)
    return tmp_path


def read(folder: Path) -> Settings:
    return load(folder / "w.toml", environ={"KEY": "k", "TOKEN": "t"}, rule_check=check_rule)


def change(folder: Path, old: str, new: str) -> Difference:
    """What is less after `old` was replaced once by `new`."""
    before = read(folder)
    text = (folder / "w.toml").read_text()
    assert old in text
    (folder / "w.toml").write_text(text.replace(old, new, 1))
    after = read(folder)
    return compare(before, after, rules_of(before), rules_of(after))


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ('"btc-hot"\nrole = "hot"', '"btc-hot"\nrole = "deposit"', {"wallet": ["btc-hot: hot, now deposit"]}),
        ('kind = "safe"\n', "", {"wallet": ["eth-safe: no longer a safe"]}),
        ('id = "emptied"\n', 'id = "emptied"\nmode = "shadow"\n', {"rule": ["emptied: in shadow"]}),
        ('severity = "critical"\n', 'severity = "low"\n', {"rule": ["emptied: critical, now low"]}),
        ('["hot", "cold"]', '["cold"]', {"rule": ["emptied: selects less"]}),
        ('"jsonl"\n', '"jsonl"\nsignatures = "none"\n', {"feed": ["approvals.jsonl: without signatures"]}),
        ('"approvals.jsonl"', '"x"\nname = "approvals.jsonl"', {"feed": ["approvals.jsonl: read from elsewhere"]}),
        ("quorum = 2\n", "quorum = 1\n", {"policy": ["large: quorum 2, now 1"]}),
        ("quorum = 2\n", "quorum = 2\nrequester_may_approve = true\n", {"policy": ["large: requesters may approve"]}),
        ('"ordinary"\n', '"usual"\n', {"policy": ["ordinary"]}),
        ('["requester"]', '["approver"]', {"person": ["treasury-1: no longer requester"]}),
        ('kid = "t1"', 'kid = "t1-new"', {"key": ["t1 of treasury-1"]}),
        ('asset = "ETH"', 'asset = "eip155:1/slip44:60"', {"price": ["ETH"]}),
        ("#duty", "#lunch", {"sink": ["duty"]}),
        ('min_severity = "medium"', 'min_severity = "critical"', {"sink": ["duty: medium and above, now critical"]}),
    ],
)
def test_each_kind_of_less_is_named(folder: Path, old: str, new: str, lost: dict[str, list[str]]) -> None:
    difference = change(folder, old, new)
    assert (difference.lost, difference.gained) == (lost, {})
    assert all(name in difference.summary() for names in lost.values() for name in names)


def test_another_key_under_a_known_id_is_a_lost_key(folder: Path) -> None:
    found = change(folder, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw")
    assert found.lost == {"key": ["t1 of treasury-1: another key"]}


def test_an_address_that_goes_to_a_wallet_of_another_role_is_lost_to_its_own(folder: Path) -> None:
    """The rules of cold wallets no longer ask about it."""
    deposit = '[[wallet]]\nname = "d"\nrole = "deposit"\nchain = "ethereum"\n'
    moved = change(folder, f'["{COLD}"]\n', f'["0x{"4a" * 20}"]\n{deposit}addresses = ["{COLD}"]\n')
    assert moved.lost == {"address": [f"{COLD} of eth-cold, now of d"]}
    (gained,) = moved.gained["address"]
    assert gained.casefold() == f"0x{'4a' * 20} of eth-cold"


def test_of_many_the_first_names_and_the_count_are_told(folder: Path) -> None:
    (folder / "many.txt").write_text("".join(f"0x{n:040x}\n" for n in range(1, 1001)))
    listed = f'["{COLD}"]\naddresses_file = "many.txt"\n'
    gained = change(folder, f'["{COLD}"]\n', listed)
    assert "1,000 addresses" in gained.summary()
    assert "and 995 more" in gained.summary()
    assert len(gained.summary()) < 600
    assert gained.as_json()["gained"]["address"]["count"] == 1000
    assert len(gained.as_json()["gained"]["address"]["names"]) == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "duty"\n', ""),
        ('["hot", "cold"]', '["hot", "cold", "warm"]'),
        ('min_severity = "medium"', 'min_severity = "info"'),
        ("quorum = 1\n", "quorum = 2\n"),
        ('usd = "95000"', 'usd = "96000"'),
    ],
)
def test_what_is_no_less_is_not_told(folder: Path, old: str, new: str) -> None:
    assert not change(folder, old, new)
