"""Every bash block of every notebook works when pasted."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scillm_helpers.endpoint import serve
from scillm_helpers.endpoint.catalogue import MODELS
from scillm_helpers.images import DEMO_IMAGE
from scillm_helpers.smoke.authoring import check
from scillm_helpers.smoke.authoring.findings import bash_blocks
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BLOCKS = [(f"{path.stem}-{i}", block) for path in NOTEBOOKS for i, block in enumerate(bash_blocks(check.read(path)), 1)]


def _bash(block: str, endpoint: serve.Endpoint, **environ: str) -> str:
    """Run a block as a shell does that has the three variables of `scillm-smoke serve`, and nothing else."""
    given = {"PATH": os.environ["PATH"]} | endpoint.environ | environ
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", block], env=given, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_each_notebook_has_its_blocks() -> None:
    """The seed's four (list, JSON chat, streaming, image) and those of further notebooks stand where they belong."""
    assert [name for name, _ in BLOCKS] == [
        "00_playground-1",
        "01_setup-1",
        "01_setup-2",
        "02_streaming-1",
        "03_json_mode-1",
        "04_multimodal-1",
        "05_tools-1",
        "06_retries-1",
        "06_retries-2",
        "07_fallbacks-1",
        "08_batch-1",
        "09_model_matrix-1",
        "10_errors-1",
        "10_errors-2",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("01_setup-1", {"count": 3, "error": None}),
        ("01_setup-2", "OK"),
        ("03_json_mode-1", '{"ok":true}'),
        ("04_multimodal-1", "OK, red"),
        ("05_tools-1", {"name": "get_weather", "arguments": '{"city": "Paris"}'}),
        ("06_retries-1", "OK"),
    ],
)
def test_block_works_when_pasted(endpoint: serve.Endpoint, name: str, said: Any) -> None:
    """Real curl and real jq, against the embedded endpoint."""
    assert json.loads(_bash(dict(BLOCKS)[name], endpoint)) == said


@pytest.mark.parametrize("name", ["00_playground-1", "02_streaming-1"])
def test_streaming_block_shows_data_lines(endpoint: serve.Endpoint, name: str) -> None:
    """The raw events, to the end."""
    lines = [line for line in _bash(dict(BLOCKS)[name], endpoint).splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert len(lines) > 10


def test_batch_block_brings_every_reply(endpoint: serve.Endpoint) -> None:
    """In whichever order they come."""
    replies = [json.loads(line) for line in _bash(dict(BLOCKS)["08_batch-1"], endpoint).splitlines()]
    assert sorted(replies) == [f"This is reply number {number}." for number in range(1, 9)]


def test_matrix_block_asks_each_model(endpoint: serve.Endpoint) -> None:
    """A line for each, in the order in which they are listed."""
    rows = [json.loads(line) for line in _bash(dict(BLOCKS)["09_model_matrix-1"], endpoint).splitlines()]
    assert [row["model"] for row in rows] == [model.id for model in MODELS]
    assert {row["answer"] for row in rows} <= {"yes", "no"}


def test_refused_block_says_how_long_to_wait(endpoint: serve.Endpoint) -> None:
    """Status and Retry-After of a 429."""
    lines = _bash(dict(BLOCKS)["06_retries-2"], endpoint).splitlines()
    assert lines == ["HTTP/1.1 429 Too Many Requests", "retry-after: 7"]


def test_fallback_block_asks_the_next_model(endpoint: serve.Endpoint) -> None:
    """The first model is refused, the second answers, and the loop ends."""
    refused, answered = _bash(dict(BLOCKS)["07_fallbacks-1"], endpoint).splitlines()
    assert json.loads(refused)["code"] == "model_not_found"
    assert json.loads(answered) == "OK"


@pytest.mark.parametrize(
    ("name", "code", "status"), [("10_errors-1", "invalid_api_key", 401), ("10_errors-2", "capacity", 503)]
)
def test_error_block_shows_body_and_status(endpoint: serve.Endpoint, name: str, code: str, status: int) -> None:
    """The error is OpenAI's shape, with its HTTP status below."""
    body, line = _bash(dict(BLOCKS)[name], endpoint).splitlines()
    assert (json.loads(body)["error"]["code"], line) == (code, f"HTTP {status}")


@pytest.mark.parametrize("kind", ["path", "data URL"])
def test_image_block_takes_the_demo_image(endpoint: serve.Endpoint, tmp_path: Path, kind: str) -> None:
    """A path, with a space in it, and a data URL both work."""
    path = tmp_path / "a picture.png"
    path.write_bytes(DEMO_IMAGE.read_bytes())
    from scillm_helpers.images import image_part

    source = str(path) if kind == "path" else image_part(path)["image_url"]["url"]
    assert json.loads(_bash(dict(BLOCKS)["04_multimodal-1"], endpoint, SCILLM_DEMO_IMAGE=source)) == "OK, blue"


@pytest.mark.parametrize(
    "name",
    [
        "01_setup-1",
        "01_setup-2",
        "03_json_mode-1",
        "04_multimodal-1",
        "05_tools-1",
        "06_retries-1",
        "07_fallbacks-1",
        "08_batch-1",
        "09_model_matrix-1",
    ],
)
def test_block_shows_the_error(endpoint: serve.Endpoint, name: str) -> None:
    """With a wrong key the block says so; it does not print nothing."""
    assert "Incorrect API key" in _bash(dict(BLOCKS)[name], endpoint, CHUTES_API_KEY="obviously-fake")
