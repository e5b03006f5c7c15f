"""The workflows are what GitHub reads, ask for little, pin what they use, and do what make does locally."""

import functools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
CI, NIGHTLY, PAGES, WEEKLY = (FOLDER / f"{name}.yml" for name in ("ci", "nightly", "pages", "weekly"))
WORKFLOWS = sorted(FOLDER.glob("*"))
PUBLISHED, TIMEOUTS = "vendor.github-workflows", "custom.github-workflows-require-timeout"


def refused_by(schema: str, *paths: Path) -> set[str]:
    """Return the names of the files that check-jsonschema refuses. It ships the schema that SchemaStore publishes."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "--output-format", "json"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == bool(told["errors"])
    assert not told.get("parse_errors")
    return {Path(error["filename"]).name for error in told["errors"]}


def steps(workflow: Any) -> Iterator[tuple[str, Any]]:
    """Yield each step with the name of its job."""
    for name, job in workflow["jobs"].items():
        yield from ((name, step) for step in job["steps"])


def pinned(text: str) -> bool:
    """Every action is named by its commit, with its version beside it."""
    used = re.findall(r"uses:\s*(.*)", text)
    return bool(used) and all(re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in used)


def least(text: str) -> bool:
    """At the top nothing may be written; only the job that keeps the issues, or publishes, may write, and it runs nothing else."""
    workflow = YAML(typ="safe").load(text)
    top = workflow["permissions"] in ({}, {"contents": "read"})
    writers = {
        name: set(job["permissions"].items()) - {("contents", "read")}
        for name, job in workflow["jobs"].items()
        if job.get("permissions", {}) not in ({}, {"contents": "read"})
    }
    ran = [step["run"] for name, step in steps(workflow) if name in writers and "run" in step]
    allowed = {
        "issues": ({("issues", "write")}, ["make setup", "make issues RUNS=runs"]),
        "deploy": ({("pages", "write"), ("id-token", "write")}, []),
    }
    return top and all(allowed.get(name) == (given, ran) for name, given in writers.items())


def no_credentials_stay(text: str) -> bool:
    """A checkout leaves no token behind for what runs after it."""
    uses = [step for _, step in steps(YAML(typ="safe").load(text)) if "checkout" in step.get("uses", "")]
    return bool(uses) and all(step["with"]["persist-credentials"] is False for step in uses)


def nothing_is_forgiven(text: str) -> bool:
    """What fails fails the job."""
    return not re.search(r"continue-on-error|\|\|\s*(true|:)|\bset \+e", text)


def only_make(text: str) -> bool:
    """A `run` is one call of a make target that there is, or, on Windows, a step of `make smoke`; nothing of the event is pasted into the shell."""
    workflow = YAML(typ="safe").load(text)
    for name, step in steps(workflow):
        line = step.get("run")
        if line is None or (workflow["jobs"][name]["runs-on"].startswith("windows") and line in _smoke_without_make()):
            continue
        match = re.fullmatch(
            r"""make (-s )?([a-z-]+)((?: [A-Z]+=[\w'/*]+)*)( >> "\$GITHUB_(STEP_SUMMARY|OUTPUT)")?""", line
        )
        if match is None or not _is_target(match[2]):
            return False
    return True


@functools.cache
def _smoke_without_make() -> list[str]:
    """Return what `make smoke` runs on a fresh clone once it has a virtual environment, in any Python."""
    command = ["make", "-n", "smoke", "VENV=not-there", "UV="]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r"^not-there/bin/(python -m (?:pip|scillm_helpers\.smoke) .*)$", planned.stdout, re.MULTILINE)


@functools.cache
def _is_target(name: str) -> bool:
    return subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True).returncode == 0


def no_secret(text: str) -> bool:
    """What a fork sends runs without secrets, and never in the name of the repository."""
    return "secrets" not in text and "pull_request_target" not in text and "workflow_run" not in text


def key_only_where_needed(text: str) -> bool:
    """The key itself is in the environment of the two steps that call the endpoint, and of none besides."""
    workflow = YAML(typ="safe").load(text)
    key = "${{ secrets.CHUTES_API_KEY }}"
    holders = [step["run"] for _, step in steps(workflow) if key in step.get("env", {}).values()]
    tokens = [step["run"] for _, step in steps(workflow) if "GITHUB_TOKEN" in step.get("env", {})]
    return (holders, tokens, text.count(key)) == (["make smoke-live", "make matrix"], ["make issues RUNS=runs"], 2)


