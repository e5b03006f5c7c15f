"""Tell how many seconds N calls take by themselves: in one process, which has made one before, one after the other.

`python -m benchmarks.calls N` prints the seconds.
"""

import sys
import time

from benchmarks.notebooks import call_cells


def main(count: int) -> None:
    """Make the call of the one-call notebook `count` times."""
    connect, call, check = call_cells()
    names: dict[str, object] = {}
    exec("\n".join([connect, call, check]), names)  # noqa: S102 - the notebook's own cells; LiteLLM is imported now
    compiled = compile(call, "call", "exec")
    began = time.perf_counter()
    for _ in range(count):
        exec(compiled, names)  # noqa: S102
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]))
