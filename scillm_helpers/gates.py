"""SCILLM_ALLOW_*_SMOKE: checks that run only where they are allowed."""

from typing import Literal

from .errors import GateClosed
from .records import stop
from .settings import Settings


def require(gate: Literal["stream", "tools"], settings: Settings | None = None) -> None:
    """Go on if the gate is open; else say how to open it and raise GateClosed, before any request.

    `gate` names the variable: SCILLM_ALLOW_STREAM_SMOKE or SCILLM_ALLOW_TOOLS_SMOKE.
    """
    settings = settings or Settings.from_env()
    allowed = {"stream": settings.allow_stream, "tools": settings.allow_tools}
    if not allowed[gate]:
        variable = f"SCILLM_ALLOW_{gate.upper()}_SMOKE"
        stop(
            GateClosed(
                f"The {gate} gate is closed; set {variable}=1 to run this notebook (in a cell above: %env {variable}=1)."
            ),
            gate,
        )