def key_holders_install_nothing(text: str) -> bool:
    """A step that has a secret, or the token, in its environment runs neither pip nor a build backend, nor does an action of it."""
    workflow = YAML(typ="safe").load(text)
    for name, step in steps(workflow):
        around = {**workflow.get("env", {}), **workflow["jobs"][name].get("env", {})}
        if any(map(_is_secret, {**around, **step.get("env", {})}.values())):
            match = re.fullmatch(r"make (?:-s )?([a-z-]+).*", step.get("run", ""))
            if match is None or _installs(match[1]):
                return False
    return True


def _is_secret(value: object) -> bool:
    """Tell whether a value of the environment is secret itself, and not whether there is a secret."""
    return bool(re.search(r"secrets\.|github\.token", str(value))) and "!=" not in str(value)


@functools.cache
def _installs(target: str) -> bool:
    """Tell whether a target would install something on a fresh clone."""
    command = ["make", "-n", target, "VENV=not-there"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return bool(re.search(r"\b(pip|uv|venv|install|build)\b", planned.stdout.replace("run make setup", "")))


def kept_after_failure(text: str) -> bool:
    """Artifacts and the history are kept, and the summary is written, also where the suite has failed."""
    wanted = ("upload-artifact", "cache/save", "make -s summary", "make matrix")
    late = [step for _, step in steps(YAML(typ="safe").load(text)) if _mentions(step, wanted)]
    return bool(late) and all(re.search(r"always\(\)|!cancelled\(\)", str(step.get("if"))) for step in late)


def _mentions(step: Any, words: tuple[str, ...]) -> bool:
    return any(word in step.get("uses", "") + step.get("run", "") for word in words)


RULES: list[Callable[[str], bool]] = [
    pinned,
    least,
    no_credentials_stay,
    nothing_is_forgiven,
    only_make,
    key_holders_install_nothing,
]


@pytest.mark.parametrize("schema", [PUBLISHED, TIMEOUTS])
def test_schema_accepts_the_workflows(schema: str) -> None:
    """The real files, by the published schema; and every job of theirs has a timeout."""
    assert refused_by(schema, *WORKFLOWS) == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_keeps_the_rule(path: Path, rule: Callable[[str], bool]) -> None:
    """Each rule says what it wants."""
    assert rule(path.read_text(encoding="utf-8"))


def test_workflows_are_these_four() -> None:
    """None goes unseen by the other tests."""
    assert WORKFLOWS == [CI, NIGHTLY, PAGES, WEEKLY]


def test_what_a_suite_has_left_is_kept_after_a_failure() -> None:
    """Of both workflows that are about it."""
    assert kept_after_failure(CI.read_text())
    assert kept_after_failure(NIGHTLY.read_text())


def test_pages_are_built_by_one_job_and_published_by_another() -> None:
    """What is published comes from a push to main; the job that may publish runs no code of the repository."""
    workflow = YAML(typ="safe").load(PAGES.read_text())
    assert workflow["on"]["push"] == {"branches": ["main"]}
    assert "pull_request" not in workflow["on"]
    assert [step["run"] for name, step in steps(workflow) if "run" in step] == ["make site"]
    (uploaded,) = [step for name, step in steps(workflow) if "upload-pages-artifact" in step.get("uses", "")]
    assert uploaded["with"]["path"] == "build/site"
    assert [name for name, step in steps(workflow) if "deploy-pages" in step.get("uses", "")] == ["deploy"]
    assert workflow["jobs"]["deploy"]["needs"] == "build"


def test_secrets_stay_where_they_belong() -> None:
    """None but in nightly.yml, at the steps that need them."""
    assert all(no_secret(path.read_text()) for path in (CI, PAGES, WEEKLY))
    assert key_only_where_needed(NIGHTLY.read_text())


MISTAKES = {
    "runs-on:": "run-on:",
    "timeout-minutes: 45": "timeout-minutes: []",
    "permissions:\n  contents: read": "permissions:\n  contents: reads",
    "on:\n  push:": "on:\n  pushed:",
}


def test_schema_refuses_mistakes(tmp_path: Path) -> None:
    """A schema that accepts everything would prove nothing."""
    text = CI.read_text()
    mistaken = {f"{number}.yml": text.replace(*change, 1) for number, change in enumerate(MISTAKES.items())}
    assert text not in mistaken.values()
    for name, content in mistaken.items():
        (tmp_path / name).write_text(content)
    assert refused_by(PUBLISHED, *tmp_path.iterdir()) == set(mistaken)


def test_job_without_timeout_is_refused(tmp_path: Path) -> None:
    """It could take six hours."""
    (tmp_path / "ci.yml").write_text(CI.read_text().replace("    timeout-minutes: 45\n", ""))
    assert refused_by(TIMEOUTS, tmp_path / "ci.yml") == {"ci.yml"}


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (pinned, r"checkout@\w+ # v6.0.2", "checkout@v6"),
        (pinned, r"checkout@(\w+) # v6.0.2", r"checkout@\1"),
        (least, r"permissions: \{\}", "permissions: write-all"),
        (least, "contents: read", "contents: write"),
        (least, "make issues RUNS=runs", "make smoke-keyless"),
        (no_credentials_stay, "persist-credentials: false", "persist-credentials: true"),
        (
            nothing_is_forgiven,
            "- run: make smoke-keyless",
            "- continue-on-error: true\n        run: make smoke-keyless",
        ),
        (nothing_is_forgiven, "make matrix", "make matrix || true"),
        (only_make, "make matrix", "make matrix MATCH='${{ inputs.match }}'"),
        (only_make, "make matrix", "scillm-smoke run --model all"),
        (only_make, "make matrix", "make matricks"),
        (only_make, "make matrix", "python -m scillm_helpers.smoke run"),
        (kept_after_failure, r"if: \$\{\{ always\(\) \}\}", "if: ${{ success() }}"),
        (kept_after_failure, r"!cancelled\(\) && env", "env"),
        (key_holders_install_nothing, "make matrix", "make smoke"),
        (key_holders_install_nothing, "make issues RUNS=runs", "pip download something"),
        (key_holders_install_nothing, r"LIVE: .*", "LIVE: ${{ secrets.CHUTES_API_KEY }}"),
        (key_holders_install_nothing, r"permissions: \{\}", "permissions: {}\nenv: {A: '${{ secrets.A }}'}"),
        (key_only_where_needed, r"LIVE: .*", "LIVE: ${{ secrets.CHUTES_API_KEY }}"),
        (no_secret, "schedule:", "pull_request_target:"),
    ],
)
def test_rule_notices_a_mistake(rule: Callable[[str], bool], old: str, new: str) -> None:
    """Each rule can be broken."""
    text = NIGHTLY.read_text()
    changed = re.sub(old, new, text, count=1)
    assert changed != text
    assert not rule(changed)


