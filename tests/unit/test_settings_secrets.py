import copy
import logging
import pickle
import traceback
from pathlib import Path

import pytest

from walletwatch.settings import Secret, SecretMissing, Settings, SettingsError, load

CANARY = "CANARY-5f1d0c9e"
NODE = f"https://user:{CANARY}@node.example/{CANARY}"
CONFIG = """
[store]
url = { env = "DATABASE_URL" }
[audit]
origin = "audit.exchange.example/log"
signing_key = { file = "audit.key" }
[[chain]]
name = "bitcoin"
id = "bip122:000000000019d6689c085ae165831e93"
endpoints = [{ env = "NODE" }, { url = { env = "NODE" }, insecure = true }]
[[sink]]
type = "slack"
token = { env = "SLACK" }
channel = "#c"
[[sink]]
type = "webhook"
url = { env = "NODE" }
secret = { env = "SLACK" }
"""
ENVIRON = {"DATABASE_URL": f"postgresql://u:{CANARY}@db/walletwatch", "NODE": NODE, "SLACK": f"xoxb-{CANARY}"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "audit.key").write_text(f"{CANARY}\n", encoding="utf-8")
    path = tmp_path / "walletwatch.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load(config, environ=ENVIRON)


def test_the_values_are_there_for_those_who_ask(settings: Settings) -> None:
    assert settings.store.url.reveal() == ENVIRON["DATABASE_URL"]
    assert settings.audit.signing_key.reveal() == CANARY
    assert [e.url for e in settings.source_specs()[0].endpoints] == [NODE, NODE]
    token = settings.sinks[0].token
    assert token is not None
    assert token.reveal() == f"xoxb-{CANARY}"


def test_no_text_form_of_the_settings_shows_a_secret(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("walletwatch").warning("settings %s %r", settings, settings.model_dump())
    specs = settings.source_specs()
    texts = [
        repr(settings),
        str(settings),
        f"{settings.audit.signing_key!s} {settings.audit.signing_key!r} {settings.store.url}",
        repr(settings.model_dump()),
        settings.model_dump_json(),
        repr(copy.deepcopy(settings)),
        repr(vars(settings)),
        repr([endpoint for spec in specs for endpoint in spec.endpoints]),
        repr([endpoint.name for spec in specs for endpoint in spec.endpoints]),
        repr(specs),
        settings.digest,
        caplog.text,
    ]
    assert "signing_key" in texts[0]
    assert [n for n, text in enumerate(texts) if CANARY in text] == []


def test_a_secret_is_not_pickled_and_a_copy_is_itself(settings: Settings) -> None:
    secret = settings.audit.signing_key
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(settings)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


def test_secrets_are_equal_by_source_and_value() -> None:
    assert Secret("env A", "x") == Secret("env A", "x")
    assert Secret("env A", "x") != Secret("env A", "y")
    assert Secret("env A", "x") != Secret("env B", "x")
    assert Secret("env A", None) != Secret("env A", None)
    assert len({Secret("env A", "x"), Secret("env A", "x")}) == 1


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({**ENVIRON, "NODE": f"ftp://{CANARY}"}, "must be an http or https URL"),
        ({**ENVIRON, "NODE": f"http://[{CANARY}"}, "is not a URL"),
        ({**ENVIRON, "NODE": f"http://u:{CANARY}@node.example"}, "plain http"),
        ({**ENVIRON, "DATABASE_URL": f"mysql://{CANARY}"}, "must be a database URL"),
        ({**ENVIRON, "DATABASE_URL": f"postgresql://[{CANARY}"}, "must be a database URL"),
        ({"SLACK": CANARY, "DATABASE_URL": ENVIRON["DATABASE_URL"]}, "the environment variable NODE is not set"),
    ],
)
def test_errors_about_secrets_do_not_show_them(config: Path, environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(config, environ=environ)
    assert told in str(caught.value)
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value.problems)
    assert CANARY not in everything
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{ env = "SLACK" }\nchannel', f'"{CANARY}"\nchannel'),
        ('{ env = "SLACK" }\nchannel', f'{{ value = "{CANARY}" }}\nchannel'),
        ('{ env = "SLACK" }\nchannel', f'{{ env = ["{CANARY}"] }}\nchannel'),
        ('{ file = "audit.key" }', f'"""{CANARY}"""'),
        ('{ env = "DATABASE_URL" }', f'"postgresql://u:{CANARY}@db/x"'),
        ('{ env = "DATABASE_URL" }', f'"postgresql://db/x?password={CANARY}"'),
        ('[{ env = "NODE" }', f'["https://{CANARY}@node.example"'),
        ('[{ env = "NODE" }', f'[{{ url = "https://u:{CANARY}@node.example" }}'),
        ('url = { env = "NODE" }\n', f'url = "https://u:{CANARY}@hook.example"\n'),
    ],
)
def test_literal_secrets_are_refused_and_not_repeated(config: Path, old: str, new: str) -> None:
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(config, environ=ENVIRON)
    assert len(caught.value.problems) == 1
    assert CANARY not in str(caught.value) + repr(caught.value.problems)
    assert "env" in caught.value.problems[0].hint


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot read the secret file"), (b"", "is empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "larger")],
)
def test_a_secret_file_must_be_there_and_be_text(config: Path, content: bytes | None, told: str) -> None:
    key = config.parent / "audit.key"
    key.unlink() if content is None else key.write_bytes(content)
    with pytest.raises(SettingsError, match=told) as caught:
        load(config, environ=ENVIRON)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (6, "audit.signing_key")


def test_listing_commands_need_no_secrets_until_they_use_one(config: Path) -> None:
    settings = load(config, environ={}, need_secrets=False)
    with pytest.raises(SecretMissing, match="environment variable DATABASE_URL is not set"):
        settings.store.url.reveal()
    with pytest.raises(SecretMissing, match="NODE"):
        settings.source_specs()
