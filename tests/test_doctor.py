"""`scillm-smoke doctor` names the first cause of what is wrong, whatever is wrong, and not its consequences."""

import io
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from rich.console import Console

from scillm_helpers.doctor.checks import CHECKS
from scillm_helpers.doctor.findings import Diagnosis
from scillm_helpers.doctor.show import show
from scillm_helpers.endpoint import serve
from scillm_helpers.smoke import cli
from tests.harness import SMOKE, Smoke
from tests.ways import Way, relaying, server_context, trusted

NAMES = [check.name for check in CHECKS]
KEY = "obviously-fake-key-of-a-test-7f3a"
# What curl means by its numbers stays; how it says so is another thing in each version and with each TLS library.
NO_NAME, NO_CONNECTION, NO_TLS, BAD_CERTIFICATE = (f"curl: ({number})" for number in (6, 7, 35, 60))
NOBODY = "http://127.0.0.1:9"  # the port of "discard", where nobody listens


@dataclass
class Told:
    """Be what the doctor has printed as JSON."""

    status: int
    content: dict[str, Any]
    out: str

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        return {check["name"]: check for check in self.content["checks"]}

    @property
    def crosses(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["state"] == "failed"]

    @property
    def cause(self) -> dict[str, Any]:
        """Return the one check that does not hold; all those that need it were not made, and say so."""
        (name,) = self.crosses
        assert (self.status, self.content["first_cause"]) == (1, name)
        for later in needing(name):
            assert self.checks[later]["seen"] == f"not checked: needs {name.upper()}", later
        assert self.content["run"] == self.checks[name]["run"] != ""
        assert self.checks[name]["means"]
        return self.checks[name]


def needing(name: str) -> set[str]:
    """Return the checks that need one, and those that need these."""
    found = {name}
    for _ in CHECKS:
        found |= {check.name for check in CHECKS if found & set(check.needs)}
    return found - {name}


def consult(smoke: Smoke, **environ: str) -> Told:
    done = smoke("doctor", "--json", **environ)
    assert done.stderr == "", done
    return Told(done.returncode, json.loads(done.stdout), done.stdout)


