"""Serve the embedded endpoint on 127.0.0.1; or a live one, recorded; or what was recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import tokens
from .app import create_app
from .catalogue import MODELS
from .cleaning import Clean
from .faults import Faults
from .server import HOST, Server, new_key

__all__ = ["HOST", "Endpoint", "Server", "new_key", "record", "replay", "start"]

CHUNK_SECONDS = 0.01  # about 100 tokens a second: fast for a model, slow enough to be watched


class Endpoint(Server):
    """Be a running endpoint: where it is, its key, what it was asked, and what it does wrong."""

    def __init__(self, port: int, chunk_seconds: float, paced: bool) -> None:
        """Start to serve, with a new random key."""
        self.chunk_seconds = chunk_seconds  # may be changed: the next request has the new pace
        self.faults = faults = Faults()
        super().__init__(
            lambda server: create_app(
                server.api_key, server.log, faults, lambda: self.chunk_seconds, paced, server.reset
            ),
            port,
            MODELS[0].id,
        )

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections while the block lasts, as a provider does that is down; open ones are closed."""
        self.stop()
        try:
            yield
        finally:
            self._listen(self._port)

    def _prepare(self) -> None:
        tokens.encoding()


def start(*, port: int = 0, chunk_seconds: float = CHUNK_SECONDS, paced: bool = False) -> Endpoint:
    """Start an endpoint with a new random key and return it; it answers at once.

    `port` 0 takes a free one; `chunk_seconds` lie between the chunks of a stream; `paced`, a whole reply
    takes as long as its stream would. Raises OSError where the port is taken.
    """
    return Endpoint(port, chunk_seconds, paced)


def record(
    folder: Path, api_base: str, api_key: str, *, clean: Clean, port: int = 0, model: str = "", local_key: str = ""
) -> Server:
    """Start a server that asks a live endpoint and keeps each answer in a cassette of `folder`.

    `api_key` is the live endpoint's; clients need `local_key`, by default a new random one, and never see the
    other. `clean` takes secrets out of all that is kept. Raises CassetteError where the folder cannot be written to.
    """
    # Late: their HTTP client and their YAML are nothing that the embedded endpoint needs.
    from .recorder import Recording
    from .upstream import Upstream

    return Recording(folder, Upstream(api_base, api_key), clean, port, model, local_key)


def replay(folder: Path, *, clean: Clean, timing: bool = False, port: int = 0, local_key: str = "") -> Server:
    """Start a server that answers from the cassettes of `folder`; it asks nobody.

    `clean` is that of the recording. With `timing` the parts of an answer come when they came; without, at once.
    Raises CassetteError where the folder holds none, or one that cannot be read.
    """
    from .replayer import Replaying

    return Replaying(folder, clean, timing, port, local_key)
