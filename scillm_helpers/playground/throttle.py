"""Do something often asked for now and then only."""

import asyncio
from collections.abc import Callable

_SHARE = 5  # of the time, the part that is left to others: a long text takes long to render


class Throttle:
    """Call `action` at most once in `seconds`, and always once after it was last asked for."""

    def __init__(self, action: Callable[[], None], seconds: float) -> None:
        self._action = action
        self._seconds = seconds
        self._planned: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    def soon(self) -> None:
        """Call the action when it may be called again."""
        if self._planned is None:
            loop = asyncio.get_running_loop()
            self._planned = loop.call_at(max(loop.time(), self._not_before), self.now)

    def now(self) -> None:
        """Call the action at once."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        clock = asyncio.get_running_loop().time
        started = clock()
        self._action()
        took = clock() - started
        self._not_before = started + took + max(self._seconds, _SHARE * took)
