"""The exceptions that this package raises.

    ScillmError
    ├── SettingsError          an environment variable is missing or wrong
    ├── EndpointError          an endpoint could not be asked at all
    │   ├── AuthError          the endpoint refused the key
    │   └── UnknownModelError  the endpoint does not serve the model
    ├── StreamError            a stream broke; `.text` keeps what had arrived
    │   └── StreamCutError     it ended without a finish reason
    ├── JsonReplyError         a reply is not the JSON that was asked for; `.raw` keeps it
    ├── ImageError             an image cannot be sent
    ├── FormError              a form of the playground asks for what cannot be sent
    ├── LoopError              a coroutine cannot be run from here
    ├── FaultError             a fault of the embedded endpoint is unknown, or was not met
    ├── CassetteError          a cassette, or a folder of them, cannot be read or written
    ├── Skipped                a notebook stops here, and that is no failure
    │   └── GateClosed         its gate is closed
    ├── UsageError             a command line asks for what cannot be done
    └── RunError               a run cannot go on

A message is subject, state, remedy, in one line.
"""


class ScillmError(Exception):
    """Be the root of every exception that this package raises on purpose.

    Its message says what to do, so Jupyter shows that one line and no traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines to show in place of a traceback (IPython calls this)."""
        return [f"{type(self).__name__}: {self}"]


class SettingsError(ScillmError):
    """Say which environment variable is missing or wrong, what it holds, and what is allowed."""


class EndpointError(ScillmError):
    """Say that an endpoint could not be reached, or answered with something that is no answer."""


class AuthError(EndpointError):
    """Say that an endpoint refused the key (HTTP 401 or 403)."""


class UnknownModelError(EndpointError):
    """Say that an endpoint does not serve a model, and which names come nearest."""


class StreamError(ScillmError):
    """Say that a stream broke, and keep in `text` what had arrived until then."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


class StreamCutError(StreamError):
    """Say that a stream ended without a finish reason: the text is not known to be whole."""


class JsonReplyError(ScillmError):
    """Say why a reply is not the JSON that was asked for, and keep it in `raw`."""

    def __init__(self, message: str, raw: str) -> None:
        super().__init__(message)
        self.raw = raw


class ImageError(ScillmError):
    """Say why an image cannot be sent."""


class FormError(ScillmError):
    """Say what in the form of the playground is missing or wrong."""


class LoopError(ScillmError):
    """Say why a coroutine cannot be run from here."""


class FaultError(ScillmError):
    """Say which fault of the embedded endpoint is unknown, or was not met."""


class CassetteError(ScillmError):
    """Say which cassette, or folder of them, cannot be read or written, and why."""


class Skipped(ScillmError):
    """Stop a notebook without failing it, as pytest.skip() stops a test: the case is `skipped`."""

    def _render_traceback_(self) -> list[str]:
        """Return one line that does not repeat the reason, which a record has shown already."""
        return [f"{type(self).__name__}: the rest of this notebook was not run."]


class GateClosed(Skipped):
    """Stop a notebook whose gate (`SCILLM_ALLOW_*_SMOKE`) is closed."""


class UsageError(ScillmError):
    """Say what a command line asks for that cannot be done."""


class RunError(ScillmError):
    """Say why a run that had begun cannot go on."""
