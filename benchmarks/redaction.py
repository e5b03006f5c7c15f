"""Tell what redaction takes of a run: `python -m benchmarks.redaction N` prints its CPU seconds, and the run's wall seconds.

The run executes N copies of the one-call notebook, in this process. Its CPU seconds are those of the threads that
redact, summed up: what they could add to the wall seconds at most, were nothing else to run beside them.
"""

import functools
import inspect
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.notebooks import one_calls
from scillm_helpers.smoke import cli
from scillm_helpers.smoke.redact import Redactor


class Meter:
    """Add up the CPU seconds of the outermost calls, of any thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._inside = threading.local()

    def metered(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, measured."""

        @functools.wraps(call)
        def measured(*arguments: Any, **named: Any) -> Any:
            if getattr(self._inside, "one", False):
                return call(*arguments, **named)
            self._inside.one, began = True, time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                self._inside.one = False
                with self._lock:
                    self.seconds += time.thread_time() - began

        return measured


def main(count: int) -> None:
    """Execute `count` notebooks in a folder of their own, and print what redaction took."""
    meter = Meter()
    for name, member in inspect.getmembers(Redactor, inspect.isfunction):
        if name == "__init__" or not name.startswith("_"):
            setattr(Redactor, name, meter.metered(member))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.chdir(folder)
        os.mkdir("notebooks")
        for name, text in one_calls(count).items():
            with open(f"notebooks/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        began = time.perf_counter()
        status = cli.main(["run", "--out", "out"])
        wall = time.perf_counter() - began
    if status != 0:
        raise SystemExit(status)
    print(json.dumps([round(meter.seconds, 4), round(wall, 3)]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
