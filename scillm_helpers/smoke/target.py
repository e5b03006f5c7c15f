"""The endpoint that a run is against: the live one, or one embedded in the run."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import Literal

from ..endpoint import serve
from ..endpoint.log import RequestLog
from ..errors import UsageError
from ..listing import list_models, unknown_model
from ..settings import Settings
from .redact import Redactor
from .results import Case

ALL = "all"

_GATES = ("SCILLM_ALLOW_STREAM_SMOKE", "SCILLM_ALLOW_TOOLS_SMOKE")
_PURPOSE_MODELS = ("CHUTES_TEXT_MODEL", "CHUTES_VLM_MODEL", "CHUTES_TOOLS_MODEL")


@dataclass(frozen=True)
class Target:
    """Say where the kernels send their calls; `log` is there where the endpoint is embedded."""

    kind: Literal["embedded", "live"]
    api_base: str
    api_key: str = field(repr=False)
    listed: list[str]
    log: RequestLog | None = None

    def models(self, settings: Settings, named: list[str], patterns: Sequence[str] = ()) -> list[str]:
        """Return the models to run with: `named`, else the one of the settings, else the first listed.

        `all` names every model that is listed, or those that match one of `patterns`. Raises
        UsageError for a model that the endpoint does not list, and for patterns that nothing matches.
        """
        if patterns and named != [ALL]:
            raise UsageError("--match chooses among all models; write --model all --match PATTERN.")
        if named == [ALL]:
            return self._matching(patterns)
        chosen = named or [settings.model or (self.listed or [""])[0]]
        own = [settings.text_model, settings.vlm_model, settings.tools_model]
        for model in [*chosen, *(() if named else filter(None, own))]:
            if model not in self.listed:
                raise UsageError(unknown_model(model or "''", self.listed, self._where))
        return list(dict.fromkeys(chosen))

    def _matching(self, patterns: Sequence[str]) -> list[str]:
        found = [
            model
            for model in self.listed
            if not patterns or any(fnmatch(model.lower(), pattern.lower()) for pattern in patterns)
        ]
        if not found:
            what = f"no model that matches {' or '.join(patterns)}" if patterns else "no models"
            listed = f"; it lists {', '.join(self.listed[:5])}" if self.listed else ""
            raise UsageError(f"{self._where} lists {what}{listed}.")
        return found

    @property
    def _where(self) -> str:
        return "the embedded endpoint (CHUTES_API_BASE is not set)" if self.kind == "embedded" else self.api_base

    def environ(self, environ: dict[str, str], case: Case, forced: bool) -> dict[str, str]:
        """Return the environment of a case's kernel.

        `forced` makes the case's model the one for every purpose. The gates are open on the
        embedded endpoint, which costs nothing, unless the user has set them.
        """
        added = {"CHUTES_API_BASE": self.api_base, "CHUTES_API_KEY": self.api_key}
        if forced:
            added |= {"CHUTES_MODEL": case.model} | dict.fromkeys(_PURPOSE_MODELS, "")
        if self.kind == "embedded":
            added |= {gate: environ.get(gate) or "1" for gate in _GATES}
            # Starting the endpoint has added its address to these.
            added |= {name: os.environ[name] for name in ("NO_PROXY", "no_proxy")}
        return environ | added

    def log_to(self, path: Path, redactor: Redactor) -> None:
        """Append the embedded endpoint's request log to `path`; a live endpoint keeps its own."""
        if self.log is not None:
            self.log.write_to(path, redactor.text)


@contextmanager
def open_target(settings: Settings) -> Iterator[Target]:
    """Yield the live endpoint, asked for its models once; or start an embedded one, and stop it after.

    Raises AuthError and EndpointError where the live one does not answer.
    """
    if settings.api_base is not None and settings.api_key is not None:
        key = settings.api_key.get_secret_value()
        yield Target("live", settings.api_base, key, list_models(settings.api_base, key, settings.timeout))
        return
    endpoint = serve.start()
    try:
        listed = list_models(endpoint.api_base, endpoint.api_key, settings.timeout)
        yield Target("embedded", endpoint.api_base, endpoint.api_key, listed, endpoint.log)
    finally:
        endpoint.stop()