@pytest.mark.parametrize(
    ("old", "new"), [("pages: write", "contents: write"), ("- id: deployment", "- run: make site")]
)
def test_rule_notices_a_mistake_of_the_publisher(old: str, new: str) -> None:
    """It may write nothing but pages, and runs nothing."""
    text = PAGES.read_text()
    assert text.count(old) == 1
    assert not least(text.replace(old, new + ("\n      - id: deployment" if "run" in new else "")))


def _runs(path: Path, job: str) -> list[str]:
    return [
        step["run"]
        for name, step in steps(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
        if name == job and "run" in step
    ]


def test_ci_does_what_the_script_does() -> None:
    """The same targets, in the same order, on every Python that the project is for."""
    script = re.findall(r"^(make [\w-]+|\.ci/packages)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert [line.replace(".ci/packages", "make packages") for line in script] == _runs(CI, "check")[:-1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    check = YAML(typ="safe").load(CI.read_text())["jobs"]["check"]
    assert check["strategy"]["matrix"]["python"] == supported
    assert len(supported) == 4


def test_keyless_suite_runs_on_other_systems() -> None:
    """By make on macOS; on Windows, which has none, by what that make target runs."""
    jobs = YAML(typ="safe").load(CI.read_text())["jobs"]
    assert jobs["macos"]["runs-on"].startswith("macos-")
    assert jobs["windows"]["runs-on"].startswith("windows-")
    assert "make smoke-keyless" in _runs(CI, "macos")
    assert _runs(CI, "windows") == _smoke_without_make()


def test_each_job_keeps_its_artifacts_apart() -> None:
    """Two jobs that keep them under one name would keep one's."""
    kept = re.findall(r"name: (runs\S*.*)", CI.read_text())
    assert len(kept) == len(set(kept)) == len(YAML(typ="safe").load(CI.read_text())["jobs"])
    assert "matrix" in kept[0]


def test_weekly_run_tests_the_newest_dependencies() -> None:
    """On the oldest and the newest Python; under unusual conditions; and other projects' suites with warm kernels."""
    assert "make test-newest" in _runs(WEEKLY, "newest")
    jobs = YAML(typ="safe").load(WEEKLY.read_text())["jobs"]
    assert jobs["newest"]["strategy"]["matrix"]["python"] == ["3.11", "3.14"]
    assert "make test-elsewhere" in _runs(WEEKLY, "elsewhere")
    assert "make test-peers" in _runs(WEEKLY, "peers")
