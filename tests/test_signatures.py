"""Failures that are one and the same read as one line."""

from pathlib import Path

import pytest

from scillm_helpers.kinds import Kind
from scillm_helpers.smoke.results import Case, CaseResult, Reason, Run, Status
from scillm_helpers.smoke.signatures import failures, signature


def _result(
    message: str, kind: Kind | None = "assertion", status: Status = "failed", name: str = "a", model: str = "some/model"
) -> CaseResult:
    return CaseResult(
        Case(f"{name}@{model}", Path(f"{name}.ipynb"), {}, model), status, reason=Reason(kind, message, 3)
    )


def _run(*results: CaseResult) -> Run:
    return Run("id", "2026-11-23T03:00:00+00:00", 1.0, "live", "https://x/v1", "litellm", "3.11", None, (), results)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("request req_011CXabcDEF failed", "request req_94KdefGHI22 failed"),
        ("chatcmpl-0a1b2c3d4e5f has no text", "chatcmpl-9f8e7d6c5b4a has no text"),
        ("trace 3f2b8c1e-1111-2222-3333-444455556666", "trace 00000000-aaaa-bbbb-cccc-444455556666"),
        ("at 2026-11-22T03:17:09.123Z", "at 2026-11-23 04:00:00+01:00"),
        ("took 12.5 s, not 3", "took 7 s, not 44"),
        ("<object at 0x7f00aa>", "<object at 0x55cd12>"),
        ("from 10.1.2.3:4567", "from 192.168.0.1"),
        ("https://a.example/v1?x=1 said no", "http://127.0.0.1:9/v1 said no"),
        ("cannot read /tmp/scillm-abc/work/x.png", "cannot read /tmp/scillm-def/work/x.png"),
        ("digest 0123456789abcdef differs", "digest fedcba9876543210 differs"),
    ],
)
def test_what_varies_makes_no_difference(one: str, other: str) -> None:
    """Ids, times, numbers, addresses, paths."""
    assert signature(_result(one)) == signature(_result(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x is not y", "x is not z"),
        ("KeyError: 'choices'", "KeyError: 'usage'"),
        ("Unsupported parameter: temperature", "Unsupported parameter: max_tokens"),
    ],
)
def test_what_is_said_makes_one(one: str, other: str) -> None:
    """Words are what tells failures apart."""
    assert signature(_result(one)) != signature(_result(other))


def test_model_and_notebook_make_no_difference() -> None:
    """The same failure of two models, in two notebooks, is one."""
    one = _result("embedded/a gave 02_x no text", model="embedded/a", name="02_x")
    other = _result("embedded/b gave 03_y no text", model="embedded/b", name="03_y")
    assert signature(one) == signature(other) == "assertion: <model> gave <notebook> no text"


def test_kind_and_status_make_a_difference() -> None:
    """A timeout of the provider is not the harness's deadline; an assertion is not a bad reply."""
    found = {
        signature(_result("not done after 8 s", "timeout", "timeout")), signature(_result("not done after 8 s", "timeout")),
        signature(_result("not done after 8 s", "assertion")), signature(_result("not done after 8 s", "kernel", "kernel_died")),
    }  # fmt: skip
    assert len(found) == 4


def test_twenty_notebooks_in_one_outage_are_one_line() -> None:
    """However each call says that nobody is there; what else failed stays apart."""
    said = [
        "EndpointError: http://x/v1 cannot be reached",
        "StreamError: The stream broke after 3 chunks (peer closed)",
        "ConnectError: refused",
    ]
    outage = [_result(said[number % 3], "connection", name=f"{number:02}_n") for number in range(20)]
    passed = CaseResult(Case("p", Path("p.ipynb"), {}, "m"), "passed")
    left_out = CaseResult.planned(Case("q", Path("q.ipynb"), {}, "m"))
    first, second = failures(_run(_result("x is not y"), *outage, passed, left_out))
    assert first.title == "connection: EndpointError: http://x/v1 cannot be reached (20 cases)"
    assert (first.signature, len(first.results)) == ("connection", 20)
    assert second.title == "assertion: x is not y (a@some/model)"
    assert len(first.id) == 12
    assert first.id != second.id
