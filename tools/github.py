"""The issues of a repository on GitHub, over its REST API (https://docs.github.com/rest/issues)."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx
import tenacity

from scillm_helpers.bounded import fetch, reason
from scillm_helpers.errors import ScillmError

_ATTEMPTS = 4
_SECONDS = 30.0  # for one request
_MAX_PAGES = 1000  # of a list; each has up to 100 issues
_LONGEST_PAUSE = 60.0  # seconds; GitHub may ask for an hour, which a job should not wait
_REMEDIES = {
    401: "GITHUB_TOKEN was refused; make a new one, or pass the workflow's own.",
    403: "GITHUB_TOKEN may not do that; give the job `permissions: issues: write`.",
    404: "there is no such repository, or GITHUB_TOKEN may not see it; check GITHUB_REPOSITORY.",
    410: "the repository has no issues; switch them on in its settings.",
    429: "the limit of requests is reached; run `make issues` again later.",
}


class GitHubError(ScillmError):
    """Say what GitHub answered, with its status (None where it was not reached), and what to do."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Issue:
    """Be an issue as it is on GitHub."""

    number: int
    title: str
    body: str
    open: bool
    unwanted: bool = False  # closed as "not planned" or as a duplicate, which a person does

    @classmethod
    def from_json(cls, issue: dict[str, Any]) -> Self:
        """Read an issue of the API."""
        unwanted = issue.get("state_reason") in ("not_planned", "duplicate")
        return cls(issue["number"], issue["title"], issue["body"] or "", issue["state"] == "open", unwanted)


class Repository:
    """Read and write the issues of a repository. Every method raises GitHubError.

    `name` is `owner/name`. Without a token, public issues can be read. `sleep` takes seconds.
    """

    def __init__(self, api: str, name: str, token: str | None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._headers = headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._base = f"{api.rstrip('/')}/repos/{name}"
        self._sleep = sleep

    def issues(self, label: str) -> list[Issue]:
        """Return the issues with this label, open and closed."""
        parameters = {"labels": label, "state": "all", "per_page": "100"}
        page = self._send("GET", f"{self._base}/issues", params=parameters)
        found = _issues_on(page)
        for _ in range(_MAX_PAGES):
            if "next" not in page.links:
                return found
            page = self._send("GET", self._own(page.links["next"]["url"]))
            found += _issues_on(page)
        raise GitHubError(f"{self._base}/issues has more than {_MAX_PAGES} pages; check GITHUB_API_URL.")

    def create_label(self, name: str, color: str, description: str) -> None:
        """Create a label; one of that name stays as it is."""
        try:
            self._send("POST", f"{self._base}/labels", json={"name": name, "color": color, "description": description})
        except GitHubError as error:
            if error.status != 422:  # what GitHub answers where it exists
                raise

    def open(self, fields: dict[str, Any]) -> int:
        """Open an issue and return its number."""
        return int(self._send("POST", f"{self._base}/issues", json=fields).json()["number"])

    def edit(self, number: int, fields: dict[str, Any]) -> None:
        """Set fields of an issue, which tells nobody but by its state."""
        self._send("PATCH", f"{self._base}/issues/{number}", json=fields)

    def comment(self, number: int, body: str) -> None:
        """Add a comment to an issue."""
        self._send("POST", f"{self._base}/issues/{number}/comments", json={"body": body})

    def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=_pause,
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, url, **content)
        except httpx.HTTPStatusError as error:
            raise _refusal(error) from error
        except httpx.HTTPError as error:
            host = httpx.URL(self._base).host
            raise GitHubError(f"{host} cannot be reached ({reason(error)}); check GITHUB_API_URL.") from error

    def _once(self, method: str, url: str, **content: Any) -> httpx.Response:
        reply = fetch(method, url, seconds=_SECONDS, headers=self._headers, follow_redirects=True, **content)
        return reply.raise_for_status()

    def _own(self, url: str) -> str:
        """Return the address of a further page. Raises GitHubError for one that the token is not for."""
        there, here = httpx.URL(url), httpx.URL(self._base)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise GitHubError(f"{self._base}/issues continues at {there.host}; check GITHUB_API_URL.")
        return url


def _issues_on(page: httpx.Response) -> list[Issue]:
    try:
        return [Issue.from_json(issue) for issue in page.json() if "pull_request" not in issue]
    except (ValueError, KeyError, TypeError) as error:
        raise GitHubError(f"{page.url} is no list of issues; check GITHUB_API_URL.") from error


def _may_pass(error: BaseException) -> bool:
    """Tell whether the same request may succeed a little later, and cannot have succeeded already.

    A POST that broke off, or was answered 500 or 502, may have been done: again, it would be a second issue.
    """
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        if _limited(error.response):
            return _asked_pause(error.response) <= _LONGEST_PAUSE
        return status == 503 or (status >= 500 and error.request.method != "POST")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return True
    return isinstance(error, httpx.TransportError) and error.request.method != "POST"


def _limited(response: httpx.Response) -> bool:
    """Tell whether it was one request too many: GitHub says so with 429, and with 403 and a header."""
    headers = response.headers
    spent = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return response.status_code == 429 or (response.status_code == 403 and spent)


def _asked_pause(response: httpx.Response) -> float:
    """Return the seconds that an answer asks to wait; many where it only says that the hour's requests are spent."""
    unspent = 0.0 if response.headers.get("x-ratelimit-remaining") != "0" else 3600.0
    asked = response.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else unspent


def _pause(state: tenacity.RetryCallState) -> float:
    """Return the seconds before the next attempt: what was asked for, or 1, 2, 4."""
    error = state.outcome.exception() if state.outcome else None
    asked = _asked_pause(error.response) if isinstance(error, httpx.HTTPStatusError) else 0.0
    return max(asked, 2.0 ** (state.attempt_number - 1))


def _refusal(error: httpx.HTTPStatusError) -> GitHubError:
    response = error.response
    status = 429 if _limited(response) else response.status_code
    trouble = "GitHub has trouble; run `make issues` again." if status >= 500 else "see what it says."
    remedy = _REMEDIES.get(status, trouble)
    where = f"{error.request.method} {error.request.url.path}"
    return GitHubError(f"{where} was answered {response.status_code} ({_said(response)}); {remedy}", status)


def _said(response: httpx.Response) -> str:
    """Return GitHub's own words, in one line."""
    try:
        said = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = response.reason_phrase
    return re.sub(r"\s+", " ", said)[:200]
