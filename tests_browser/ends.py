"""When the endpoint's streams have ended, on the clock that the page has, too."""

import threading
import time

from scillm_helpers.endpoint.log import Entry
from scillm_helpers.endpoint.serve import Endpoint
from tests.polling import PATIENCE


class StreamEnds:
    """Note the end of each stream from now on, in seconds since the epoch, and whether it was sent whole."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._changed = threading.Condition()
        self._ends: list[tuple[float, Entry]] = []
        log_it = endpoint.log.add

        def add(entry: Entry) -> None:
            log_it(entry)
            if entry.stream:
                with self._changed:
                    self._ends.append((time.time(), entry))
                    self._changed.notify_all()

        endpoint.log.add = add  # type: ignore[method-assign]

    def forget(self) -> None:
        """Begin anew."""
        with self._changed:
            self._ends.clear()

    def so_far(self) -> list[tuple[float, Entry]]:
        with self._changed:
            return list(self._ends)

    def wait(self, count: int = 1, seconds: float = PATIENCE) -> list[tuple[float, Entry]]:
        """Return the ends once there are `count`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._ends) >= count, seconds), "no stream has ended"
            return list(self._ends)
