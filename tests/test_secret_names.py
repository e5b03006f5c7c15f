"""Which names make a value a secret: of a variable, of a parameter, and of what is inside one."""

import json
from typing import Any

import pytest
from detect_secrets.plugins.keyword import DENYLIST

from scillm_helpers.smoke.secrets import is_secret_name, secret_parameters, secrets
from tests.harness import Smoke, write

WORDS = (
    "api key", "token", "password", "secret", "access key", "secret access key", "api keys", "passwd", "passphrase",
    "credentials", "credential", "private key", "auth token", "client secret",
)  # fmt: skip
BEFORE = ("", "openai", "my app")
NUMBERS = ("", "2", "_2", "_01", "_v2")


def _written(words: list[str]) -> list[str]:
    """Return the ways in which a name of several words is written."""
    camel = words[0] + "".join(map(str.capitalize, words[1:]))
    return [
        "_".join(words).upper(),
        "_".join(words),
        "-".join(words),
        "".join(words).upper(),
        "".join(words),
        camel,
        camel[0].upper() + camel[1:],
    ]


def _names(word: str) -> list[str]:
    """Return the names that end in these words."""
    written = (_written([*before.split(), *word.split()]) for before in BEFORE)
    return [name + number for names in written for name in names for number in NUMBERS]


OTHERS = [
    "PGPASSWORD", "AUTHTOKEN", "MYSQL_PWD", "DB_PASS", "OPENAI_KEY", "OPENAI_KEY_1", "OPENAI_KEYS", "GITHUB_PAT",
    "AWS_SECRET_ACCESS_KEY", "SECRETS_OF_MINE", "HF_TOKEN", "AUTH_TOKENS", "GOOGLE_APPLICATION_CREDENTIALS", "x-api-key",
    "Authorization", "npm_config__authToken", "SSH_KEY", "AZURE_STORAGE_KEY", "ENCRYPTIONKEY", "DOCKER_AUTH", "userJwt",
]  # fmt: skip
ORDINARY = [
    "MAX_TOKENS", "max_tokens", "maxTokens", "stop_tokens", "TOKENIZER", "TOKENIZERS_PARALLELISM", "PATH", "PWD", "OLDPWD",
    "MONKEY", "HOTKEY", "KEYBOARD", "key", "keys", "public_key", "publicKey", "sort_key", "primary-key", "cache_key",
    "AUTHOR", "XAUTHORITY", "COMPASS", "BYPASS", "passes", "PATTERN", "prompt", "model", "KEY_FILE", "SSH_AUTH_SOCK", "LOGNAME",
]  # fmt: skip


@pytest.mark.parametrize("words", [*WORDS, *OTHERS])
def test_name_of_a_secret(words: str) -> None:
    """With or without separators, in any case, with a number behind it."""
    names = [words] if words in OTHERS else _names(words)
    for name in names:
        assert is_secret_name(name), name
        assert secrets({name: "obviously-fake-1"}) == {"obviously-fake-1": name}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_name(name: str) -> None:
    """A number of tokens, a working directory, a key that opens nothing."""
    assert not is_secret_name(name)
    assert secrets({name: "obviously-fake-1"}) == {}


@pytest.mark.parametrize("keyword", [keyword for keyword in DENYLIST if "contrase" not in keyword])
def test_keywords_of_detect_secrets_are_known(keyword: str) -> None:
    """The English ones; a bare `pwd` is the working directory."""
    for separator in ("_", ""):
        name = keyword.replace("_?", separator)
        assert is_secret_name(name if name != "pwd" else "db_pwd"), name


NESTED: dict[str, Any] = {
    "a dict": {"api_key": "fake-value-1"},
    "a dict in a dict": {"auth": {"apiKey": "fake-value-1"}},
    "a list of dicts": [{"x": 1}, {"password": "fake-value-1"}],
    "a list under a name": {"api_keys": ["fake-value-1"]},
    "a dict under a name": {"credentials": {"a": {"b": ["fake-value-1"]}}},
    "headers": {"headers": {"Authorization": "Bearer fake-value-1"}},
    "a number": {"token": 9081726354},
    "JSON": '{"api_key": "fake-value-1", "on": true}',
    "JSON in a list": ['{"api-key": "fake-value-1"}'],
}


@pytest.mark.parametrize("kind", NESTED)
def test_what_is_inside_a_parameter_counts(kind: str) -> None:
    """However deep; what is beside it stays."""
    found = secret_parameters({"config": NESTED[kind], "prompt": "some longer text"})
    assert {"fake-value-1", "9081726354"} & set(found)
    assert "some longer text" not in found


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("API_KEYS", "first-key-1,second-key-2", {"first-key-1", "second-key-2"}),
        ("API_KEYS", "firstkeyone secondkeytwo", {"firstkeyone", "secondkeytwo"}),
        ("API_KEY", "first-key-1; second-key-2", {"first-key-1", "second-key-2"}),
        ("CERT_SECRET", "first line 1\nsecond line", {"first line 1", "second line"}),
        (
            "CREDENTIALS",
            json.dumps({"private_key": "first-key-1", "id": "second-key-2"}),
            {"first-key-1", "second-key-2"},
        ),
    ],
)
def test_each_key_of_several_is_one(name: str, value: str, parts: set[str]) -> None:
    """And the whole value."""
    assert set(secrets({name: value})) == {value, *parts}


def test_words_of_a_passphrase_are_none() -> None:
    """Each of them may stand anywhere."""
    assert set(secrets({"SSH_PASSPHRASE": "correct horse everything staple"})) == {"correct horse everything staple"}


def test_nested_parameter_leaks_nowhere(smoke: Smoke) -> None:
    """In no file of the run, and not on the terminal."""
    write(smoke.folder / "a.ipynb", "print(config['auth']['api_key'], config['region'])", parameters="config = {}")
    given = {"auth": {"api_key": "obviously-fake-1"}, "region": "some-region"}
    done = smoke.run("a.ipynb", "-p", f"config={given}", PGPASSWORD="obviously-fake-2")
    assert done.returncode == 0, done
    assert smoke.case["parameters"] == {"config": {"auth": {"api_key": "[redacted api_key]"}, "region": "some-region"}}
    for path in smoke.out.rglob("*"):
        assert not path.is_file() or b"obviously-fake" not in path.read_bytes(), path
    assert "obviously-fake" not in done.stdout + done.stderr
