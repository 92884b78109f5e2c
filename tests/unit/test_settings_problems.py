"""Each sentence of the configuration's contract that says what is refused."""

from pathlib import Path

import pytest
from settings_samples import BASE, ED25519, NEXT, check_rule, problems_of

from chains.model import Asset, AssetId
from chains.registry import open_source
from walletwatch.settings import SettingsError, load

DATA = Path(__file__).parents[1] / "data" / "settings"


def test_ten_faults_in_three_files_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(DATA / "broken.toml", environ={}, rule_check=check_rule)
    told = [(p.file.name, p.line, p.key) for p in caught.value.problems]
    assert told == [
        ("broken.toml", 3, "timezone"),
        ("broken.toml", 10, "audit.signing_key"),
        ("broken.toml", 17, "chain[1].endpoints[2].url"),
        ("broken.toml", 19, "chain[1].confirmatons"),
        ("broken.toml", 24, "chain[2].endpoints[1]"),
        ("broken.toml", 28, "sink[1].token"),
        ("broken_rules.toml", 9, "approval_policy[1].quorum"),
        ("broken_rules.toml", 14, "rule[1].wallets[1]"),
        ("broken_wallets.toml", 7, "wallet[1].addresses[2]"),
        ("broken_wallets.toml", 13, "wallet[2].chain"),
    ]
    assert all(p.message and p.hint for p in caught.value.problems)
    assert "CANARY" not in str(caught.value)


