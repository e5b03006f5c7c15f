"""What looks like a key is found though no variable holds it: compared with the rules of detect-secrets."""

import random
import re
from typing import Any

import pytest
import rstr
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

from scillm_helpers.smoke.key_shapes import _PREFIXED
from scillm_helpers.smoke.redact import Redactor

# Rules that need no counterpart here.
_LEFT_OUT = {
    "Public IP (ipv4)": "an address is no secret",
    "Private Key": "the rule finds the first line of one alone; see below",
    "JSON Web Token": "only what decodes is one; see below",
    "Basic Auth Credentials": "see below",
    "NPM tokens": "`npm_` and whatever follows in the line; see below",
    "IBM Cloud IAM Key": "an assignment of 44 letters to a variable with `key` in its name",
    "IBM COS HMAC Credentials": "the same, of 48 hexadecimal digits",
    "SoftLayer Credentials": "the same, of 64",
    "Cloudant Credentials": "the same; its addresses with a password are found as such",
}
# Artifactory's, which are each word such as APPLICATIONS1, and some place in most pictures that base64 encodes.
_LOOSE = (r"AP[\dABCDEF][a-zA-Z0-9]{8,}", r"AKC[a-zA-Z0-9]{10,}")


def _rules() -> list[Any]:
    """Return each regular expression of detect-secrets with its plugin."""
    plugins = get_mapping_from_secret_type_to_class()
    return [
        pytest.param(plugin, pattern, id=f"{name} {number}")
        for name, plugin in sorted(plugins.items())
        if issubclass(plugin, RegexBasedDetector) and name not in _LEFT_OUT
        for number, pattern in enumerate(plugin().denylist)
        if not any(loose in pattern.pattern for loose in _LOOSE) and "aws.{0,20}?" not in pattern.pattern
    ]


@pytest.mark.parametrize(("plugin", "pattern"), _rules())
def test_rule_finds_nothing_more(plugin: type[RegexBasedDetector], pattern: "re.Pattern[str]") -> None:
    """Of ten texts that a rule was made for, nothing is left that it would find."""
    generator = rstr.Rstr(random.Random(7))
    for _ in range(10):
        key = generator.xeger(pattern.pattern.replace("(?!\\w)", "")).strip(' \t\r\n\f\v"=:')
        text = f'x = "{key}" # and more'
        assert plugin().analyze_line("a.py", text, 1), text
        clean = Redactor({}).text(text)
        assert not plugin().analyze_line("a.py", clean, 1), clean
        assert clean.endswith("# and more")


def test_left_out_rules_exist() -> None:
    """A rule that was renamed is looked at again."""
    assert set(_LEFT_OUT) <= set(get_mapping_from_secret_type_to_class())


@pytest.mark.parametrize(("prefix", "name", "letters", "least"), _PREFIXED, ids=lambda value: str(value))
def test_prefix_is_found(prefix: str, name: str, letters: str, least: int) -> None:
    """Where a word begins, in an address, escaped, and in what a program prints of it; and not when it is shorter."""
    rest = rstr.Rstr(random.Random(7)).xeger(f"{letters}{{{least}}}")
    for before, after in (
        ("", ""),
        ('"', '"'),
        ("key=", "&x"),
        ("?key%3D", "%26x"),
        (r"a\n", r"\nb"),
        ("Bearer ", "\n"),
    ):
        clean = Redactor({}).text(f"see {before}{prefix}{rest}{after} ok")
        assert rest[-8:] not in clean, clean
        assert clean.endswith(" ok")
    short = f"see {prefix}{rest[: least // 3]} ok"
    assert Redactor({}).text(short) == short


PRIVATE = {
    "RSA": "-----BEGIN RSA PRIVATE KEY-----\nobviously+fake/\nfake==\n-----END RSA PRIVATE KEY-----",
    "OpenSSH": "-----BEGIN OPENSSH PRIVATE KEY-----\nobviously+fake/\n-----END OPENSSH PRIVATE KEY-----",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nobviously+fake/\n-----END PGP PRIVATE KEY BLOCK-----",
    "PuTTY": "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\nobviouslyfake\nPrivate-MAC: 0123456789",
    "cut": "-----BEGIN EC PRIVATE KEY-----\nobviously+fake/\nobviously+fake",
}


@pytest.mark.parametrize("kind", PRIVATE)
def test_private_key_is_found(kind: str) -> None:
    """Whole, and without its end."""
    clean = Redactor({}).text(f"see {PRIVATE[kind]} ok")
    assert "fake" not in clean
    assert clean.startswith("see [redacted private key]")


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ("", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmYWtlIn0", " ok"),
        ("", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmYWtlIn0.b2J2aW91c2x5", " ok"),
        ("", "eyJhbGciOiJub25lIn0.Y3J5cHQ1a2V5.aXZpdml2.Y2lwaGVydGV4dA.dGFn", " ok"),
        ("postgresql+asyncpg://me:", "opensesame", "@db:5432/x"),
        ("//registry.npmjs.org/:_authToken=", "00000000-0000-0000-0000-00000000fake", "\n"),
        ("//registry.npmjs.org/:_authToken=", "npm_" + "obviouslyFake" * 3, "\n"),
    ],
)
def test_token_is_found(before: str, key: str, after: str) -> None:
    """A JSON web token without a signature, signed and encrypted; a password in an address; a line of .npmrc."""
    clean = Redactor({}).text(before + key + after)
    assert re.fullmatch(re.escape(before) + r"\[redacted [\w ]+\]" + re.escape(after), clean)


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Basic dXNlcjpvcGVuc2VzYW1l",
        "{'Authorization': 'Basic dXNlcjpvcGVuc2VzYW1l'}",
        "('authorization', b'Basic dXNlcjpvcGVuc2VzYW1l')",
    ],
)
def test_basic_authorization_is_found(header: str) -> None:
    """As it is sent, and as a dict or a list of headers shows it."""
    assert "dXNlcjpvcGVuc2VzYW1l" not in Redactor({}).text(header)


@pytest.mark.parametrize(
    "text",
    [
        "Basic internationalization of the authorization",
        "a risk-averse-and-otherwise-cautious-person",
        "task-sk-learn, gsk_, hf_hub_download, npm_config_registry, AKIA, SK and AC, xai-api",
        "https://user@host/path:8080 http://host:80/a@b 12:30:45 1234567890:short",
        "eyJ.no.token, a.b.c, MAX_TOKENS=8, 00112233-us1",
        "sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """What is near a shape and has it not."""
    assert Redactor({}).text(text) == text
