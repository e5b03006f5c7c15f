"""What is a secret: the values of some variables, by their names."""

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

VARIABLE = "SCILLM_SECRETS"

SHORTEST = 8  # characters; a shorter value cannot be told from ordinary text

# The words of notebooks and reports that are as long: a file in which they are replaced is none.
_WORDS = frozenset(
    [
        "metadata",
        "nbformat",
        "nbformat_minor",
        "cell_type",
        "markdown",
        "execution_count",
        "output_type",
        "display_data",
        "execute_result",
        "traceback",
        "language_info",
        "kernelspec",
        "papermill",
        "parameters",
        "exception",
        "attachments",
        "embedded",
        "notebook",
        "kernel_died",
        "rate_limit",
        "capacity",
        "connection",
        "bad_request",
        "bad_reply",
        "assertion",
        "not_supported",
    ]
)

# How the names of secrets end, in capitals and with `_` for every separator. `?` stands for a separator, or none.
_ENDS = (
    "API?KEY", "ACCESS?KEY", "ACCOUNT?KEY", "AUTH?KEY", "CLIENT?KEY", "DATABASE?KEY", "DB?KEY", "DEPLOY?KEY",
    "ENCRYPTION?KEY", "LICENSE?KEY", "MASTER?KEY", "PRIV?KEY", "PRIVATE?KEY", "SERVICE?KEY", "SIGNING?KEY", "SSH?KEY",
    "STORAGE?KEY", "SUBSCRIPTION?KEY", "DB?PASS", "DATABASE?PASS", "KEY?PASS", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "PASSCODE", "CREDENTIAL",
)  # fmt: skip
# The same for names of several secrets. MAX_TOKENS and its like count tokens of text.
_MANY = (
    *(f"{end}S" for end in _ENDS if end != "TOKEN"), "CREDS",
    *(f"{word}?TOKENS" for word in ("ACCESS", "API", "AUTH", "BEARER", "BOT", "DEPLOY", "ID", "REFRESH", "SESSION", "USER")),
)  # fmt: skip
# Words that make a name a secret's where they stand alone at its end: OPENAI_KEY, and not MONKEY.
_LAST = ("AUTH", "AUTHORIZATION", "BEARER", "JWT", "PASS", "PAT", "PWD")
_NO_KEYS = ("CACHE", "FOREIGN", "PARTITION", "PRIMARY", "PUBLIC", "SORT")  # before KEY
_NUMBER = r"(?:_?V?\d+)?$"


def _any(*ends: str) -> str:
    return "|".join(end.replace("?", "_?") for end in ends)


_NAME = re.compile(
    rf"SECRET|(?:{_any(*_ENDS)}|{_any(*_MANY)}|(?:^|_)(?:{_any(*_LAST)})"
    rf"|{''.join(f'(?<!{word})' for word in _NO_KEYS)}(?<=[A-Z0-9])_KEYS?){_NUMBER}"
)
_MANY_NAMES = re.compile(rf"SECRETS|(?:{_any(*_MANY)}|_KEYS){_NUMBER}")
_WORKING_DIRECTORY = re.compile(r"^(?:OLD)?PWD$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BORDER = re.compile(r"[\s,;]+")


def is_secret_name(name: str) -> bool:
    """Tell whether a variable, a parameter or a name of JSON holds a secret, however it is written.

    `OPENAI_API_KEY`, `openai-api-key`, `openaiApiKey`, `OPENAIAPIKEY` and `OPENAI_API_KEY_2` are the same.
    """
    plain = _plain(name)
    return bool(_NAME.search(plain)) and not _WORKING_DIRECTORY.match(plain)


def secrets(*environs: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets of some environments: values, each with the name of its variable.

    A secret is what a variable holds whose name is a secret's, or that `SCILLM_SECRETS` names: names or patterns,
    separated by commas. Where a value is JSON, or a list or dict, each name in it counts. Of a value of several lines,
    or of several keys with commas between, each is one, too.
    """
    return {text: name for environ in environs for name, whole in _named(environ) for text in _parts(name, whole)}


def not_redacted(*environs: Mapping[str, Any]) -> list[str]:
    """Return the variables whose value cannot be told from ordinary text, where it may well be a secret."""
    held = [(name, value.strip()) for environ in environs for name, value in _named(environ)]
    plain = re.compile(r"\d*|true|false|yes|no|on|off", re.IGNORECASE)
    odd = {name for name, value in held if len(value) < SHORTEST and not plain.fullmatch(value)}
    return sorted(odd | {name for name, value in held if value in _WORDS})


def secret_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the parameters that are named like a secret, or have in them what is."""
    return secrets(parameters)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", _CAMEL.sub("_", name).upper())


def _named(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the values of an environment, or of the parameters of a notebook, that are secret, with their names."""
    added = [pattern.strip() for pattern in str(environ.get(VARIABLE, "")).split(",") if pattern.strip()]
    for name, value in environ.items():
        if name != VARIABLE:
            named = any(fnmatch.fnmatchcase(name, pattern) for pattern in added)
            yield from _leaves(name, value, named)


def _leaves(name: str, value: Any, is_secret: bool) -> Iterator[tuple[str, str]]:
    """Yield the texts of a value that are secret, each with the name that makes it one."""
    is_secret = is_secret or is_secret_name(name)
    inner = _decoded(value) if isinstance(value, str) else value
    if isinstance(inner, Mapping):
        for key, item in inner.items():
            own = is_secret_name(str(key))
            yield from _leaves(str(key) if own else name, item, is_secret or own)
    elif isinstance(inner, (list, tuple)):
        for item in inner:
            yield from _leaves(name, item, is_secret)
    elif is_secret:
        yield name, str(inner)
    if is_secret and isinstance(value, str) and inner is not value:
        yield name, value


def _is_json(value: str) -> bool:
    return value.lstrip().startswith(("{", "["))


def _decoded(value: str) -> Any:
    """Return the object or the list that a value is in JSON, or the value itself."""
    if not _is_json(value):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _parts(name: str, value: str) -> Iterator[str]:
    """Yield a value, its lines, and the keys in it; a word of a passphrase is none."""
    whole = [value, *value.splitlines()]
    keys = [] if _is_json(value) else _BORDER.split(value)
    if not _MANY_NAMES.search(_plain(name)):
        keys = [key for key in keys if not key.isalpha()]
    for text in (text.strip() for text in (*whole, *keys)):
        if len(text) >= SHORTEST and text not in _WORDS:
            yield text
