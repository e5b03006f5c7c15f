"""As much of GitHub's API as keeps issues: over a real socket, with state, pages and scripted trouble."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests import scripted

REPOSITORY = "some/project"
TOKEN = "obviously-fake"
_PAGE = 2


@dataclass
class FakeGitHub:
    """Keep issues, labels and comments; `trouble` is answered first, one (status, headers) to each request."""

    api: str
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, list[str]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    trouble: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def written(self) -> list[str]:
        """Return the requests that were no GET."""
        return [request for request in self.asked if not request.startswith("GET")]

    def add(self, **fields: Any) -> int:
        """Add an issue and return its number."""
        number = len(self.issues) + 1
        issue = {"number": number, "title": "", "body": None, "state": "open", "state_reason": None, "labels": []}
        self.issues[number] = issue | fields
        return number

    def answer(self, method: str, url: str, body: Any, token: str | None) -> tuple[int, Any, dict[str, str]]:
        """Return a status, a body and headers."""
        parts = urlsplit(url)
        match = re.fullmatch(rf"/repos/{REPOSITORY}(/.+)", parts.path)
        if match is None:
            return 404, {"message": "Not Found"}, {}
        if token not in (None, f"Bearer {TOKEN}") or (token is None and method != "GET"):
            return 401, {"message": "Bad credentials"}, {}
        if method == "GET":
            return self._page(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
        return self._write(match[1], body)

    def _page(self, path: str, asked: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        assert asked["state"] == "all"
        found = [i for i in reversed(self.issues.values()) if asked["labels"] in i["labels"]]
        page = int(asked.get("page", "1"))
        url = f"{self.api}{path}?labels={asked['labels']}&state=all&page={page + 1}"
        headers = {"Link": f'<{url}>; rel="next"'} if len(found) > page * _PAGE else {}
        return 200, found[(page - 1) * _PAGE : page * _PAGE], headers

    def _write(self, path: str, body: Any) -> tuple[int, Any, dict[str, str]]:
        if path == "/labels":
            known = body["name"] in self.labels
            self.labels.add(body["name"])
            return (422, {"message": "Validation Failed"}, {}) if known else (201, body, {})
        if path == "/issues":
            assert len(body["title"]) <= 256
            assert len(body["body"]) <= 65_536
            return 201, self.issues[self.add(**body)], {}
        number = int(path.split("/")[2])
        if path.endswith("/comments"):
            self.comments.setdefault(number, []).append(body["body"])
            return 201, {}, {}
        self.issues[number] |= body
        return 200, self.issues[number], {}


@contextmanager
def serving() -> Iterator[FakeGitHub]:
    """Serve a repository without issues."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            github.asked.append(f"{self.command} {urlsplit(self.path).path}")
            if github.trouble:
                status, headers = github.trouble.pop(0)
                answer: Any = {"message": f"scripted\n{status}"}
            else:
                status, answer, headers = github.answer(self.command, self.path, body, self.headers["Authorization"])
            scripted.answer(status, answer, **headers)(self)

        do_POST = do_PATCH = do_GET

    with scripted.listening(Handler) as address:
        github = FakeGitHub(address)
        yield github
