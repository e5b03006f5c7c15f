"""Wait for what other processes do, for which there is no event to wait for."""

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what `condition` gives as soon as it is true, and fail if that is not within `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.02)
    return found