class Here:
    """Consult the doctor in this process, which has LiteLLM imported: that takes longer than all the rest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, **environ: str) -> Told:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with self._monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
                patch.delenv(name)
            for name, value in environ.items():
                patch.setenv(name, value)
            status = cli.main(["doctor", "--json"])
        for number, handler in handlers.items():
            signal.signal(number, handler)
        out, err = self._capsys.readouterr()
        assert err == ""
        return Told(status, json.loads(out), out)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capsys)


def live(endpoint: serve.Endpoint, **more: str) -> dict[str, str]:
    """Return the variables of an endpoint that is reached as a live one is, all models named."""
    return endpoint.environ | {"CHUTES_VLM_MODEL": "embedded/omni-1"} | more


def pasted(curl: str, environ: Mapping[str, str], folder: Path) -> str:
    """Return what a shell prints that a curl line is pasted into."""
    given = {"PATH": os.environ["PATH"], "HOME": str(folder)} | dict(environ)
    done = subprocess.run(["bash", "-c", curl], env=given, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


# All well


def test_all_is_well_and_each_curl_line_sees_it_too(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """All ticks, in the documented order, exit status 0; what is pasted shows the same."""
    environ = live(endpoint)
    told = consult(smoke, **environ)
    assert told.status == 0
    assert list(told.checks) == [
        "environment", "name resolution", "connection", "TLS", "/models", "key", "model", "JSON chat", "streaming",
        "image", "clock skew", "proxy variables", "versions",
    ]  # fmt: skip
    assert {check["state"] for check in told.checks.values()} == {"ok"}
    shown = {name: pasted(check["curl"], environ, smoke.folder) for name, check in told.checks.items() if check["curl"]}
    port = endpoint.api_base.split(":")[2].removesuffix("/v1")
    assert shown["name resolution"] == "127.0.0.1\n"
    assert shown["connection"] == shown["proxy variables"] == f"127.0.0.1 port {port}\n"
    assert shown["TLS"].lower() == "http\n"
    assert json.loads(shown["/models"])["data"][0]["id"] == "embedded/omni-1"
    assert json.loads(shown["key"])["object"] == json.loads(shown["model"])["object"] == "chat.completion"
    assert json.loads(shown["JSON chat"])["choices"][0]["message"]["content"] == '{"ok":true}'
    assert json.loads(shown["image"])["choices"][0]["message"]["content"] == "OK, red"
    assert shown["streaming"].strip().endswith("data: [DONE]")
    assert shown["clock skew"].startswith("date: ")
    assert sorted(set(NAMES) - set(shown)) == ["environment", "versions"]


def test_without_a_key_the_embedded_endpoint_is_checked(smoke: Smoke, here: Here) -> None:
    """It says plainly that this says nothing of a live one, and how the curl lines come to work."""
    told = here()
    assert (told.status, told.content["endpoint"]) == (0, "embedded")
    first = told.checks["environment"]
    assert first["seen"] == "CHUTES_API_BASE is not set"
    assert first["means"] == "What follows is checked on the embedded endpoint: it says nothing about a live one."
    assert "scillm-smoke serve" in first["details"][-1]
    assert told.checks["image"]["state"] == "ok"
    told = here(CHUTES_MODEL="example/model-1")
    assert told.cause["seen"] == "CHUTES_MODEL is example/model-1, which is not listed"
    told = here(CHUTES_API_KEY=KEY, HTTPS_PROXY=NOBODY)
    assert "CHUTES_API_KEY is set and used by nobody" in told.checks["environment"]["means"]
    assert told.checks["proxy variables"]["seen"].startswith("HTTPS_PROXY set; the embedded endpoint")
    assert KEY not in told.out


def test_text_for_people(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """No colour where it is piped; the last two lines are the cause and the one command."""
    done = smoke("doctor", **live(endpoint, CHUTES_API_KEY=KEY))
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "First cause: KEY: HTTP 401: Incorrect API key provided.",
        "Run: read -rs CHUTES_API_KEY && export CHUTES_API_KEY",
    ]
    assert "✗ KEY " in done.stdout
    assert "· STREAMING        not checked: needs KEY" in done.stdout
    assert "✓ VERSIONS " in done.stdout


def test_text_at_80_columns(here: Here, endpoint: serve.Endpoint) -> None:
    """Prose is wrapped; commands are not, so that they can be pasted; a picture can be taken of it."""
    told = here(**live(endpoint, CHUTES_API_KEY=KEY))
    shown = _shown(told)
    assert "First cause: KEY: HTTP 401: Incorrect API key provided." in shown
    commands = [line for check in told.checks.values() for line in f"{check['run']}\n{check['curl']}".splitlines()]
    for line in shown.splitlines():
        assert len(line) <= 80 or line.split(": ", 1)[-1].strip() in {command.strip() for command in commands}
    assert _shown(here(**live(endpoint))).splitlines()[-1] == "Nothing is wrong: 13 checks hold, 0 not made."


def _shown(told: Told) -> str:
    console = Console(width=80, force_terminal=True, file=io.StringIO(), record=True)
    show(Diagnosis.of_dict(told.content), console)
    return console.export_text()


def test_wrong_option_is_a_bad_call(smoke: Smoke) -> None:
    """Exit status 2, as with the other commands."""
    assert smoke("doctor", "--no-such-option").returncode == 2


# The environment


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({"CHUTES_API_BASE": "http://127.0.0.1:9/v1"}, "CHUTES_API_KEY is not set"),
        ({"CHUTES_API_BASE": "llm.chutes.ai", "CHUTES_API_KEY": KEY}, "CHUTES_API_BASE is 'llm.chutes.ai'"),
        ({"CHUTES_API_BASE": NOBODY, "CHUTES_API_KEY": f"Bearer {KEY}"}, "CHUTES_API_KEY is wrong"),
        ({"LITELLM_TIMEOUT": "soon"}, "LITELLM_TIMEOUT is 'soon'"),
        (
            {"CHUTES_API_BASE": "http://☺.example/v1", "CHUTES_API_KEY": KEY},
            "CHUTES_API_BASE is 'http://☺.example/v1' (Invalid",
        ),
        ({"SCILLM_BACKEND": "scillm"}, "SCILLM_BACKEND is 'scillm', which is not installed"),
    ],
)
def test_wrong_variable(smoke: Smoke, environ: dict[str, str], seen: str) -> None:
    """It is the cause, with its name; the versions are checked all the same."""
    try:
        os.fsencode("".join(environ.values()))
    except UnicodeEncodeError:
        pytest.skip("no variable can hold that character in this locale")
    told = consult(smoke, **environ)
    assert told.cause["name"] == "environment"
    assert told.cause["seen"].startswith(seen)
    assert told.checks["versions"]["state"] == "ok"
    assert KEY not in told.out


@pytest.mark.parametrize(
    ("base", "whole"),
    [
        ("llm.example.com/v1", "https://llm.example.com/v1"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:99999/v1", "https://llm.chutes.ai/v1"),
        (f"http://127.0.0.1:9/v1?key={KEY}", "https://llm.chutes.ai/v1"),
    ],
)
def test_command_mends_a_wrong_base(smoke: Smoke, base: str, whole: str) -> None:
    """It gets the scheme that it lacks, or is an example; what may hold a key is not shown."""
    told = consult(smoke, CHUTES_API_BASE=base, CHUTES_API_KEY=KEY)
    assert told.cause["name"] == "environment"
    assert told.cause["run"] == f"export CHUTES_API_BASE={whole}"
    assert "?key" not in told.out


def test_wrong_key_says_what_is_in_it_and_where_it_is_from(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """A new one in this shell would not mend the file."""
    (smoke.folder / ".env").write_text(f"CHUTES_API_KEY='\"{KEY}\"'\n")
    told = consult(smoke, CHUTES_API_BASE=endpoint.api_base)
    assert told.cause["name"] == "key"
    assert told.cause["means"].endswith(
        " It has quotes around it: enter it without. It is from .env: correct it there, too."
    )
    assert KEY not in told.out


def test_where_variables_are_from(smoke: Smoke, here: Here, endpoint: serve.Endpoint) -> None:
    """The shell hides `.env`, also with an empty value; a key is shown as its last four characters."""
    base, key = endpoint.api_base, endpoint.api_key
    (smoke.folder / ".env").write_text(
        f"CHUTES_API_BASE={base}\nCHUTES_API_KEY={key}\nLITELLM_TIMEOUT=9\nCHUTES_MODEL=x\nHTTPS_PROXY={NOBODY}\n"
    )
    told = here(LITELLM_TIMEOUT="20", CHUTES_MODEL="")
    lines = [re.sub(" +", " ", line) for line in told.checks["environment"]["details"]]
    assert f"CHUTES_API_BASE .env {base}" in lines
    assert f"CHUTES_API_KEY .env ...{key[-4:]}" in lines
    assert "LITELLM_TIMEOUT shell 20 (.env has another)" in lines
    assert any(line.startswith("default: CHUTES_MODEL,") for line in lines)
    assert any("set -a; . ./.env; set +a" in line for line in lines)
    assert told.checks["proxy variables"]["details"] == [
        "HTTPS_PROXY is set in .env: only the kernels of `scillm-smoke run` see it"
    ]
    assert key not in told.out
    (smoke.folder / ".env").write_bytes(b"CHUTES_MODEL=\xff\n")
    assert "is not UTF-8 text" in here().cause["seen"]


@pytest.mark.parametrize("key", [KEY, "short-1", "fifteen-letters"])
def test_key_never_appears(smoke: Smoke, endpoint: serve.Endpoint, key: str) -> None:
    """Not in text nor JSON, though the endpoint repeats it; of one that is short no part at all."""
    said = json.dumps({"error": {"message": f"Wrong key {key}, sent as Bearer {key}\x1b[31m"}}).encode()
    with relaying(Way(endpoint.api_base, lambda path: (401, said, {}))) as address:
        environ = {"CHUTES_API_BASE": address, "CHUTES_API_KEY": key}
        told, done = consult(smoke, **environ), smoke("doctor", **environ)
    assert told.cause["name"] == "key"
    assert "Wrong key [redacted CHUTES_API_KEY]" in told.cause["seen"]
    for text in (told.out, done.stdout, done.stderr):
        assert key not in text
        assert "\x1b" not in text
        assert (f"...{key[-4:]}" in text) == (key == KEY and text != "")


# The way to the endpoint


def test_name_that_does_not_resolve(smoke: Smoke) -> None:
    """Nothing after it is tried."""
    told = consult(smoke, CHUTES_API_BASE="https://endpoint.invalid/v1", CHUTES_API_KEY=KEY)
    assert told.cause["name"] == "name resolution"
    assert told.cause["run"] == "getent hosts endpoint.invalid"
    assert NO_NAME in pasted(told.cause["curl"], {"CHUTES_API_BASE": "https://endpoint.invalid/v1"}, smoke.folder)
    assert [told.checks[name]["state"] for name in ("proxy variables", "versions")] == ["ok", "ok"]


def test_name_that_can_be_none(smoke: Smoke) -> None:
    """An empty label."""
    told = consult(smoke, CHUTES_API_BASE="https://llm..example/v1", CHUTES_API_KEY=KEY)
    assert told.cause["name"] in ("environment", "name resolution")


@pytest.mark.parametrize("host", ["endpoint.invalid", "192.0.2.1"])
def test_no_network(smoke: Smoke, host: str) -> None:
    """In a network namespace with nothing in it."""
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    environ = smoke.environ | {"CHUTES_API_BASE": f"https://{host}/v1", "CHUTES_API_KEY": KEY}
    done = subprocess.run(
        [*alone, *SMOKE, "doctor", "--json"], cwd=smoke.folder, env=environ, capture_output=True, text=True, check=False
    )
    told = Told(done.returncode, json.loads(done.stdout), done.stdout)
    assert told.cause["name"] == ("connection" if host[0] == "1" else "name resolution")
    assert told.cause["means"] == "This machine has no network: no route leads out of it."


def test_nobody_listens(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """As where a provider is down."""
    environ = live(endpoint)
    with endpoint.refusing():
        told = consult(smoke, **environ)
        assert told.cause["name"] == "connection"
        assert "Nobody listens there" in told.cause["means"]
        assert "Connection refused" in told.cause["seen"]
        assert NO_CONNECTION in pasted(told.cause["curl"], environ, smoke.folder)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


NOW = datetime.now(UTC)
CERTIFICATES = {
    "untrusted": ({}, "127.0.0.1", "Nobody whom httpx trusts"),
    "expired": ({"not_after": NOW - timedelta(days=1), "not_before": NOW - timedelta(days=9)}, "127.0.0.1", "clock is fast"),
    "early": ({"not_before": NOW + timedelta(days=1)}, "127.0.0.1", "clock is slow"),
    "other": ({}, "other.example", "It is for"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_wrong_certificate(smoke: Smoke, endpoint: serve.Endpoint, authority: trustme.CA, kind: str) -> None:
    """What httpx trusts is what counts; the clocks are compared all the same."""
    dates, name, means = CERTIFICATES[kind]
    context = server_context(authority.issue_cert(name, **dates))  # type: ignore[arg-type]
    roots = {} if kind == "untrusted" else trusted(authority, smoke.folder)
    with relaying(Way(endpoint.api_base), context) as address:
        environ = live(endpoint, CHUTES_API_BASE=address) | roots
        told = consult(smoke, **environ)
        assert told.cause["name"] == "TLS"
        assert means in told.cause["means"]
        assert BAD_CERTIFICATE in pasted(told.cause["curl"], environ, smoke.folder)
        assert told.checks["clock skew"]["state"] == "ok"


def test_expired_certificate_of_a_wrong_clock(smoke: Smoke, endpoint: serve.Endpoint, authority: trustme.CA) -> None:
    """The clock is the cause, and not TLS."""
    dates, name, _ = CERTIFICATES["expired"]
    context = server_context(authority.issue_cert(name, **dates))  # type: ignore[arg-type]
    with relaying(Way(endpoint.api_base, ahead=-timedelta(days=3)), context) as address:
        told = consult(smoke, **live(endpoint, CHUTES_API_BASE=address) | trusted(authority, smoke.folder))
    assert told.crosses == ["clock skew"]
    assert "3 days ahead of the endpoint's" in told.checks["clock skew"]["seen"]
    assert told.checks["TLS"]["seen"] == told.checks["streaming"]["seen"] == "not checked: needs CLOCK SKEW"


def test_trusted_certificate(smoke: Smoke, here: Here, endpoint: serve.Endpoint, authority: trustme.CA) -> None:
    """With the root of a private authority in SSL_CERT_FILE all is well, through LiteLLM too."""
    with relaying(Way(endpoint.api_base), server_context(authority.issue_cert("127.0.0.1"))) as address:
        environ = live(endpoint, CHUTES_API_BASE=address) | trusted(authority, smoke.folder)
        told = here(**environ)
        assert told.checks["TLS"]["seen"].endswith(", the certificate is trusted")
        assert told.checks["JSON chat"]["state"] == "ok"
        assert pasted(told.checks["TLS"]["curl"], environ, smoke.folder) == "0\n"


def test_plain_http_where_tls_is_wanted(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """The port speaks, and not TLS."""
    environ = live(endpoint, CHUTES_API_BASE=endpoint.api_base.replace("http:", "https:"))
    told = consult(smoke, **environ)
    assert told.cause["name"] == "TLS"
    assert "speaks no TLS" in told.cause["means"]
    assert NO_TLS in pasted(told.cause["curl"], environ, smoke.folder)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_roots_that_cannot_be_read(
    smoke: Smoke, endpoint: serve.Endpoint, authority: trustme.CA, content: str | None
) -> None:
    """SSL_CERT_FILE names a file that is not there, or none of certificates."""
    path = smoke.folder / "roots.pem"
    if content is not None:
        path.write_text(content)
    with relaying(Way(endpoint.api_base), server_context(authority.issue_cert("127.0.0.1"))) as address:
        told = consult(smoke, **live(endpoint, CHUTES_API_BASE=address, SSL_CERT_FILE=str(path)))
    assert told.cause["name"] == "TLS"
    assert told.cause["seen"].startswith("SSL_CERT_FILE cannot be read: ")
    assert told.cause["run"] == "unset SSL_CERT_FILE"


# Proxies


def test_dead_proxy_is_the_cause(smoke: Smoke, here: Here, endpoint: serve.Endpoint) -> None:
    """Not TLS, nor the connection: the variable, and the endpoint answers without it."""
    environ = live(endpoint, HTTP_PROXY=NOBODY.replace("//", "//user:pass-word@"))
    told = here(**environ)
    assert told.cause["name"] == "proxy variables"
    assert told.cause["seen"].startswith("the proxy 127.0.0.1:9 (HTTP_PROXY) cannot be reached (")
    assert told.cause["run"] == 'export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1"'
    assert NO_CONNECTION in pasted(told.cause["curl"], environ, smoke.folder)
    assert "pass-word" not in told.out
    told = here(**environ, NO_PROXY="127.0.0.1")
    assert told.status == 0
    assert told.checks["proxy variables"]["means"] == "NO_PROXY exempts 127.0.0.1 from HTTP_PROXY."
    assert "--noproxy '*'" in told.checks["/models"]["curl"]


@pytest.mark.parametrize(
    ("proxy", "seen"),
    [
        ("http://proxy.invalid:3128", "has a name that does not resolve"),
        ("gopher://127.0.0.1:70", "cannot be used"),
    ],
)
def test_proxy_that_cannot_be(smoke: Smoke, endpoint: serve.Endpoint, proxy: str, seen: str) -> None:
    """A name without an address; a scheme that httpx does not know."""
    told = consult(smoke, **live(endpoint, http_proxy=proxy))
    assert told.cause["name"] == "proxy variables"
    assert seen in told.cause["seen"]


@pytest.mark.parametrize("status", [407, 502])
def test_proxy_that_answers_itself(smoke: Smoke, endpoint: serve.Endpoint, status: int) -> None:
    """It wants a password; it does not find the endpoint, which is there."""
    with relaying(Way(endpoint.api_base, lambda path: (status, b"<html>", {}))) as proxy:
        told = consult(smoke, **live(endpoint, ALL_PROXY=proxy))
    assert told.cause["name"] == "proxy variables"
    assert f"answers HTTP {status}" in told.cause["seen"]
    assert "Directly 127.0.0.1 answers" in told.cause["means"]


def test_proxy_that_opens_no_tunnel(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """For https a proxy is asked to connect, and may refuse."""
    with relaying(Way(endpoint.api_base, tunnel=403)) as proxy:
        told = consult(smoke, CHUTES_API_BASE="https://endpoint.invalid", CHUTES_API_KEY=KEY, HTTPS_PROXY=proxy)
    assert told.cause["name"] == "proxy variables"
    assert "refuses to connect to the endpoint (403" in told.cause["seen"]
    assert told.cause["run"] == "unset HTTPS_PROXY"


def test_proxy_that_works(smoke: Smoke, here: Here, endpoint: serve.Endpoint) -> None:
    """It is named, and curl takes the same way."""
    way = Way(endpoint.api_base)
    with relaying(way) as proxy:
        environ = live(endpoint, HTTP_PROXY=proxy)
        told = here(**environ)
        assert told.checks["name resolution"]["seen"] == "left to the proxy"
        assert told.checks["proxy variables"]["seen"] == f"requests go through {proxy[7:]} (HTTP_PROXY)"
        assert told.checks["JSON chat"]["state"] == "ok"
        passed = len(way.seen)
        assert "embedded/omni-1" in pasted(told.checks["/models"]["curl"], environ, smoke.folder)
        assert len(way.seen) == passed + 1


# What the endpoint answers


PAGE = b"<!DOCTYPE html><title>Please log in</title>"
LISTS = {
    "page": ((200, PAGE, {"Content-Type": "text/html"}), "HTTP 200, a web page", "login portal"),
    "redirect": ((302, b"", {"Location": "https://portal.example/login"}), "HTTP 302 to https://portal.example/login", "login portal"),
    "not JSON": ((200, b"hello", {}), "no list of models: hello", "Something else"),
    "other JSON": ((200, b'{"data": "x"}', {}), "no list of models: ", "Something else"),
    "empty": ((200, b'{"data": []}', {}), "the list is empty", "serves no model"),
    "busy": ((503, b"{}", {"Retry-After": "7"}), "HTTP 503: ", "it asks to wait 7 s"),
    "limit": ((429, b"{}", {}), "HTTP 429: ", "Too many requests"),
    "nowhere": ((404, b"{}", {}), "HTTP 404", "none near it answers"),
    "wrong": ((400, b'{"error": {"message": "no such route"}}', {}), "HTTP 400: no such route", "Something else"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LISTS)
def test_no_list_of_models(smoke: Smoke, endpoint: serve.Endpoint, kind: str) -> None:
    """Whatever else comes in its place."""
    answer, seen, means = LISTS[kind]
    with relaying(Way(endpoint.api_base, lambda path: answer)) as address:
        told = consult(smoke, **live(endpoint, CHUTES_API_BASE=f"{address}/v1"))
    assert told.cause["name"] == "/models"
    assert told.cause["seen"].startswith(seen)
    assert means in told.cause["means"]


@pytest.mark.parametrize("path", ["/api", "/v1/chat", "/v2"])
def test_base_that_is_nearly_right(smoke: Smoke, endpoint: serve.Endpoint, path: str) -> None:
    """The one that answers is found, and told."""
    told = consult(smoke, **live(endpoint, CHUTES_API_BASE=endpoint.api_base.removesuffix("/v1") + path))
    assert told.cause["name"] == "/models"
    assert told.cause["run"] == f"export CHUTES_API_BASE={endpoint.api_base}"


def test_list_that_does_not_come(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """The run is bounded by LITELLM_TIMEOUT."""
    from tests.scripted import serving

    with serving() as server:
        server.answers = [lambda handler: server.gone.wait()] * 2  # type: ignore[list-item, return-value]
        told = consult(smoke, CHUTES_API_BASE=server.api_base, CHUTES_API_KEY=KEY, LITELLM_TIMEOUT="4")
    assert told.cause["name"] == "/models"
    assert told.cause["seen"] == "no answer within 4 s"


FAULTS = {
    # what the requests for chats meet, one after the other: the check that has the cross, and what it has seen
    ("403",): ("key", "HTTP 403: This key may not use this model."),
    ("401",): ("key", "HTTP 401: Incorrect API key provided."),
    ("x-api-key", "x-api-key"): ("key", "HTTP 401: No API key provided: send 'x-api-key: KEY'."),
    ("404",): ("model", "HTTP 404: The model does not exist"),
    ("429=5",): ("model", "HTTP 429: Rate limit reached"),
    ("503",): ("model", "HTTP 503: No capacity"),
    ("500",): ("model", "HTTP 500: The server had an error"),
    ("502",): ("model", "HTTP 502, a web page"),
    ("529",): ("model", "HTTP 529: Overloaded."),
    ("408",): ("model", "HTTP 408: "),
    ("413",): ("model", "HTTP 413: The body is too large."),
    ("reset",): ("model", "the connection broke: "),
    ("reset-mid-body",): ("model", "the connection broke: "),
    ("slow-headers",): ("model", "no answer within 2 s"),
    ("ok", "fenced"): ("JSON chat", "the reply is JSON in a Markdown fence: ```json"),
    ("ok", "prose"): ("JSON chat", "the reply is prose around JSON: Sure!"),
    ("ok", "truncated"): ("JSON chat", 'the reply is JSON that is cut, or has slips: {"ok"'),
    ("ok", "empty"): ("JSON chat", "the reply is empty"),
    ("ok", "503"): ("JSON chat", "capacity: "),
    ("ok", "ok", "cut"): ("streaming", "the stream ended after "),
    ("ok", "ok", "cut-in-token"): ("streaming", "an event is not JSON"),
    ("ok", "ok", "malformed-chunk"): ("streaming", "an event is not JSON"),
    ("ok", "ok", "error-in-stream"): ("streaming", "an error inside the stream: No capacity"),
    ("ok", "ok", "reset-mid-body"): ("streaming", "the stream broke after "),
    ("ok", "ok", "stall"): ("streaming", "the stream broke after "),
    ("ok", "ok", "503"): ("streaming", "HTTP 503: No capacity"),
    ("ok", "ok", "ok", "empty"): ("image", "an empty reply"),
    ("ok", "ok", "ok", "429"): ("image", "rate_limit: "),
}  # fmt: skip


@pytest.mark.parametrize("faults", FAULTS, ids="-".join)
def test_fault_of_the_provider(here: Here, endpoint: serve.Endpoint, faults: tuple[str, ...]) -> None:
    """The check that meets it has the cross; nothing is tried again, so that each fault is met once."""
    name, seen = FAULTS[faults]
    with endpoint.faults.scripted(*faults):
        told = here(**live(endpoint, LITELLM_TIMEOUT="2"))
    assert told.cause["name"] == name
    assert told.cause["seen"].startswith(seen)


@pytest.mark.parametrize(
    "fault", ["double-done", "no-done", "no-usage", "comments", "crlf", "gzip", "wrong-content-type"]
)
def test_stream_that_is_odd_and_right(here: Here, endpoint: serve.Endpoint, fault: str) -> None:
    """What LiteLLM reads without a loss is no cause."""
    with endpoint.faults.scripted("ok", "ok", fault):
        assert here(**live(endpoint)).status == 0


def test_gateway_that_wants_another_header(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """The command to run next shows that it works."""
    with endpoint.faults.scripted("x-api-key", "x-api-key", "x-api-key"):
        environ = live(endpoint)
        told = consult(smoke, **environ)
        assert "wants x-api-key and no bearer" in told.cause["means"]
        assert json.loads(pasted(told.cause["run"], environ, smoke.folder))["object"] == "chat.completion"


@pytest.mark.parametrize("variable", ["CHUTES_MODEL", "CHUTES_TEXT_MODEL", "CHUTES_VLM_MODEL"])
def test_model_that_is_not_listed(smoke: Smoke, endpoint: serve.Endpoint, variable: str) -> None:
    """The nearest names are told."""
    told = consult(smoke, **live(endpoint) | {variable: "Embeded/Omni-1"})
    assert told.cause["name"] == "model"
    assert told.cause["seen"] == f"{variable} is Embeded/Omni-1, which is not listed"
    assert told.cause["means"].startswith("Did you mean embedded/omni-1")
    assert told.cause["run"] == f"export {variable}='embedded/omni-1'"


def test_image(here: Here, endpoint: serve.Endpoint) -> None:
    """No model that can see is named; one that cannot; a demo picture that is not there."""
    told = here(**endpoint.environ)
    assert told.status == 0
    assert told.checks["image"]["seen"] == "not checked: export CHUTES_VLM_MODEL=MODEL, one that can see"
    told = here(**live(endpoint, CHUTES_VLM_MODEL="embedded/text-1"))
    assert told.cause["name"] == "image"
    assert told.cause["means"] == "embedded/text-1 does not take images: choose another model."
    assert told.cause["run"] == told.checks["/models"]["curl"]
    assert "litellm." not in told.cause["seen"]
    told = here(**live(endpoint, SCILLM_DEMO_IMAGE="nowhere.png"))
    assert told.cause["name"] == "image"
    assert told.cause["run"] == "unset SCILLM_DEMO_IMAGE"


# Streams


@contextmanager
def _slow() -> Iterator[serve.Endpoint]:
    running = serve.start(chunk_seconds=0.02)
    yield running
    running.stop()


def test_proxy_that_buffers(here: Here) -> None:
    """Everything comes in one piece, after a wait as long as the reply; without the proxy it does not."""
    with _slow() as endpoint, relaying(Way(endpoint.api_base)) as address:
        told = here(**live(endpoint, CHUTES_API_BASE=address))
        assert told.cause["name"] == "streaming"
        assert "events came at one instant, after" in told.cause["seen"]
        assert "proxy_buffering off" in told.cause["means"]
        told = here(**live(endpoint))
        assert told.status == 0
        assert told.checks["streaming"]["means"] == "The words come as they are written."


def test_stream_of_few_events_is_not_told_as_buffered(here: Here) -> None:
    """Four events at one instant are no sign."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": end}]} for end in (None, "stop")]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    with _slow() as endpoint:
        asked: list[str] = []

        def told(path: str) -> tuple[int, bytes, dict[str, str]] | None:
            asked.append(path)  # two for the models; then the smallest chat, JSON, the stream
            return (200, body, {"Content-Type": "text/event-stream"}) if len(asked) == 5 else None

        with relaying(Way(endpoint.api_base, told)) as address:
            finding = here(**live(endpoint, CHUTES_API_BASE=address)).checks["streaming"]
    assert (finding["state"], finding["means"]) == ("ok", "Too few events to tell more.")


