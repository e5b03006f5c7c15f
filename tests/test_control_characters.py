"""A model whose name has control characters, or a command, in it reaches neither the terminal nor the shell."""

import subprocess

import pytest

from scillm_helpers.smoke.cli import _quoted
from tests.harness import Smoke
from tests.scripted import ScriptedServer, answer

NAMES = [
    "a\x1b[31mb",
    "a\x9b31mb",
    "a\rb",
    "a\u202eb",
    "a\x07b",
    "it's; echo broken",
    "$(echo broken)",
    "a b",
    "plain/model-1",
]


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_doctor_prints_none(smoke: Smoke, scripted: ScriptedServer, arguments: list[str]) -> None:
    """In what it says of the list of models."""
    listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in NAMES]}
    scripted.answers += [answer(200, listing)] * 2 + [answer(401, {"error": {"message": "\x1b[31mno"}})] * 9
    environ = {"CHUTES_API_BASE": scripted.api_base, "CHUTES_API_KEY": "obviously-fake"}
    done = smoke("doctor", *arguments, **environ)
    assert done.returncode == 1
    assert "\ufffd[31mb" in done.stdout or "a [31mb" in done.stdout
    assert all(letter.isprintable() or letter == "\n" for letter in done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_serve_prints_what_a_shell_reads_as_it_is(name: str) -> None:
    """`eval "$(scillm-smoke serve --record DIR)"` runs no command, and sets the name."""
    line = _quoted(name)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, check=True)
    assert done.stdout.decode() == name
