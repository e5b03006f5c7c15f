"""The endpoint that a run is against: the live one, or one embedded in the run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..endpoint import serve
from ..endpoint.log import RequestLog
from ..errors import UsageError
from ..listing import list_models, unknown_model
from ..settings import Settings
from .results import Case

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

    def models(self, settings: Settings, named: list[str]) -> list[str]:
        """Return the models to run with: `named`, else the one of the settings, else the first listed.

        Raises UsageError for one that the endpoint does not list.
        """
        chosen = named or [settings.model or (self.listed or [""])[0]]
        own = [settings.text_model, settings.vlm_model, settings.tools_model]
        for model in [*chosen, *(() if named else filter(None, own))]:
            if model not in self.listed:
                where = (
                    "the embedded endpoint (CHUTES_API_BASE is not set)" if self.kind == "embedded" else self.api_base
                )
                raise UsageError(unknown_model(model or "''", self.listed, where))
        return list(dict.fromkeys(chosen))

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

    def log_to(self, path: Path) -> None:
        """Append the embedded endpoint's request log to `path`; a live endpoint keeps its own."""
        if self.log is not None:
            self.log.write_to(path)


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
