"""Answer from cassettes, and ask nobody."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from . import shelf
from .answers import Answer, AnswerResponse, Reset, Wait
from .answers import Part as Sent
from .canonical import Asked
from .cassettes import Cassette, Recorded, media_type
from .cleaning import Clean
from .exchange import application, cannot, resetting
from .nearest import explain
from .server import Server


class Replaying(Server):
    """Be a running server that answers from cassettes."""

    def __init__(self, folder: Path, clean: Clean, timing: bool, port: int, local_key: str) -> None:
        """Start to serve. Raises CassetteError where the folder holds none, or one that cannot be read."""
        cassettes = shelf.read_all(folder)
        super().__init__(
            lambda server: create_app(server, cassettes, clean, timing), port, model_of(cassettes), local_key
        )


class Playback:
    """Give the answers of a cassette one after the other, and after the last the last again."""

    def __init__(self, cassette: Cassette) -> None:
        self._answers = cassette.answers
        self._given = 0

    def next(self) -> Recorded:
        """Return the answer to give now."""
        answer = self._answers[min(self._given, len(self._answers) - 1)]
        self._given += 1
        return answer


def model_of(cassettes: Sequence[Cassette]) -> str:
    """Return the model that most requests ask for; without such, the first that was listed; else an empty text."""
    asked = Counter(filter(None, (cassette.asked.model for cassette in cassettes)))
    listed = [_first_listed(cassette) for cassette in cassettes if cassette.asked.path == "/models"]
    return next((model for model in [*(model for model, _ in asked.most_common(1)), *listed] if model), "")


def _first_listed(cassette: Cassette) -> str:
    body = b"".join(part.data for part in cassette.answers[-1].parts)
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        return ""


def create_app(server: Server, cassettes: Sequence[Cassette], clean: Clean, timing: bool) -> Starlette:
    """Return the application; with `timing` the parts of an answer come when they came."""
    playbacks = {cassette.asked.key: Playback(cassette) for cassette in cassettes}

    async def replay(request: Request, asked: Asked, body: bytes) -> Response:
        playback = playbacks.get(asked.key)
        if playback is None:
            raise cannot(explain(asked, cassettes), "not_recorded")
        return AnswerResponse(answer_of(playback.next(), timing), 0, resetting(request, server))

    return application(server, clean, replay)


def answer_of(recorded: Recorded, timing: bool) -> Answer:
    """Return an answer as it is sent: each part as one chunk of HTTP, with `timing` after its pause."""
    sent: list[Sent] = []
    for part in recorded.parts:
        sent += [Wait(part.after_s), part.data] if timing else [part.data]
    body = b"".join(part.data for part in recorded.parts)
    headers = {"Content-Type": media_type(body)}
    if recorded.end == "reset":
        sent.append(Reset())
    elif len(recorded.parts) <= 1:  # it was none that came in chunks, or might as well not have been
        headers["Content-Length"] = str(len(body))
    return Answer(recorded.status, headers, tuple(sent))
