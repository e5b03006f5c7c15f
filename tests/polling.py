"""Wait for what other processes do, for which there is no event to wait for."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 300  # seconds after which a test gives up: what takes longer hangs, on the slowest machine too


def until(condition: Callable[[], Any]) -> Any:
    """Return what `condition` gives as soon as it is true, and fail if that does not come."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.02)
    return found