# What is added after the base, the line within it, the key, and words of what is told.
ADDED = [
    ("wallett = 1", 1, "person[1].wallett", "unknown key"),
    ("[[walet]]\nname = 1", 1, "walet", 'did you mean "wallet"?'),
    ("[chain2]", 1, "chain2", 'did you mean "chain"?'),
    ("[[run]]\n", 1, "run", "write [run]"),
    ("[sink]\ntype = 'console'", 1, "sink", "write [[sink]]"),
    ("[run]\ngive_up_after = 60", 2, "run.give_up_after", "must be a duration"),
    ("[run]\ngive_up_after = '60 s'", 2, "run.give_up_after", "30s"),
    ("[run]\ngive_up_after = '0s'", 2, "run.give_up_after", "more than zero"),
    ("[run]\ngive_up_after = '999999999w'", 2, "run.give_up_after", "at most ten years"),
    ("[trace]\nmodel = 'lifo2'", 2, "trace.model", "must be one of"),
    ("[trace]\nmax_hops = true", 2, "trace.max_hops", "whole number"),
    ("[trace]\nmax_hops = 0", 2, "trace.max_hops", "greater than or equal to 1"),
    ("[trace]\nmin_value = '1 DOGE'", 2, "trace.min_value", "no asset is called"),
    ("[trace]\nmin_value = '1.123456789 BTC'", 2, "trace.min_value", "8 decimal places"),
    ("[trace]\nmin_value = '1 ETH'", 2, "trace.min_value", "eip155:1/slip44:60, eip155:8453/slip44:60"),
    ("[trace]\nmin_value = 1000", 2, "trace.min_value", "in quotes"),
    ("[labels]\nsources = ['nowhere.csv']", 2, "labels.sources[1]", "there is no file"),
    ("[[sink]]\ntype = 'slack'\nchannel = '#c'", 1, "sink[1]", "needs token"),
    ("[[sink]]\ntype = 'webhook'", 1, "sink[1]", "needs url"),
    ("[[sink]]\ntype = 'console'\nchannel = '#c'", 3, "sink[1].channel", "no meaning"),
    ("[[sink]]\ntype = 'console'\nmin_severity = 'loud'", 3, "sink[1].min_severity", "must be one of"),
    ("[[sink]]\ntype = 'webhook'\nurl = 'http://hook.example'", 3, "sink[1].url", "plain http"),
    ("[[chain]]\nname = 'x'\nid = 'eip155:10'", 1, "chain[4].endpoints", "is missing"),
    ("[[chain]]\nname = 'x'\nid = 'eip155:10'\nendpoints = []", 4, "chain[4].endpoints", "is empty"),
    ("[[chain]]\nname = 'x'\nid = 'solana:5'\nendpoints = ['https://a']", 3, "chain[4].id", "unknown chain"),
    (
        "[[chain]]\nname = 'x'\nid = 'tron:0x2b6653dc'\nendpoints = ['https://a']",
        3,
        "chain[4].id",
        "cannot be followed",
    ),
    (
        "[[chain]]\nname = 'x'\nid = 'bip122:%s'\nendpoints = ['https://a']" % ("0" * 32),
        3,
        "chain[4].id",
        "not a known",
    ),
    ("[[chain]]\nname = 'x'\nid = 'eip155:100'\nendpoints = ['https://a']", 3, "chain[4].id", "the coin of eip155:100"),
    ("[[chain]]\nname = 'x'\nid = '1'\nendpoints = ['https://a']", 3, "chain[4].id", "CAIP-2"),
    ("[[chain]]\nname = 'x'\nid = 'eip155:1'\nendpoints = ['https://a']", 3, "chain[4].id", "is already used at"),
    ("[[chain]]\nname = 'base'\nid = 'eip155:10'\nendpoints = ['https://a']", 2, "chain[4].name", "is already used at"),
    (
        "[[asset]]\nid = 'eip155:10/erc20:0x1'\nsymbol = 'OP'\ndecimals = 18",
        2,
        "asset[2].id",
        "no [[chain]] has the id",
    ),
    ("[[asset]]\nid = 'eip155:1/slip44:60'\nsymbol = 'X'\ndecimals = 18", 2, "asset[2].id", "built in"),
    ("[[asset]]\nid = 'eip155:1/erc20:0x1'\nsymbol = 'USDT'\ndecimals = 6", 3, "asset[2].symbol", "is already used at"),
    ("[[asset]]\nid = 'usdt'\nsymbol = 'U'\ndecimals = 6", 2, "asset[2].id", "CAIP-19"),
    ("[[price]]\nasset = 'DOGE'\nusd = '1'", 2, "price[1].asset", "no asset is called"),
    ("[[price]]\nasset = 'BTC'\nusd = 1.5", 3, "price[1].usd", "in quotes"),
    ("[[price]]\nasset = 'BTC'", 1, "price[1]", "needs usd"),
    ("[[price]]\nasset = 'BTC'\nsource = 'file'\nusd = '1'\npath = 'base.toml'", 4, "price[1].usd", "no meaning"),
    ("[[price]]\nasset = 'BTC'\nsource = 'file'\npath = 'prices.csv'", 4, "price[1].path", "there is no file"),
    ("[[price]]\nasset = 'BTC'\nsource = 'chainlink'\nfeed = '0x1'", 4, "price[1].feed", "is ambiguous"),
    ("[[price]]\nasset = 'USDT'\nsource = 'chainlink'\nfeed = '0x1'", 4, "price[1].feed", "is not an address"),
    ("[[wallet]]\nname = 'w'\nrole = 'hot'\nchain = 'bitcoin'", 1, "wallet[2]", "has no address"),
    (
        "[[wallet]]\nname = 'w'\nrole = 'lukewarm'\nchain = 'base'\naddresses = ['0x%s']" % ("11" * 20),
        3,
        "wallet[2].role",
        "must be one of",
    ),
    ("[[approval_policy]]\nname = 'p'\nquorum = 2", 3, "approval_policy[1].quorum", "only 1 may approve"),
    (
        "[[approval_policy]]\nname = 'p'\nquorum = 1\ngroups = [\n  { department = 'tresury' },\n]",
        5,
        "approval_policy[1].groups[1].department",
        'did you mean "treasury"?',
    ),
    (
        "[[approval_policy]]\nname = 'p'\nquorum = 1\ngroups = [{ role = 'auditor' }]",
        4,
        "approval_policy[1].groups[1].role",
        "nobody has the role",
    ),
    (
        "[[approval_policy]]\nname = 'p'\nquorum = 1\ngroups = [{ role = 'approver', min = 3 }]",
        4,
        "approval_policy[1].groups[1]",
        "requires 3 people, but this group has 1",
    ),
    (
        "[[approval_policy]]\nname = 'p'\nquorum = 1\ngroups = [{ min = 1 }]",
        4,
        "approval_policy[1].groups[1]",
        "a role, a department",
    ),
    ("[[approval_policy]]\nname = 'p'\nquorum = 1\nchains = ['x']", 4, "approval_policy[1].chains[1]", "no chain"),
    (
        "[[approval_policy]]\nname = 'p'\nquorum = 1\nmin_value = '5'",
        4,
        "approval_policy[1].min_value",
        "its unit",
    ),
    ("[[approval_feed]]\ntype = 'jsonl'\npath = 'no/log'", 3, "approval_feed[1].path", "there is no folder"),
    ("[[approval_feed]]\ntype = 'fax'\npath = 'log'", 2, "approval_feed[1].type", "must be one of 'jsonl'"),
    ("[[rule]]\ntype = 'new_destinatoin'", 2, "rule[1].type", "did you mean"),
    ("[[rule]]\ntype = 'new_destination'\nhistry = '1d'", 3, "rule[1].histry", "unknown key"),
    ("[[rule]]\ntype = 'transaction_limit'\nmax = '1 ETH'", 3, "rule[1].max", "eip155:8453/slip44:60"),
    ("[[rule]]\ntype = 'new_destination'\nmode = 'quiet'", 3, "rule[1].mode", "must be one of"),
    ("[[rule]]\ntype = 'new_destination'\nroles = ['hot', 'ht']", 3, "rule[1].roles[2]", 'did you mean "hot"?'),
    ("[[rule]]\ntype = 'new_destination'\nassets = ['DOGE']", 3, "rule[1].assets[1]", "no asset is called"),
    (
        "[[rule]]\ntype = 'new_destination'\n[[rule]]\ntype = 'new_destination'",
        3,
        "rule[2].id",
        'rule id "new_destination" is already used at',
    ),
    ("[[person]]\nid = 'treasury-1'\ndepartment = 'd'\nroles = []", 2, "person[2].id", "is already used at"),
    ("[[person]]\nid = 'a b'\ndepartment = 'd'\nroles = []", 2, "person[2].id", "a name is"),
    (
        (
            f"[[person]]\nid = 'p'\ndepartment = 'd'\nroles = []\nkeys = [\n{{ kid = 'k', jwk = {{ {ED25519} }} }},\n"
            f"{{ kid = 'k', jwk = {{ {ED25519} }} }} ]"
        ),
        7,
        "person[2].keys[2].kid",
        'key id "k" is already used at',
    ),
    (
        (
            "[[person]]\nid = 'p'\ndepartment = 'd'\nroles = []\n"
            f"keys = [{{ kid = 'p', jwk = {{ {ED25519} }} }}]\n"
            "[[person]]\nid = 'q'\ndepartment = 'd'\nroles = []\n"
            f"keys = [{{ kid = 'q', jwk = {{ {ED25519} }} }}]"
        ),
        10,
        "person[3].keys[1].jwk",
        'the key "q" is also a key of "p"',
    ),
    (
        f"[[person]]\nid = 'p'\ndepartment = 'd'\nroles = []\nkeys = [{{ kid = 'k', jwk = {{ {ED25519}, d = 'x' }} }}]",
        5,
        "person[2].keys[1].jwk",
        "private key",
    ),
    (
        "[[person]]\nid = 'p'\ndepartment = 'd'\nroles = []\nkeys = [{ kid = 'k', jwk = { kty = 'oct', k = 'x' } }]",
        5,
        "person[2].keys[1].jwk",
        "private key",
    ),
    (
        (
            "[[person]]\nid = 'p'\ndepartment = 'd'\nroles = []\n"
            "keys = [{ kid = 'k', jwk = { kty = 'EC', crv = 'P-256', x = 'AAAA', y = 'AAAA' } }]"
        ),
        5,
        "person[2].keys[1].jwk",
        "not a public key",
    ),
    (
        (
            f"[[person]]\nid = 'p'\ndepartment = 'd'\nroles = []\nkeys = [{{ kid = 'k', jwk = {{ {ED25519} }}, "
            "valid_from = 2026-01-01T00:00:00 }]"
        ),
        5,
        "person[2].keys[1].valid_from",
        "time with its offset",
    ),
]


