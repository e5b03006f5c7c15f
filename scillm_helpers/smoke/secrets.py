"""What is a secret: the values of some variables, and what has the shape of a key."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

VARIABLE = "SCILLM_SECRETS"

SHORTEST = 8  # characters; what is shorter is told from ordinary text by nothing

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

_NAME = re.compile(r"(^|_)(API_?KEY|TOKEN|PASSWORD)$|(^|_)SECRET", re.IGNORECASE)

# A text that every key of the kind holds, the kind, and its shape. The prefixes are those that the
# providers document; GitHub's list of secret scanning patterns names nearly all of them.
SHAPES: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (hint, re.compile(shape, re.DOTALL), name)
    for hint, name, shape in (
        ("sk-", "key", r"(?<![\w-])(?P<key>sk-[\w-]{20,})"),  # OpenAI, Anthropic, OpenRouter, DeepSeek
        ("cpk_", "Chutes key", r"(?<!\w)(?P<key>cpk_[\w.-]{20,})"),
        ("hf_", "Hugging Face token", r"(?<!\w)(?P<key>hf_[A-Za-z0-9]{30,})"),
        ("gsk_", "Groq key", r"(?<!\w)(?P<key>gsk_[A-Za-z0-9]{40,})"),
        ("xai-", "xAI key", r"(?<![\w-])(?P<key>xai-[A-Za-z0-9]{40,})"),
        ("nvapi-", "NVIDIA key", r"(?<![\w-])(?P<key>nvapi-[\w-]{40,})"),
        ("pplx-", "Perplexity key", r"(?<![\w-])(?P<key>pplx-[A-Za-z0-9]{40,})"),
        ("r8_", "Replicate token", r"(?<!\w)(?P<key>r8_[A-Za-z0-9]{30,})"),
        ("AIza", "Google key", r"(?<!\w)(?P<key>AIza[\w-]{35})(?![\w-])"),
        ("AKIA", "AWS key", r"(?<!\w)(?P<key>AKIA[A-Z0-9]{16})(?!\w)"),
        ("ASIA", "AWS key", r"(?<!\w)(?P<key>ASIA[A-Z0-9]{16})(?!\w)"),
        ("gh", "GitHub token", r"(?<!\w)(?P<key>gh[pousr]_[A-Za-z0-9]{36,})"),
        ("github_pat_", "GitHub token", r"(?<!\w)(?P<key>github_pat_\w{50,})"),
        ("glpat-", "GitLab token", r"(?<![\w-])(?P<key>glpat-[\w-]{20,})"),
        ("xox", "Slack token", r"(?<!\w)(?P<key>xox[abeprs]-[\w-]{10,})"),
        ("k_live_", "Stripe key", r"(?<!\w)(?P<key>[rs]k_live_[A-Za-z0-9]{20,})"),
        ("pypi-", "PyPI token", r"(?<![\w-])(?P<key>pypi-[\w-]{50,})"),
        ("eyJ", "JSON web token", r"(?<!\w)(?P<key>eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"),
        ("earer", "bearer token", r"[Bb]earer (?P<key>[\w.~+/-]{20,}=*)"),
        (
            "PRIVATE KEY",
            "private key",
            r"(?P<key>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----)",
        ),
        ("://", "password", r"\w://[^\s/:@\"'<>]*:(?P<key>[^\s/:@\"'<>]+)@"),
    )
)


def secrets(*environs: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of some environments: values, each with the name of its variable.

    A secret is what a variable holds whose name ends in `API_KEY`, `TOKEN` or `PASSWORD`, or has
    `SECRET` in it, or that `SCILLM_SECRETS` names: names or patterns, separated by commas. Of a
    value of several lines each line is one, too.
    """
    return {value: name for environ in environs for name, whole in _named(environ) for value in _lines(whole)}


def not_redacted(*environs: Mapping[str, str]) -> list[str]:
    """Return the variables whose value cannot be told from ordinary text, where it may well be a secret."""
    held = [(name, value.strip()) for environ in environs for name, value in _named(environ)]
    plain = re.compile(r"\d*|true|false|yes|no|on|off", re.IGNORECASE)
    odd = {name for name, value in held if len(value) < SHORTEST and not plain.fullmatch(value)}
    return sorted(odd | {name for name, value in held if value in _WORDS})


def secret_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the parameters that are named like a secret."""
    return secrets({name: str(value) for name, value in parameters.items()})


def _named(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    added = [pattern.strip() for pattern in environ.get(VARIABLE, "").split(",") if pattern.strip()]
    for name, value in environ.items():
        if name != VARIABLE and (_NAME.search(name) or any(fnmatch.fnmatchcase(name, pattern) for pattern in added)):
            yield name, value


def _lines(value: str) -> Iterator[str]:
    for text in (value.strip(), *value.splitlines()):
        if len(text.strip()) >= SHORTEST and text.strip() not in _WORDS:
            yield text.strip()