# Clocks


@pytest.mark.parametrize(("minutes", "said"), [(-90, "90 minutes ahead of"), (5, "5 minutes behind")])
def test_wrong_clock(here: Here, endpoint: serve.Endpoint, minutes: int, said: str) -> None:
    """More than a minute is told; the rest is checked all the same."""
    with relaying(Way(endpoint.api_base, ahead=timedelta(minutes=minutes))) as address:
        told = here(**live(endpoint, CHUTES_API_BASE=address))
    assert "clock skew" in told.crosses
    assert said in told.checks["clock skew"]["seen"]
    assert told.checks["JSON chat"]["state"] == "ok"


# Versions


def _installed(folder: Path, **versions: str) -> dict[str, str]:
    """Return the variable with which Python finds these versions installed."""
    for package, version in versions.items():
        told = folder / f"{package}-{version}.dist-info"
        told.mkdir(parents=True)
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("versions", "seen"),
    [
        ({"litellm": "1.82.8"}, "litellm 1.82.8"),
        ({"openai": "1.55.2"}, "openai 1.55.2"),
        ({"openai": "1.100.1", "litellm": "1.75.8"}, "openai 1.100.1"),
        ({"httpx": "1.0.dev3"}, "httpx 1.0.dev3"),
        ({"openai": "99.0"}, r"litellm \S+ needs openai\S+, and 99.0 is installed"),
    ],
)
def test_known_bad_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], seen: str
) -> None:
    """Each row of the table, and what does not fit together, with the command that installs what this project needs."""
    from scillm_helpers.doctor.versions import KNOWN_BAD, check

    _installed(tmp_path / "more", **versions)
    monkeypatch.syspath_prepend(tmp_path / "more")
    found = check()
    assert found.state == "failed"
    assert re.fullmatch(seen, found.seen)
    assert re.match(r"python -m pip install 'litellm>=\S+' 'openai>=\S+' 'httpx<1,>=\S+'$", found.run)
    assert all(bad.source.startswith("https://github.com/") for bad in KNOWN_BAD)
    assert any(bad.source in found.means for bad in KNOWN_BAD) or " needs " in seen


def test_malicious_release_is_not_imported(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """The checks that go through LiteLLM are not made then."""
    environ = smoke.environ | live(endpoint) | _installed(smoke.folder / "more", litellm="1.82.7")
    done = subprocess.run(
        [*SMOKE, "doctor", "--json"], cwd=smoke.folder, env=environ, capture_output=True, text=True, check=False
    )
    told = Told(done.returncode, json.loads(done.stdout), done.stdout)
    assert told.cause["name"] == "versions"
    assert "change every one" in told.cause["means"]
    for through_litellm in ("JSON chat", "image"):
        assert told.checks[through_litellm]["seen"] == "not checked: needs VERSIONS"
    assert told.checks["streaming"]["state"] == "ok"


def test_other_versions_than_this_project_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cause, and told."""
    from scillm_helpers.doctor.versions import check

    _installed(tmp_path / "more", litellm="1.105.0")
    monkeypatch.syspath_prepend(tmp_path / "more")
    found = check()
    assert found.state == "ok"
    assert re.match(r"scillm-notebooks \S+ needs litellm>=\S+, and 1.105.0 is installed", found.details[0])