@pytest.mark.parametrize(("added", "line", "key", "words"), ADDED, ids=[row[2] for row in ADDED])
def test_each_fault_is_told_once_on_its_line(tmp_path: Path, added: str, line: int, key: str, words: str) -> None:
    path = tmp_path / "base.toml"
    path.write_text(f"{BASE}{added}\n", encoding="utf-8")
    ((told_line, told_key, text),) = problems_of(path)
    assert (told_line, told_key) == (NEXT + line - 1, key)
    assert words in text


# What of the base is replaced by what, the line, the key, and words of what is told.
CHANGED = [
    ('"sqlite:///w.db"', '"sqlite:///:memory:"', 2, "store.url", "loses its data"),
    ('"sqlite:///w.db"', '"mysql://db/x"', 2, "store.url", "must be a database URL"),
    ('url = "sqlite:///w.db"', "", 1, "store.url", "is missing"),
    ("[store]", "[stroe]", 1, "stroe", 'did you mean "store"?'),
    ('"audit.exchange.example/log"', '"audit log"', 4, "audit.origin", "without spaces"),
    ('role = "hot"', 'role = "hot"\nkind = "safe"', 25, "wallet[1].kind", "no Safes on bitcoin"),
    ("f3t4", "f3t5", 26, "wallet[1].addresses[1]", "checksum"),
    ('role = "hot"', 'role = "hot"\ndescriptors = ["tr(x)"]', 25, "wallet[1].descriptors[1]", "not a usable"),
    ('role = "hot"', 'role = "hot"\naddresses_file = "a.txt"', 25, "wallet[1].addresses_file", "there is no file"),
    ('name = "bitcoin"', 'name = "bitcoin"\nfinality = "safe"', 8, "chain[1].finality", "no such tag"),
    ('name = "bitcoin"', 'name = "bitcoin"\nfinality = "done"', 8, "chain[1].finality", "must be one of"),
    ('name = "bitcoin"', 'name = "bitcoin"\nfinality = 3\nconfirmations = 6', 8, "chain[1].finality", "exclude"),
    ('name = "bitcoin"', 'name = "bitcoin"\nstart = "genesis"', 8, "chain[1].start", '"tip" or a block height'),
    ('name = "bitcoin"', 'name = "bitcoin"\nstart = -1', 8, "chain[1].start", "840000"),
    ('name = "bitcoin"', 'name = "bitcoin"\nconfirmations = "6"', 8, "chain[1].confirmations", "without quotes"),
    ("http://127.0.0.1:8332", "http://10.0.0.1:8332", 9, "chain[1].endpoints[1]", "plain http"),
    ("http://127.0.0.1:8332", "127.0.0.1:8332", 9, "chain[1].endpoints[1].url", "http or https"),
    ('["http://127.0.0.1:8332"]', "[5]", 9, "chain[1].endpoints[1]", "a URL or a table"),
    ('["http://127.0.0.1:8332"]', '["https://a", { url = "https://b", coookie = "c" }]', 9,
     "chain[1].endpoints[2].coookie", 'did you mean "cookie"?'),
    ('["http://127.0.0.1:8332"]', '[{ url = "https://b", zmq = "127.0.0.1:28332" }]', 9,
     "chain[1].endpoints[1].zmq", "ZMQ address"),
    ('["http://127.0.0.1:8332"]', '[{ url = "https://b", ws = "wss://b" }]', 9,
     "chain[1].endpoints[1].ws", "no meaning"),
    ('["https://node.example"]', '[{ url = "https://b", zmq = "tcp://b:1" }]', 13,
     "chain[2].endpoints[1].zmq", "no meaning"),
    ('["https://node.example"]', '[{ url = "https://b", ws = "ws://b" }]', 13,
     "chain[2].endpoints[1].ws", "plain http"),
    ('["https://node.example"]', '[{ url = "https://b", ws = "https://b" }]', 13,
     "chain[2].endpoints[1].ws", "ws or wss"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "words"), CHANGED)
