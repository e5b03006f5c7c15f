"""The files of the dev container and of Binder are what these read, and run what is there."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.conftest import ROOT

DEVCONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
# Of the properties that https://containers.dev/implementors/json_reference/ names, those used here.
COMMAND = {"type": "string", "pattern": "^make "}
SCHEMA = {
    "type": "object",
    "required": ["name", "image", "onCreateCommand", "postAttachCommand"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "onCreateCommand": COMMAND,
        "postAttachCommand": COMMAND,
        "forwardPorts": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 65535}},
        "portsAttributes": {
            "type": "object",
            "patternProperties": {r"^\d+$": {"type": "object", "properties": {"label": {"type": "string"}}}},
            "additionalProperties": False,
        },
        "customizations": {"type": "object"},
    },
}


def test_dev_container_is_valid() -> None:
    """With no property that nobody reads."""
    jsonschema_rs.validate(SCHEMA, json.loads(DEVCONTAINER.read_text()))


@pytest.mark.parametrize(
    "change", [{"forwardPort": [8888]}, {"forwardPorts": ["8888:8888"]}, {"onCreateCommand": "pip"}]
)
def test_mistake_in_the_dev_container_is_noticed(change: dict[str, Any]) -> None:
    """A schema that accepts everything would prove nothing."""
    assert not jsonschema_rs.is_valid(SCHEMA, json.loads(DEVCONTAINER.read_text()) | change)


def test_dev_container_calls_targets_that_are_there() -> None:
    """And sets up the very environment that the second one uses."""
    for command in re.findall(r'Command": "(.*)"', DEVCONTAINER.read_text()):
        done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_binder_starts_what_it_is_told_to_with_the_gates_open(tmp_path: Path) -> None:
    """Executed as Binder does, in another folder."""
    environ = {"PATH": os.environ["PATH"]}
    command = [ROOT / "binder" / "start", "env"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert {"SCILLM_ALLOW_STREAM_SMOKE=1", "JUPYTER_DEFAULT_PROVISIONER_NAME=scillm-warm"} <= set(done.stdout.split())


def test_binder_installs_what_the_project_pins() -> None:
    """The same file, found from the folder of the file that names it; and the Python of the project."""
    (line,) = [line for line in (ROOT / "binder" / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert (ROOT / "binder" / line.removeprefix("-r ")).resolve() == ROOT / "requirements" / "lock.txt"
    assert (ROOT / "binder" / "runtime.txt").read_text() == "python-3.11\n"
