"""What the helpers make of each fault: on both HTTP transports, under the openai that LiteLLM wants and the newest."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from scillm_helpers.endpoint.faults import NAMES
from tests.conftest import ROOT

NEWEST_OPENAI = Path(sys.prefix) / "openai-newest"  # `make` installs it there


@dataclass(frozen=True)
class Expected:
    """Be what becomes of a call that meets a fault once, and may be tried once more."""

    text: str = ""
    raised: str = ""
    kind: str = ""
    waits: tuple[str, ...] = ()
    requests: int = 1


FINE = Expected("whole")
AGAIN = Expected("whole", waits=("own",), requests=2)  # tried again, after a wait of the helper's own
TOLD = Expected("whole", waits=("told",), requests=2)  # tried again, when the provider said
REFUSED = Expected(raised="AuthError", kind="auth")
REPLY = {
    "ok": FINE,
    "refused": Expected(raised="EndpointError", kind="connection", waits=("own",), requests=0),
    "401": REFUSED,
    "403": REFUSED,
    "404": Expected(raised="NotFoundError", kind="bad_request"),
    "408": AGAIN,
    "413": Expected(raised="*", kind="bad_request"),  # LiteLLM's class depends on the version of openai
    "429": TOLD,
    "429-date": TOLD,
    "500": AGAIN,
    "502": AGAIN,
    "503": AGAIN,
    "529": AGAIN,
    "empty": Expected(""),
    "fenced": Expected("other"),
    "truncated": Expected("part"),
    "prose": Expected("other"),
    "reset": AGAIN,
    "reset-mid-body": AGAIN,
    "slow-headers": AGAIN,
    "slow-headers=0.01": FINE,
    "wrong-content-type": FINE,
    "gzip": FINE,
    "x-api-key": REFUSED,
    "x-api-key sent": FINE,
}
STREAM = REPLY | {
    "reset-mid-body": Expected("part", "StreamError", "connection"),
    "slow-first-token": Expected("", "StreamError", "timeout"),
    "slow-first-token=0.01": FINE,
    "stall": Expected("part", "StreamError", "timeout"),
    "cut": Expected("part", "StreamCutError", "bad_reply"),
    "cut-in-character": Expected("other", "StreamError", "bad_reply"),  # the whole text, and some of the next
    "cut-in-token": Expected("part", "StreamCutError", "bad_reply"),
    "malformed-chunk": Expected("part", "StreamError", "bad_reply"),
    "error-in-stream": Expected("part", "StreamError", "capacity"),
    "double-done": FINE,
    "no-done": FINE,
    "no-usage": FINE,
    "comments": FINE,
    "crlf": FINE,
}
HELD = Expected('{"ok": true}')
MENDED = Expected('mended {"ok": true}')
PARSED = {
    "ok": HELD,
    "empty": Expected(raised="JsonReplyError: The reply holds no JSON; ask for it in the prompt too, and see `.raw`.", kind="bad_reply"),
    "fenced": MENDED,
    "truncated": Expected(raised="JsonReplyError: The reply ends in the middle of its JSON; ask again, and see `.raw`.", kind="bad_reply"),
    "prose": MENDED,
}  # fmt: skip
TABLE = {"completion": REPLY, "acompletion": REPLY, "stream": STREAM, "astream": STREAM, "parsed": PARSED}
# By the openai that is found: the installed one, which `make test-newest` has newer too, or the newest beside it.
STACKS = [
    pytest.param("installed", "httpx"),
    pytest.param("installed", "aiohttp", marks=pytest.mark.slow),
    pytest.param("newest", "httpx", marks=pytest.mark.slow),
    pytest.param("newest", "aiohttp", marks=pytest.mark.slow),
]


@cache
def _outcomes(which: str, transport: str) -> dict[str, Any]:
    paths = [str(ROOT), *([str(NEWEST_OPENAI)] if which == "newest" else [])]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(reversed(paths)),
        "SCILLM_FORCE_HTTPX_STREAM": "1" if transport == "httpx" else "0",
    }
    command = [sys.executable, "-m", "tests.fault_outcomes"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("which", "transport"), STACKS)
def test_stack_is_the_one_that_is_meant(which: str, transport: str) -> None:
    """The openai package that was imported, and the transport below LiteLLM."""
    path = [str(NEWEST_OPENAI)] if which == "newest" else sys.path
    found = next(iter(metadata.distributions(name="openai", path=path)))
    stack = _outcomes(which, transport)["stack"]
    assert stack["openai"] == found.version
    assert stack["transport"] == transport


@pytest.mark.parametrize(("call", "fault"), [(call, fault) for call, rows in TABLE.items() for fault in rows])
@pytest.mark.parametrize(("which", "transport"), STACKS)
def test_outcome_of_a_fault(which: str, transport: str, call: str, fault: str) -> None:
    """The text that is kept, what is raised and its kind, what is tried again and when."""
    found = _outcomes(which, transport)["calls"][call][fault]
    expected = TABLE[call][fault]
    raised = found["raised"].partition(" < ")[0] if call != "parsed" else found["raised"]
    assert (found["text"], found["kind"]) == (expected.text, expected.kind)
    assert (tuple(found["waits"]), found["requests"]) == (expected.waits, expected.requests)
    assert raised == expected.raised or (expected.raised == "*" and raised)


def test_table_has_a_row_for_every_fault() -> None:
    """None is added without saying what becomes of it."""
    assert set(NAMES) <= STREAM.keys()


# What LiteLLM raises where the helpers raise their own, by the major version of openai: a new version that changes it is
# noticed here. Those of 1.106 to 1.110 raise the same, but for `x-api-key`, and a cut stream, which older ones than 1.109 take for whole.
BEHIND = {
    "401": {"2": "AuthenticationError", "3": "AuthenticationError"},
    "403": {"2": "BadRequestError", "3": "APIError"},
    "x-api-key": {
        "2": "BadRequestError or AuthenticationError",
        "3": "AuthenticationError",
    },  # by LiteLLM's version; a 401
    "refused": {"2": "InternalServerError", "3": "InternalServerError"},
    "413": {"2": "BadRequestError", "3": "APIError"},
    "stall": {"2": "MidStreamFallbackError", "3": "Timeout"},
    "malformed-chunk": {"2": "MidStreamFallbackError", "3": "MidStreamFallbackError"},
}


@pytest.mark.parametrize("fault", BEHIND)
@pytest.mark.parametrize("which", ["installed", pytest.param("newest", marks=pytest.mark.slow)])
def test_exception_of_litellm(which: str, fault: str) -> None:
    """It differs with the version of openai, and so do the words of an error; its kind does not."""
    found = _outcomes(which, "httpx")
    raised = found["calls"]["stream"][fault]["raised"]
    assert raised.rpartition(" < ")[2] in BEHIND[fault][found["stack"]["openai"].partition(".")[0]].split(" or ")


def test_cut_stream_has_the_same_outcome_whether_litellm_sees_it() -> None:
    """LiteLLM before 1.109 takes it for whole, later ones raise: the helpers raise their own error of the same kind."""
    raised = _outcomes("installed", "httpx")["calls"]["stream"]["cut"]["raised"]
    sees = Version(metadata.version("litellm")) >= Version("1.109")
    assert raised == ("StreamCutError < MidStreamFallbackError" if sees else "StreamCutError")
