"""What a provider does wrong, by name; and which request meets it.

A fault is written `NAME`, or `NAME=SECONDS` where it takes a time:

    429  429-date  slow-headers  slow-first-token

It is asked for in one of three ways, and the first of them that names one counts: by the request itself, with
the header `X-SciLLM-Fault`; by a script, for the next chat requests one after the other (`ok` lets one through);
for all chat requests that name a model.
"""

import difflib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import FaultError
from .catalogue import BY_ID

HEADER = "X-SciLLM-Fault"
OK = "ok"


@dataclass(frozen=True)
class Refusal:
    """Be an error status with a body in OpenAI's shape: `type`, `code` and message of its error object."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None


_BUSY = "Rate limit reached for requests; try again later."
REFUSALS = {
    "401": Refusal(401, "Incorrect API key provided.", code="invalid_api_key"),
    "403": Refusal(403, "This key may not use this model.", code="permission_denied"),
    "404": Refusal(404, "The model does not exist or you do not have access to it.", code="model_not_found"),
    "408": Refusal(408, "The request was not received in time.", "timeout", "request_timeout"),
    "413": Refusal(413, "The body is too large.", code="request_too_large"),
    "429": Refusal(429, _BUSY, "requests", "rate_limit_exceeded"),
    "429-date": Refusal(429, _BUSY, "requests", "rate_limit_exceeded"),
    "500": Refusal(500, "The server had an error while processing your request.", "server_error"),
    "502": Refusal(502, "Bad gateway.", "server_error"),
    "503": Refusal(503, "No capacity: all instances of this model are busy.", "server_error", "capacity"),
    "529": Refusal(529, "Overloaded.", "overloaded_error", "overloaded"),
}
CONTENTS = ("empty", "fenced", "truncated", "prose")  # of a text, streamed or not
STREAMS = (  # of a stream only
    "slow-first-token",
    "stall",
    "cut",
    "cut-in-character",
    "cut-in-token",
    "malformed-chunk",
    "error-in-stream",
    "double-done",
    "no-done",
    "no-usage",
    "comments",
    "crlf",
)
DELIVERIES = ("reset", "reset-mid-body", "slow-headers", "wrong-content-type", "gzip", "x-api-key")
_SECONDS = {"429": 1.0, "429-date": 1.0, "slow-headers": 60.0, "slow-first-token": 60.0}  # where none are named
NAMES = (*REFUSALS, *CONTENTS, *STREAMS, *DELIVERIES)


@dataclass(frozen=True)
class Fault:
    """Be one fault: `seconds` is how long it waits, or has the client wait, where it takes a time."""

    name: str
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `NAME` or `NAME=SECONDS`. Raises FaultError for an unknown name, or a time that is none."""
        name, equals, seconds = text.strip().partition("=")
        if name not in (OK, *NAMES):
            near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4) or NAMES
            raise FaultError(f"{name!r} is not a fault; choose {OK} or one of {', '.join(near)}.")
        if not equals:
            return cls(name, _SECONDS.get(name, 0.0))
        if name not in _SECONDS:
            raise FaultError(f"{name} takes no time; write it without ={seconds}.")
        return cls(name, _time(name, seconds))


class Faults:
    """Choose the fault that a chat request meets; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._script: deque[Fault] = deque()
        self._models: dict[str, Fault] = {}

    def add(self, *texts: str) -> None:
        """Have the next requests meet these, one after the other. Raises FaultError."""
        script = _parse_all(texts)
        with self._lock:
            self._script += script

    def of_model(self, model: str, text: str) -> None:
        """Have all requests for a model meet this one from now on. Raises FaultError, also for an unknown model."""
        if model not in BY_ID:
            raise FaultError(f"{model!r} is not a model here; choose one of {', '.join(BY_ID)}.")
        (fault,) = _parse_all([text])
        with self._lock:
            if fault.name == OK:
                self._models.pop(model, None)
            else:
                self._models[model] = fault

    @contextmanager
    def scripted(self, *texts: str) -> Iterator[None]:
        """Have the next requests meet these while the block lasts.

        Raises FaultError for an unknown one; and at the end of a block that ends well, where some
        were never met: then the block has not seen what it was written to see.
        """
        self.add(*texts)
        try:
            yield
        except BaseException:
            self._clear()
            raise
        if left := self._clear():
            raise FaultError(f"{left} of {len(texts)} faults were not met; send as many requests, or script fewer.")

    def next(self, headers: Mapping[str, str]) -> Fault | None:
        """Return the fault that a request has asked for itself, else the next of the script, which may be `ok`.

        None is for neither. Raises FaultError.
        """
        if asked := headers.get(HEADER):
            return Fault.parse(asked)
        with self._lock:
            return self._script.popleft() if self._script else None

    def put_back(self, headers: Mapping[str, str], fault: Fault | None) -> None:
        """Have the next request meet what this one was to meet, and has not: it was refused for itself."""
        # Whom these two let through, or not, has met them.
        if fault is not None and fault.name not in (OK, "x-api-key") and HEADER not in headers:
            with self._lock:
                self._script.appendleft(fault)

    def for_model(self, model: str) -> Fault | None:
        """Return the fault that all requests for a model meet."""
        with self._lock:
            return self._models.get(model)

    def _clear(self) -> int:
        with self._lock:
            left = len(self._script)
            self._script.clear()
            return left


def _parse_all(texts: Iterable[str]) -> list[Fault]:
    return [Fault.parse(text) for text in texts]


def _time(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise FaultError(f"{name}={text} is not a number of seconds: 0 to 3600.")
    return seconds
