"""Keep one issue on GitHub for each failure: opened when it is new, closed when it is gone, reopened when it is back.

`make issues` calls this. An issue is found again by the id in its text, among those with the label:
anybody can write a text, but only those who may triage can give a label.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scillm_helpers.errors import UsageError

from . import issue_text as text
from .github import GitHubError, Issue, Repository
from .night import Found, Night, Seen

LABEL = "smoke-failure"
_LATEST = Path("runs/latest")


@dataclass(frozen=True)
class Step:
    """Be what is done to one issue: the fields to set, and the comment to add. `number` is None for a new one."""

    verb: str
    title: str
    number: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    comment: str | None = None

    def __str__(self) -> str:
        """Return the step in one line."""
        return f"{self.verb} #{self.number}: {self.title}" if self.number else f"{self.verb}: {self.title}"


@dataclass(frozen=True)
class Kept:
    """Be an issue with the failure that it is kept for, and the cases that may fail so still."""

    issue: Issue
    failure_id: str
    seen: Seen


def decide(issues: list[Issue], night: Night, link: str | None = None) -> list[Step]:
    """Return what a night changes in the issues that there are."""
    kept = [Kept(issue, *remembered) for issue in issues if (remembered := text.read_marker(issue.body))]
    kept.sort(key=lambda one: (one.issue.open, one.issue.number))
    latest = {one.failure_id: one for one in kept}  # an open one, else the newest
    found = night.found
    steps = [_known(one, found.get(one.failure_id), night, link) for one in kept if one.issue.open]
    steps += [
        _again(latest[key].issue, one, link)
        for key, one in found.items()
        if key in latest and not latest[key].issue.open
    ]
    steps += [_new(one, link) for key, one in found.items() if key not in latest]
    return steps


def apply(step: Step, repository: Repository) -> None:
    """Do a step. A comment comes last, so that what fails and is done again next night says nothing twice."""
    number = step.number
    if number is None:
        repository.create_label(LABEL, "b60205", "A failure that the nightly run shows")
        number = repository.open(step.fields)
    elif step.fields:
        repository.edit(number, step.fields)
    if step.comment:
        repository.comment(number, step.comment)


def _known(kept: Kept, found: Found | None, night: Night, link: str | None) -> Step:
    """Close an open issue of which no case is left; else remember which are."""
    issue = kept.issue
    left = night.remaining(kept.seen, found)
    if not left:
        fields = {"state": "closed", "state_reason": "completed"}
        return Step("close", issue.title, issue.number, fields, text.gone(night.runs, link))
    remembered = text.with_marker(issue.body, kept.failure_id, left)
    changed = {"body": remembered} if remembered != issue.body else {}
    return Step("still there" if found else "not shown to be gone", issue.title, issue.number, changed)


def _again(issue: Issue, found: Found, link: str | None) -> Step:
    """Reopen a closed issue, so that a failure has its history in one place; unless a person does not want it."""
    if issue.unwanted:
        return Step("closed by hand", issue.title, issue.number)
    fields = {"state": "open", "body": text.with_marker(issue.body, found.failure.id, found.seen)}
    return Step("reopen", issue.title, issue.number, fields, text.back(found, link))


def _new(found: Found, link: str | None) -> Step:
    title = text.title(found)
    return Step("open", title, fields={"title": title, "body": text.body(found, link), "labels": [LABEL]})


def main(
    argv: list[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Keep the issues and return the exit status: 1 where GitHub does not let it, 2 for usage."""
    arguments = _parser().parse_args(argv)
    try:
        night = Night.read(arguments.runs or [_LATEST])
        repository = _repository(environ, sleep, dry=arguments.dry_run)
    except UsageError as error:
        print(f"issues: {error}", file=sys.stderr)
        return 2
    try:
        _keep(night, repository, _link(environ), dry=arguments.dry_run)
    except GitHubError as error:
        print(f"issues: {error}", file=sys.stderr)
        # A fork has no issues until its owner wants some; the suite's own status tells of its failures.
        return 0 if error.status == 410 else 1
    return 0


def _keep(night: Night, repository: Repository | None, link: str | None, dry: bool) -> None:
    steps = decide(repository.issues(LABEL) if repository else [], night, link)
    for step in steps:
        if repository and not dry:
            apply(step, repository)
        print(f"would {step}" if dry and (step.fields or step.comment) else step, flush=True)
    if not steps:
        print("no failure, and no open issue")


def _repository(environ: Mapping[str, str], sleep: Callable[[float], None], dry: bool) -> Repository | None:
    """Return the repository of the environment. A dry run needs no token, and without a repository knows no issue.

    Raises UsageError.
    """
    name, token = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_TOKEN", "")
    if dry and not name:
        return None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UsageError(f"GITHUB_REPOSITORY is {name!r}, not owner/name; set it, or use --dry-run.")
    if not token and not dry:
        raise UsageError("GITHUB_TOKEN is not set; export a token that may write issues, or use --dry-run.")
    api = environ.get("GITHUB_API_URL") or "https://api.github.com"
    if not re.match(r"https?://[\w.-]+", api):
        raise UsageError(f"GITHUB_API_URL is {api!r}, not an address; unset it for https://api.github.com.")
    return Repository(api, name, token, sleep)


def _link(environ: Mapping[str, str]) -> str | None:
    """Return the address of the workflow's run, where this is one."""
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    run = environ.get("GITHUB_RUN_ID")
    return f"{server}/{environ.get('GITHUB_REPOSITORY')}/actions/runs/{run}" if run else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="issues", description="Keep one issue on GitHub for each failure.")
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help=f"a run's folder, or one of runs (default: {_LATEST})"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