def test_each_changed_value_is_told_on_its_line(
    tmp_path: Path, old: str, new: str, line: int, key: str, words: str
) -> None:
    assert old in BASE
    path = tmp_path / "base.toml"
    path.write_text(BASE.replace(old, new, 1), encoding="utf-8")
    told = problems_of(path)
    assert (line, key) in {(told_line, told_key) for told_line, told_key, _ in told}
    assert words in next(text for _, told_key, text in told if told_key == key)


def test_one_mistake_in_a_table_does_not_hide_its_others(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    bad = '[[wallet]]\nname = "w"\nrol = "hot"\nchain = "bitcon"\naddresses = ["x"]\nkind = "vault"\n'
    rule = '[[rule]]\ntype = "transaction_limit"\nmode = "x"\nwallets = ["nobody"]\nmax = "1 DOGE"\nfoo = 1\n'
    path.write_text(BASE + bad + rule, encoding="utf-8")
    assert {key for _, key, _ in problems_of(path)} == {
        "wallet[2].rol",
        "wallet[2].role",
        "wallet[2].kind",
        "wallet[2].chain",
        "rule[1].mode",
        "rule[1].wallets[1]",
        "rule[1].max",
        "rule[1].foo",
    }


def test_a_reference_to_a_broken_table_is_no_second_error(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    text = BASE.replace('id = "bip122:000000000019d6689c085ae165831e93"', 'id = "bitcoin"')
    path.write_text(text + '[trace]\nmin_value = "1 BTC"\n[[rule]]\ntype = "new_destination"\nchains = ["bitcoin"]\n')
    with pytest.raises(SettingsError) as caught:
        load(path, environ={"KEY": "k"})
    assert [p.key for p in caught.value.problems] == ["chain[1].id"]


def test_the_coin_of_an_unlisted_network_comes_from_the_configuration(tmp_path: Path) -> None:
    """Gnosis was given a coin called ETH of 18 decimals: a limit in ETH counted xDAI, at far above its worth."""
    chain = "[[chain]]\nname = 'gnosis'\nid = 'eip155:100'\nendpoints = ['https://a']\n"
    path = tmp_path / "base.toml"
    path.write_text(f"{BASE}{chain}", encoding="utf-8")
    ((_, _, text),) = problems_of(path)
    assert 'add [[asset]] id = "eip155:100/slip44:60"' in text
    coin = "[[asset]]\nid = 'eip155:100/slip44:60'\nsymbol = 'xDAI'\ndecimals = 18\n"
    path.write_text(f"{BASE}{chain}{coin}", encoding="utf-8")
    settings = load(path, environ={"KEY": "k"}, rule_check=check_rule)
    gnosis = settings.chain("gnosis")
    assert settings.native_of(gnosis.id) == Asset(AssetId(gnosis.id, "slip44", "60"), "xDAI", 18)
    assert open_source(settings.source_spec(gnosis)).native.symbol == "xDAI"
