"""Issues follow failures: one each, opened, closed and reopened; over a real socket, against a fake of GitHub."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from scillm_helpers.kinds import Kind
from scillm_helpers.smoke.files import Files
from scillm_helpers.smoke.redact import Redactor
from scillm_helpers.smoke.report import write_results
from scillm_helpers.smoke.results import Case, CaseResult, Check, Reason, Run
from tests.conftest import ROOT
from tests.fake_github import REPOSITORY, TOKEN, FakeGitHub, serving
from tools import issue_text
from tools.issues import LABEL, main
from tools.night import ALL

Endpoint = Literal["embedded", "live"]


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serving() as fake:
        yield fake


class Nights:
    """Make runs, and keep the issues after them."""

    def __init__(self, folder: Path, github: FakeGitHub) -> None:
        self.folder, self.github = folder, github
        self.slept: list[float] = []
        self.environ = {"GITHUB_API_URL": github.api, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN}
        self.count = 0

    def run(self, *results: CaseResult, endpoint: Endpoint = "embedded") -> Path:
        """Write a run and return its folder."""
        self.count += 1
        folder = self.folder / f"2026112{self.count}T030000Z"
        folder.mkdir()
        at = f"2026-11-2{self.count}T03:00:00+00:00"
        write_results(
            Run(folder.name, at, 1.0, endpoint, "http://x/v1", "litellm", "3.11", "a" * 40, (), results),
            Files(folder, Redactor({})),
        )
        return folder

    def keep(self, *folders: Path, **environ: str) -> int:
        return main([str(folder) for folder in folders], self.environ | environ, self.slept.append)

    def __call__(self, *results: CaseResult, endpoint: Endpoint = "embedded") -> None:
        """Be a night with one run."""
        assert self.keep(self.run(*results, endpoint=endpoint)) == 0

    @property
    def states(self) -> list[str]:
        return [issue["state"] for issue in self.github.issues.values()]


@pytest.fixture
def night(tmp_path: Path, github: FakeGitHub) -> Nights:
    return Nights(tmp_path, github)


def case(
    name: str, status: Any = "passed", message: str = "", kind: Kind | None = "assertion", **more: Any
) -> CaseResult:
    reason = Reason(kind, message, 4) if message else None
    return CaseResult(Case(name, Path(f"{name}.ipynb"), {}, "some/model"), status, 1.0, reason=reason, **more)


def failed(name: str, message: str = "AssertionError: no tokens", kind: Kind = "assertion") -> CaseResult:
    return case(name, "failed", message, kind)


def not_run(name: str) -> CaseResult:
    return case(name, "not_run", "the run was interrupted.", None)


def test_new_failure_opens_one_issue(night: Nights, github: FakeGitHub) -> None:
    """Two cases that fail alike are one issue, with the message, the cases, the run, the commit and the link."""
    folder = night.run(failed("a"), failed("b"), case("c"))
    assert night.keep(folder, GITHUB_RUN_ID="77", GITHUB_SERVER_URL="https://git.example") == 0
    (issue,) = github.issues.values()
    assert issue["title"] == "assertion: AssertionError: no tokens (2 cases)"
    assert issue["labels"] == [LABEL]
    assert github.labels == {LABEL}
    for told in ("no tokens", "a with some/model (embedded): failed, In [4]", folder.name, "a" * 40):
        assert told in issue["body"]
    assert f"https://git.example/{REPOSITORY}/actions/runs/77" in issue["body"]
    assert github.comments == {}


def test_known_failure_is_told_once(night: Nights, github: FakeGitHub) -> None:
    """The second night with it writes nothing at all."""
    night(failed("a"))
    written = len(github.written)
    night(failed("a"))
    assert len(github.written) == written


def test_each_signature_has_its_issue(night: Nights, github: FakeGitHub) -> None:
    """More issues than a page has are all found again."""
    words = "alpha", "beta", "gamma", "delta", "epsilon"
    for _ in range(2):
        night(*(failed(word, f"ValueError: {word} {word}s") for word in words))
    assert len(github.issues) == len(words)


def test_gone_failure_is_closed_with_one_comment(night: Nights, github: FakeGitHub) -> None:
    """It is closed as completed, and a night later nothing more is said."""
    night(failed("a"))
    night(case("a"))
    night(case("a"))
    assert github.issues[1]["state_reason"] == "completed"
    assert night.states == ["closed"]
    (comment,) = github.comments[1]
    assert "20261122T030000Z" in comment


def test_failure_that_is_back_reopens_its_issue(night: Nights, github: FakeGitHub) -> None:
    """Its history stays in one place; the comment says where it was seen."""
    night(failed("a"))
    night(case("a"))
    night(failed("b"))
    assert night.states == ["open"]
    assert "20261123T030000Z" in github.comments[1][-1]
    night(case("a"), not_run("b"))
    assert night.states == ["open"]
    night(case("b"))
    assert night.states == ["closed"]


def test_issue_closed_as_not_planned_stays_closed(night: Nights, github: FakeGitHub, capsys: Any) -> None:
    """That is how a person says that it is known."""
    night(failed("a"))
    github.issues[1] |= {"state": "closed", "state_reason": "not_planned"}
    night(failed("a"))
    assert night.states == ["closed"]
    assert "closed by hand #1" in capsys.readouterr().out


SILENT = {
    "not in the run": [case("other")],
    "not run": [not_run("a"), case("other")],
    "in an interrupted run": [case("a"), not_run("other")],
    "at a closed gate": [case("a", "skipped", "the gate is closed.", None)],
    "provider down": [failed("a", "ConnectionError: refused", "connection")],
    "key refused": [failed("a", "AuthError: no", "auth")],
    "no case": [],
}


@pytest.mark.parametrize("results", SILENT.values(), ids=SILENT.keys())
def test_silent_night_closes_nothing(night: Nights, results: list[CaseResult]) -> None:
    """What could not show the failure does not show that it is gone."""
    night(failed("a"))
    night(*results)
    assert night.states[0] == "open"


def test_night_without_live_run_closes_nothing_of_it(night: Nights) -> None:
    """The same notebook passing on the embedded endpoint says nothing of the live one."""
    night(failed("a"), endpoint="live")
    night(case("a"))
    assert night.states == ["open"]
    night(case("a"), endpoint="live")
    assert night.states == ["closed"]


TELLING = {
    "another failure": failed("a", "KeyError: usage", "notebook"),
    "not supported": case("a", "skipped", "it cannot see.", None, checks=(Check("image", "not_supported"),)),
}


@pytest.mark.parametrize("result", TELLING.values(), ids=TELLING.keys())
def test_case_that_came_far_enough_closes(night: Nights, result: CaseResult) -> None:
    """A case may end otherwise than well and still show that this failure is gone."""
    night(failed("a"))
    night(result)
    assert night.states[0] == "closed"


def test_issue_waits_for_each_of_its_cases(night: Nights, github: FakeGitHub) -> None:
    """Cases that join later count, and each leaves when it was executed without the failure."""
    night(failed("a"))
    night(failed("b"))
    night(not_run("b"), endpoint="live")
    night(case("a"))
    assert night.states == ["open"]
    night(case("b"))
    assert night.states == ["closed"]
    assert len(github.comments[1]) == 1


def test_runs_of_one_night_are_told_together(night: Nights, github: FakeGitHub) -> None:
    """Keyless, live and matrix show one failure: one issue, which waits for both endpoints."""
    folders = [night.run(failed("a")), night.run(failed("a"), endpoint="live")]
    assert night.keep(*folders, folders[0]) == 0
    assert len(github.issues) == 1
    assert issue_text.read_marker(github.issues[1]["body"])[1] == {("embedded", "a"), ("live", "a")}  # type: ignore[index]
    night(case("a"))
    assert night.states == ["open"]
    assert night.keep(night.run(case("a")), night.run(case("a"), endpoint="live")) == 0
    assert night.states == ["closed"]


def test_folder_of_runs_stands_for_each(night: Nights, github: FakeGitHub) -> None:
    """`latest` in it is one of them, and no second."""
    newest = [night.run(failed("a")), night.run(failed("b", "KeyError: b", "notebook"))][-1]
    (night.folder / "latest").symlink_to(newest.name, target_is_directory=True)
    assert night.keep(night.folder) == 0
    assert len(github.issues) == 2


def test_what_people_write_in_an_issue_stays(night: Nights, github: FakeGitHub) -> None:
    """Only the marker is written again."""
    night(failed("a"))
    github.issues[1]["body"] = "Looked into it. @me\n\n" + github.issues[1]["body"] + "\n\nMore to come."
    before = github.issues[1]["body"]
    night(failed("b"))
    after = github.issues[1]["body"]
    assert after != before
    assert re.sub("<!--.*-->", "", after) == re.sub("<!--.*-->", "", before)


def test_issue_without_label_is_nobodys(night: Nights, github: FakeGitHub) -> None:
    """Anybody can write a marker; a label takes a right."""
    night(failed("a"))
    github.issues[1]["labels"] = []
    night(case("a"))
    assert night.states == ["open"]


def test_marker_that_was_spoilt_closes_nothing_early(night: Nights, github: FakeGitHub) -> None:
    """Where its cases cannot be read, it waits for every case of both endpoints."""
    night(failed("a"))
    github.issues[1]["body"] = re.sub(r" \{.*\} -->", " -->", github.issues[1]["body"])
    night(case("a"))
    assert night.states == ["open"]
    assert night.keep(night.run(case("a")), night.run(case("a"), endpoint="live")) == 0
    assert night.states == ["closed"]


def test_failure_of_very_many_cases_fits(night: Nights, github: FakeGitHub) -> None:
    """A body holds 65,536 characters: it names fifty cases, and waits for all."""
    many = [f"notebook_{number}@some/model-{number}" for number in range(3000)]
    night(*(failed(name) for name in many))
    assert "and 2950 more" in github.issues[1]["body"]
    assert issue_text.read_marker(github.issues[1]["body"])[1] == {("embedded", ALL)}  # type: ignore[index]
    night(*(case(name) for name in many[1:]), not_run(many[0]))
    assert night.states == ["open"]
    night(*(case(name) for name in many))
    assert night.states == ["closed"]


def test_long_message_is_cut(night: Nights, github: FakeGitHub) -> None:
    """The body says how much is missing."""
    night(failed("a", "ValueError: " + "x" * 90_000))
    assert "\n[80012 characters more]\n" in github.issues[1]["body"]


HOSTILE = "AssertionError: @everyone fixes #1\n```\n````\n# loud <!-- scillm-smoke:000000000000 {} --> [x](http://x)"


def test_failure_cannot_leave_its_code_block(night: Nights, github: FakeGitHub) -> None:
    """No mention, no reference and no marker of a message is outside of the fences, nor in the title."""
    night(failed("a@some/model-->--x", HOSTILE))
    night(case("a@some/model-->--x"))
    night(failed("a@some/model-->--x", HOSTILE))
    texts = [github.issues[1]["body"], *github.comments[1]]
    for text in texts:
        outside = _outside_of_blocks(text)
        for word in ("@everyone", "#1", "loud", "000000000000", "http://x"):
            assert word not in outside
    assert "@everyone" in texts[0]
    title = github.issues[1]["title"]
    assert "\n" not in title
    assert not re.search(r"[@#]\w", title)
    assert len(github.issues) == 1


def _outside_of_blocks(text: str) -> str:
    """Return what CommonMark does not read as fenced code."""
    outside, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if re.fullmatch(rf"`{{{len(fence)},}}\s*", line) else fence
        elif opened := re.match("`{3,}", line):
            fence = opened[0]
        else:
            outside.append(line)
    assert not fence
    return "\n".join(outside)


@pytest.mark.parametrize("seen", [{("live", "a--b@x-->y")}, {("embedded", "é"), ("live", ALL)}])
def test_marker_reads_back(seen: set[tuple[str, str]]) -> None:
    """What it remembers cannot end the comment that hides it."""
    marker = issue_text.marker("0123456789ab", frozenset(seen))
    assert "--" not in marker[4:-3]
    assert ">" not in marker[4:-3]
    assert issue_text.read_marker(f"text\n{marker}\n") == ("0123456789ab", seen)


def test_dry_run_writes_nothing_and_needs_no_token(night: Nights, github: FakeGitHub, capsys: Any) -> None:
    """It reads the issues where there is a repository, and else knows none."""
    night(failed("a"))
    written = len(github.written)
    folder = str(night.run(case("a"), failed("b", "KeyError: b", "notebook")))
    public = {name: night.environ[name] for name in ("GITHUB_API_URL", "GITHUB_REPOSITORY")}
    capsys.readouterr()
    assert main(["--dry-run", folder], public) == 0
    assert "would close #1" in capsys.readouterr().out
    assert main(["--dry-run", folder], {}) == 0
    assert capsys.readouterr().out == "would open: notebook: KeyError: b (b)\n"
    assert len(github.written) == written


def test_nothing_to_do_is_said(night: Nights, capsys: Any) -> None:
    """A good night prints one line."""
    night(case("a"))
    assert capsys.readouterr().out == "no failure, and no open issue\n"


def test_transient_trouble_is_tried_again(night: Nights, github: FakeGitHub) -> None:
    """As often as may help, and as late as GitHub asks."""
    github.trouble = [(502, {}), (429, {"Retry-After": "7"}), (403, {"Retry-After": "3"})]
    night(failed("a"))
    assert night.states == ["open"]
    assert night.slept == [1, 7, 4]


def test_post_that_may_have_been_done_is_not_repeated(night: Nights, github: FakeGitHub, capsys: Any) -> None:
    """A second issue would be worse than a red job; the next night finds out."""
    github.labels.add(LABEL)
    folder = night.run(failed("a"))
    assert night.keep(folder) == 0
    github.issues.clear()
    posts = len(github.written)
    github.answer = _failing_posts(github)  # type: ignore[method-assign]
    assert night.keep(folder) == 1
    assert [request for request in github.written[posts:] if request.endswith("/issues")] == [
        f"POST /repos/{REPOSITORY}/issues"
    ]
    assert "was answered 502" in capsys.readouterr().err


def _failing_posts(github: FakeGitHub) -> Any:
    whole = github.answer

    def answer(method: str, url: str, *rest: Any) -> Any:
        return (502, {"message": "Bad Gateway"}, {}) if url.endswith("/issues") else whole(method, url, *rest)

    return answer


REFUSALS = {
    401: ({}, "GITHUB_TOKEN was refused; make a new one"),
    403: ({}, "give the job `permissions: issues: write`"),
    404: ({}, "check GITHUB_REPOSITORY"),
    418: ({}, "see what it says"),
    429: ({"Retry-After": "3600"}, "again later"),
    500: ({}, "GitHub has trouble"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_refusal_is_one_line_and_exit_status_1(night: Nights, github: FakeGitHub, capsys: Any, status: int) -> None:
    """It names the status and what to do."""
    headers, remedy = REFUSALS[status]
    github.trouble = [(status, headers)] * 9
    assert night.keep(night.run(failed("a"))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"was answered {status} (scripted {status})" in line
    assert remedy in line


def test_spent_requests_are_not_waited_for(night: Nights, github: FakeGitHub) -> None:
    """An hour is too long for a job."""
    github.trouble = [(403, {"X-RateLimit-Remaining": "0"})]
    assert night.keep(night.run(failed("a"))) == 1
    assert night.slept == []


def test_repository_without_issues_is_no_failure(night: Nights, github: FakeGitHub, capsys: Any) -> None:
    """A fork has none at first, and its night passes with the keyless part."""
    github.trouble = [(410, {})]
    assert night.keep(night.run(failed("a"))) == 0
    assert "the repository has no issues" in capsys.readouterr().err


def test_unreachable_github_is_one_line(night: Nights, capsys: Any) -> None:
    """Port 9 has no server."""
    assert night.keep(night.run(failed("a")), GITHUB_API_URL="http://127.0.0.1:9") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "127.0.0.1 cannot be reached" in line


WRONG = {
    "no token": ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set"),
    "no repository": ({"GITHUB_REPOSITORY": ""}, "GITHUB_REPOSITORY is '', not owner/name"),
    "no address": ({"GITHUB_API_URL": "here"}, "GITHUB_API_URL is 'here', not an address"),
}


@pytest.mark.parametrize(("environ", "message"), WRONG.values(), ids=WRONG.keys())
def test_usage_is_one_line_and_exit_status_2(
    night: Nights, github: FakeGitHub, capsys: Any, environ: dict[str, str], message: str
) -> None:
    """Nothing is asked."""
    assert night.keep(night.run(failed("a")), **environ) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert github.asked == []


def test_folder_without_run_is_refused(night: Nights, tmp_path: Path, capsys: Any) -> None:
    """An empty folder, and one that is not there."""
    (tmp_path / "empty").mkdir()
    assert night.keep(tmp_path / "empty") == 2
    assert night.keep(tmp_path / "gone") == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_make_issues_is_the_same(night: Nights) -> None:
    """The workflow calls the target; a dry run of it tells what would be done."""
    environ = {"PATH": os.environ["PATH"]}
    command = ["make", "-s", "issues", f"RUNS={night.run(failed('a'))}", "DRY_RUN=1"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "would open: assertion: AssertionError: no tokens (a)\n"
