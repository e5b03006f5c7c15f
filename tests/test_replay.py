import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest

from scillm_helpers.endpoint import serve
from scillm_helpers.listing import list_models
from tests.conftest import ROOT
from tests.harness import SMOKE, Smoke, refused
from tests.polling import PATIENCE
from tools.stored import same

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@contextmanager
def _serving(smoke: Smoke, *arguments: str | Path, **environ: str) -> Iterator[dict[str, str]]:
    """Run `scillm-smoke serve` while the block lasts, and yield the variables that it prints."""
    process = subprocess.Popen(
        [*SMOKE, "serve", *map(str, arguments)],
        cwd=smoke.folder,
        env=smoke.environ | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    smoke.serving = process
    try:
        lines = [process.stdout.readline().removeprefix("export ").rstrip("\n") for _ in range(3)]
        yield dict(line.split("=", 1) for line in lines)
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 130
        process.stdout.close()


def _run(smoke: Smoke, out: str, environ: dict[str, str]) -> tuple[dict[str, str], dict[str, list[list[Any]]]]:
    """Run the suite, and return the status and the outputs of each notebook."""
    smoke.out = smoke.folder / out
    gates = {"SCILLM_ALLOW_STREAM_SMOKE": "1", "SCILLM_ALLOW_TOOLS_SMOKE": "1"}
    smoke.run(*NOTEBOOKS, **environ, **gates)
    statuses = {case["notebook"]: case["status"] for case in smoke.results["cases"]}
    copies = {path.name: nbformat.read(path, 4) for path in sorted((smoke.out / "notebooks").glob("*.ipynb"))}
    return statuses, {name: [cell.get("outputs", []) for cell in copy.cells] for name, copy in copies.items()}


@pytest.mark.slow
def test_suite_is_replayed_with_the_endpoint_gone(smoke: Smoke) -> None:
    """Recorded once: the same statuses and the same outputs of every notebook, and nobody was asked."""
    upstream = serve.start(chunk_seconds=0)
    try:
        with _serving(smoke, "--record", "cassettes", **upstream.environ) as variables:
            assert variables["CHUTES_API_KEY"] != upstream.api_key
            statuses, outputs = _run(smoke, "recorded", variables)
    finally:
        upstream.stop()
    assert set(statuses.values()) == {"passed"}
    assert len(statuses) == len(outputs) == len(NOTEBOOKS)
    for path in (smoke.folder / "cassettes").iterdir():
        assert upstream.api_key not in path.read_text()
        assert variables["CHUTES_API_KEY"] not in path.read_text()

    with _serving(smoke, "--replay", "cassettes") as variables:
        assert variables["CHUTES_MODEL"] == upstream.environ["CHUTES_MODEL"]
        again, outputs_again = _run(smoke, "replayed", variables)
    assert again == statuses
    for name, cells in outputs.items():
        for number, (before, after) in enumerate(zip(cells, outputs_again[name], strict=True)):
            assert same(before, after), (name, number, before, after)


def test_interrupted_recording_keeps_what_is_still_coming(smoke: Smoke) -> None:
    """Ctrl-C in the middle of a stream, whose client stays: the answer is recorded, and sent, to its end."""
    upstream = serve.start(chunk_seconds=0.02)
    try:
        with _serving(smoke, "--record", "cassettes", **upstream.environ) as variables:
            url, key = variables["CHUTES_API_BASE"] + "/chat/completions", variables["CHUTES_API_KEY"]
            asked = {"model": "embedded/omni-1", "messages": [{"role": "user", "content": "Tell me a 60 word story."}]}
            answer = httpx.stream(
                "POST", url, json=asked | {"stream": True}, headers={"Authorization": f"Bearer {key}"}
            )
            with answer as response:
                next(response.iter_raw())
                smoke.serving.send_signal(signal.SIGINT)
                smoke.serving.wait(timeout=PATIENCE)
    finally:
        upstream.stop()
    (cassette,) = [path for path in (smoke.folder / "cassettes").iterdir() if "story" in path.name]
    assert "[DONE]" in cassette.read_text()
    assert "end: whole" in cassette.read_text()


def test_recording_can_be_replayed_by_a_run_whoever_made_it(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """The models are listed though no client has asked for them."""
    with _serving(smoke, "--record", "cassettes", **endpoint.environ):
        pass
    with _serving(smoke, "--replay", "cassettes") as variables:
        assert variables["CHUTES_MODEL"] == endpoint.environ["CHUTES_MODEL"]
        listed = list_models(variables["CHUTES_API_BASE"], variables["CHUTES_API_KEY"], timeout=PATIENCE)
    assert listed == list_models(endpoint.api_base, endpoint.api_key, timeout=PATIENCE)


# Bad input: one line, status 2


def test_record_without_an_endpoint(smoke: Smoke) -> None:
    """There is nothing to record, and no folder is made."""
    assert refused(smoke("serve", "--record", "cassettes")) == (
        "CHUTES_API_BASE is not set; export it and CHUTES_API_KEY, of the endpoint to record."
    )
    assert refused(smoke("serve", "--record", "cassettes", CHUTES_API_BASE="http://127.0.0.1:9/v1")).startswith(
        "CHUTES_API_KEY is not set;"
    )
    assert not (smoke.folder / "cassettes").exists()


def test_record_of_an_endpoint_that_is_down(smoke: Smoke) -> None:
    """Said before anything is served; the variables may stand in .env."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    (smoke.folder / ".env").write_text(f"CHUTES_API_BASE={base}\nCHUTES_API_KEY=obviously-fake\n")
    line = refused(smoke("serve", "--record", "cassettes"))
    assert line.startswith(f"{base} cannot be reached (")
    assert line.endswith("; check CHUTES_API_BASE and the network.")
    assert not (smoke.folder / "cassettes").exists()


def test_record_with_a_wrong_key(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """A recording of refusals is of no use."""
    environ = endpoint.environ | {"CHUTES_API_KEY": "obviously-fake"}
    line = refused(smoke("serve", "--record", "cassettes", **environ))
    assert line == f"{endpoint.api_base} refused the key (HTTP 401); check CHUTES_API_KEY."


def test_record_where_nothing_can_be_written(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """A file is in the way, or a system that takes no files."""
    (smoke.folder / "taken").touch()
    for folder, why in (("taken", "File exists"), ("/proc/x", "No such file or directory")):
        line = refused(smoke("serve", "--record", folder, **endpoint.environ))
        assert line == f"{folder} cannot be written to ({why}); choose another folder."


def test_replay_of_a_folder_without_cassettes(smoke: Smoke) -> None:
    """Missing, empty, a file."""
    (smoke.folder / "empty").mkdir()
    (smoke.folder / "file").touch()
    remedy = "with: scillm-smoke serve --record"
    assert refused(smoke("serve", "--replay", "my tapes")) == f"my tapes does not exist; make it {remedy} 'my tapes'"
    assert refused(smoke("serve", "--replay", "empty")) == f"empty holds no cassettes; record some {remedy} empty"
    assert refused(smoke("serve", "--replay", "file")) == "file is not a folder; name the folder of a recording."


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"version: 2\n...\n", "is a cassette of version 2, and 1 is known; record it again."),
        (b"version: 1\nrequest: {method", "is not a whole cassette (not YAML, line 3); record it again."),
        (b"version: '1'\n...\n", "is a cassette of version '1', and 1 is known; record it again."),
        *(
            (
                b"version: 1\nrequest: {method: GET, path: /models, body: %b}\nanswers: [{}]\n...\n" % body,
                "is not a whole cassette (the body of its request is not JSON); record it again.",
            )
            for body in (b"2024-01-01", b"{1: {2: 3}, a: 2}", b"&a [*a]", b"{a: .nan}")
        ),
        (b"version: 1\nrequest:\n", "is not a whole cassette (its last line is not '...'); record it again."),
    ],
)
def test_replay_of_a_cassette_that_is_none(smoke: Smoke, content: bytes, why: str) -> None:
    """Another version, half of one, one with a part missing: nothing is served."""
    (smoke.folder / "cassettes").mkdir()
    (smoke.folder / "cassettes" / "a.yaml").write_bytes(content)
    assert refused(smoke("serve", "--replay", "cassettes")) == f"cassettes/a.yaml {why}"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--record", "a", "--replay", "b"], "--record and --replay exclude each other; leave one of them out."),
        (["--replay", "b", "--fault", "429"], "--replay and --fault exclude each other; leave one of them out."),
        (
            ["--record", "a", "--model-fault", "embedded/omni-1", "429"],
            "--record and --model-fault exclude each other; leave one of them out.",
        ),
        (["--timing"], "--timing is for what is replayed; write --replay DIR --timing."),
    ],
)
def test_options_that_exclude_each_other(smoke: Smoke, arguments: list[str], line: str) -> None:
    """Nothing is served that was asked for by half."""
    assert refused(smoke("serve", *arguments)) == line
