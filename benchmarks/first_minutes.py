"""Measure what a person waits for first: `import scillm_helpers` in a new Python, and `connect()` in a warm kernel.

The second is measured without an endpoint, so that the embedded one is started, too.
"""

import json
import os
import subprocess
import sys

from jupyter_client.manager import start_new_kernel

_IMPORT = "import time; began = time.perf_counter(); import scillm_helpers; print(time.perf_counter() - began)"
_CONNECT = """
import time
began = time.perf_counter()
from scillm_helpers import connect
llm = connect()
print("took", time.perf_counter() - began)
"""


def import_s() -> float:
    """Return the seconds of the import, Python's own start not counted."""
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def connect_s() -> float:
    """Return the seconds of the cell that a notebook begins with, in a forked kernel."""
    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "scillm-warm"
    for name in ("CHUTES_API_BASE", "CHUTES_API_KEY", "CHUTES_MODEL"):
        os.environ[name] = ""
    said: list[str] = []
    manager, client = start_new_kernel()
    try:
        client.execute_interactive(
            _CONNECT, output_hook=lambda message: said.append(message["content"].get("text", ""))
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return float("".join(said).rpartition("took ")[2])


if __name__ == "__main__":
    print(json.dumps([import_s(), connect_s()]))
