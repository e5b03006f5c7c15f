"""The capability matrix is right: works, fails, not supported, not run, told by what the endpoint answers."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from nbformat import from_dict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scillm_helpers.endpoint import serve
from scillm_helpers.kinds import CAPABILITIES, is_unsupported
from scillm_helpers.smoke import matrix, summary
from scillm_helpers.smoke.checks import checks
from scillm_helpers.smoke.results import Case, CaseResult, Check, Reason, Run
from tests.conftest import ROOT
from tests.harness import Smoke, refused, write

# What endpoints answer


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status


ANSWERS = [
    ("vision", 400, "Invalid content type. image_url is only supported by certain models."),  # OpenAI
    ("vision", 400, "At most 0 image(s) may be provided in one prompt."),  # vLLM
    ("vision", 400, "some/model is not a multimodal model"),  # vLLM
    ("vision", 500, "image input is not supported - hint: you may need to provide the mmproj"),  # llama.cpp
    ("vision", 400, "this model does not support image input"),  # Ollama
    ("vision", 404, "No endpoints found that support image input"),  # OpenRouter
    ("tools", 404, "No endpoints found that support tool use. Try disabling a tool."),  # OpenRouter
    ("tools", 400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),  # vLLM
    ("tools", 400, "registry.ollama.ai/library/x does not support tools"),  # Ollama
    (
        "json_schema",
        400,
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model",
    ),  # OpenAI
    ("json_schema", 422, "response_format.type `json_schema` is unavailable now"),  # DeepSeek
    ("json_object", 400, "This response_format type is unavailable now"),  # DeepSeek
    ("chat", 404, "This is not a chat model and thus not supported in the v1/chat/completions endpoint."),  # OpenAI
    ("streaming", 400, "This model does not support streaming."),
]
FAILURES = [
    (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
    (400, "The image is not a PNG"),
    (400, "tools: field required"),
    (401, "this model does not support image input"),
    (429, "tools are not supported at this rate"),
    (503, "image input is not supported while starting"),
    (404, "The model does not exist"),
]


@pytest.mark.parametrize(("capability", "status", "message"), ANSWERS)
def test_missing_capability_is_told_by_what_the_endpoint_answers(capability: str, status: int, message: str) -> None:
    """In the words of the endpoints that people use."""
    assert is_unsupported(_Refused(status, message), capability)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("status", "message"), FAILURES)
def test_what_is_broken_is_not_unsupported(capability: str, status: int, message: str) -> None:
    """A wrong request, a wrong key, a busy provider say nothing of what the model can do."""
    assert not is_unsupported(_Refused(status, message), capability)


def test_every_capability_of_the_matrix_can_be_told() -> None:
    """And none is told that has no column."""
    assert list(matrix.CAPABILITIES) == list(CAPABILITIES)


# From a notebook's cells to its checks


def _cells(*sources: str) -> list[Any]:
    return [from_dict({"cell_type": "code", "source": source, "outputs": [], "metadata": {}}) for source in sources]


CELLS = _cells("record('chat', ok=True)", 'x = 1\nrecord("json_schema", ok=True)', "record(\n    'vision', ok=True)")


def test_first_check_that_was_not_reached_is_the_one_that_failed() -> None:
    """What came before works, what comes after was not run."""
    records = ({"check": "chat", "ok": True, "ttft_s": 0.5, "tokens_per_s": 9},)
    found = checks(CELLS, records, [], "failed", Reason("capacity", "HTTP 503", 2))
    assert found == (
        Check("chat", "works", None, 0.5, 9.0),
        Check("json_schema", "fails", "capacity"),
        Check("vision", "not_run"),
    )


@pytest.mark.parametrize("status", ["timeout", "kernel_died"])
def test_timeouts_and_dead_kernels_fail_a_check(status: Any) -> None:
    """They are no missing capability."""
    kind = "timeout" if status == "timeout" else "kernel"
    found = checks(CELLS, (), [], status, Reason(kind, "x", 1))
    assert [check.state for check in found] == ["fails", "not_run", "not_run"]
    assert found[0].kind == kind


def test_unsupported_counts_for_its_own_check_only() -> None:
    """An endpoint that says it has no vision has not said so of JSON schema."""
    records = ({"check": "chat", "ok": True},)
    for said, states in (
        (["vision"], ["works", "fails", "not_run"]),
        (["json_schema"], ["works", "not_supported", "not_run"]),
    ):
        found = checks(CELLS, records, said, "failed", Reason("bad_request", "x", 2))
        assert [check.state for check in found] == states


def test_skips_are_not_run_unless_the_endpoint_said_so() -> None:
    """A closed gate is nobody's lack; the author's word alone is no proof either."""
    for unsupported, state in ((True, "not_supported"), (False, "not_run")):
        record = {"check": "chat", "ok": None, "skipped": "why", "unsupported": unsupported}
        assert checks(CELLS, (record,), [], "skipped", Reason(None, "why", 1))[0].state == state


def test_check_that_does_not_hold_fails() -> None:
    """Also where the same check has held before."""
    records = ({"check": "chat", "ok": True}, {"check": "chat", "ok": False})
    assert checks(CELLS, records, [], "failed", Reason("assertion", "x"))[0] == Check("chat", "fails", "assertion")


# From a run to its matrix


def _run(*checked: tuple[str, Check]) -> Run:
    results = [
        CaseResult(Case(f"{number}@{model}", Path("a.ipynb"), {}, model), "passed", checks=(check,))
        for number, (model, check) in enumerate(checked)
    ]
    return Run(
        "id", "2026-11-23T03:00:00+00:00", 1.0, "live", "https://x/v1", "litellm", "3.11", None, (), tuple(results)
    )


def test_worst_of_several_checks_counts() -> None:
    """A capability that fails in one notebook and works in another does not work."""
    run = _run(
        ("a", Check("chat", "works")), ("a", Check("chat", "fails", "timeout")), ("a", Check("vision", "not_run")), ("a", Check("vision", "works")),
        ("b", Check("tools", "not_supported")), ("b", Check("tools", "works")), ("b", Check("streaming", "works", None, 0.2, 50.0)),
    )  # fmt: skip
    a, b = matrix.matrix(run)
    assert (a.checks["chat"].state, a.checks["chat"].kind, a.checks["vision"].state) == ("fails", "timeout", "works")
    assert (b.checks["tools"].state, b.checks["chat"].state, b.ttft_s, b.tokens_per_s) == (
        "not_supported",
        "not_run",
        0.2,
        50.0,
    )
    heads, rows = matrix.cells(run)
    assert heads == ["model", "chat", "streaming", "JSON mode", "JSON schema", "vision", "tools", "TTFT", "tokens/s"]
    assert rows == [
        ["a", "fails (timeout)", "not run", "not run", "not run", "works", "not run", "", ""],
        ["b", "not run", "works", "not run", "not run", "not run", "not supported", "0.20 s", "50"],
    ]


def test_markdown_cannot_be_broken_out_of() -> None:
    """A model may be named like anything."""
    table = summary.matrix(_run(("a|b`c`<i>@me", Check("chat", "works"))))
    assert table.splitlines()[2].startswith("| a\\|b\\`c\\`\\<i\\>@\u200bme | works | not run |")


# Whole runs


@pytest.mark.slow
def test_all_models_of_the_embedded_endpoint(smoke: Smoke) -> None:
    """The matrix is printed and written as Markdown and JSON: text-only models have no vision, and that is no failure."""
    with_capabilities = sorted((ROOT / "notebooks").glob("0[1-5]_*.ipynb"))
    done = smoke.run(*with_capabilities, "--model", "all")
    assert (done.returncode, done.stderr) == (0, ""), done
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("embedded/")}
    assert "not supported" not in rows["embedded/omni-1"]
    found = json.loads((smoke.out / "matrix.json").read_text())["models"]
    states = {model["model"]: [capability["state"] for capability in model["capabilities"].values()] for model in found}
    assert states == {
        "embedded/omni-1": ["works", "works", "works", "works", "works", "works"],
        "embedded/text-1": ["works", "works", "works", "works", "not_supported", "works"],
        "embedded/mini-1": ["works", "works", "works", "works", "not_supported", "not_supported"],
    }
    assert all(model["ttft_s"] > 0 and model["tokens_per_s"] > 0 for model in found)
    for table in ((smoke.out / "matrix.md").read_text(), (smoke.out / "summary.md").read_text()):
        (line,) = [line for line in table.splitlines() if line.startswith("| embedded/text-1")]
        assert line.startswith("| embedded/text-1 | works | works | works | works | not supported | works |")
    assert "not supported" in rows["embedded/text-1"]
    assert "not supported" in (smoke.out / "report.html").read_text()


def test_models_that_match(smoke: Smoke) -> None:
    """`--match` chooses of all, whatever the case; what matches nothing, or is no choice, is refused."""
    write(smoke.folder / "a.ipynb", "import os\nprint(os.environ['CHUTES_MODEL'])")
    assert smoke.run("a.ipynb", "--model", "all", "--match", "*/TEXT-*", "--match", "*mini*").returncode == 0
    assert [case["model"] for case in smoke.results["cases"]] == ["embedded/text-1", "embedded/mini-1"]
    assert smoke.results["run"]["models"] == ["embedded/text-1", "embedded/mini-1"]
    assert smoke("run", "--resume", smoke.out).returncode == 0
    line = refused(smoke("run", "a.ipynb", "--model", "all", "--match", "gpt-*"))
    assert line.startswith(
        "the embedded endpoint (CHUTES_API_BASE is not set) lists no model that matches gpt-*; it lists embedded/"
    )
    line = refused(smoke("run", "a.ipynb", "--match", "gpt-*"))
    assert line == "--match chooses among all models; write --model all --match PATTERN."


@pytest.fixture
def picky() -> Iterator[str]:
    """Serve the embedded endpoint behind a gateway that refuses a capability for each model, in its own words."""
    behind = serve.start(chunk_seconds=0)
    refusals = {
        "no-schema": ("json_schema", 422, "response_format.type `json_schema` is unavailable now"),
        "no-chat": (
            "messages",
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
        ),
        "busy-schema": ("json_schema", 503, "no capacity"),
        "old-parameter": ("max_tokens", 400, "Unsupported parameter: 'max_tokens' is not supported with this model."),
    }

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in refusals]})

    async def chat(request: Request) -> Response:
        body = await request.json()
        word, status, message = refusals[body["model"]]
        if word in json.dumps(body):
            return JSONResponse({"error": {"message": message, "type": "x", "param": None, "code": None}}, status)
        body["model"] = "embedded/omni-1"
        headers = {"Authorization": f"Bearer {behind.api_key}"}
        async with httpx.AsyncClient() as client:
            reply = await client.post(f"{behind.api_base}/chat/completions", json=body, headers=headers)
        return Response(reply.content, reply.status_code, {"Content-Type": reply.headers["Content-Type"]})

    app = Starlette(routes=[Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join()
    behind.stop()


@pytest.mark.slow
def test_each_refusal_is_what_it_is(smoke: Smoke, picky: str) -> None:
    """Of four models each lacks, or fails at, something else."""
    live = {"CHUTES_API_BASE": picky, "CHUTES_API_KEY": "obviously-fake", "LITELLM_RETRY_AFTER": "0.01"}
    done = smoke.run(
        ROOT / "notebooks" / "01_setup.ipynb", ROOT / "notebooks" / "03_json_mode.ipynb", "--model", "all", **live
    )
    assert done.returncode == 1
    found = {row["model"]: row["capabilities"] for row in json.loads((smoke.out / "matrix.json").read_text())["models"]}
    told = {
        model: {name: f"{c['state']} {c['kind'] or ''}".strip() for name, c in row.items() if c["state"] != "not_run"}
        for model, row in found.items()
    }
    assert told == {
        "no-schema": {"chat": "works", "json_object": "works", "json_schema": "not_supported"},
        "no-chat": {"chat": "not_supported", "json_object": "not_supported"},
        "busy-schema": {"chat": "works", "json_object": "works", "json_schema": "fails capacity"},
        "old-parameter": {"chat": "fails bad_request", "json_object": "fails bad_request"},
    }
    statuses = {case["id"]: case["status"] for case in smoke.results["cases"]}
    assert statuses["03_json_mode@no-schema"] == "skipped"
    assert statuses["01_setup@no-chat"] == "failed"  # a suite whose model cannot chat is not green


def test_lesson_on_models_has_a_row_for_each(smoke: Smoke, picky: str) -> None:
    """One that cannot chat and one that refuses the call each say so, and end nothing."""
    live = {"CHUTES_API_BASE": picky, "CHUTES_API_KEY": "obviously-fake", "LITELLM_RETRY_AFTER": "0.01"}
    done = smoke.run(ROOT / "notebooks" / "09_model_matrix.ipynb", "-p", "also=", **live)
    assert done.returncode == 0, done
    cells = smoke.copy("09_model_matrix")
    shown = [output.get("data", {}).get("text/markdown", "") for cell in cells for output in cell.outputs]
    (table,) = [text for text in shown if text.startswith("| model")]
    rows = {line.split()[1]: line for line in table.splitlines()[2:]}
    assert list(rows) == ["no-schema", "no-chat", "busy-schema", "old-parameter"]
    assert "unknown" in rows["no-schema"]  # its price, which is not 0
    assert "cannot chat" in rows["no-chat"]
    assert "BadRequestError" in rows["old-parameter"]


def test_lesson_on_models_goes_on_where_the_first_cannot_chat(smoke: Smoke, picky: str) -> None:
    """Nobody who is chosen for the table is asked outside of it."""
    live = {"CHUTES_API_BASE": picky, "CHUTES_API_KEY": "obviously-fake", "LITELLM_RETRY_AFTER": "0.01"}
    lesson = ROOT / "notebooks" / "09_model_matrix.ipynb"
    done = smoke.run(lesson, "-p", "also=", "-p", "pattern=*[ty]*", **live)
    assert done.returncode == 0, done
    (record,) = smoke.case["records"]
    assert (record["asked"], record["answered"]) == (3, 1)
