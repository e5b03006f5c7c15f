"""Tell how much memory live kernels take, each after one call.

`python -m benchmarks.kernels PROVISIONER N` starts N kernels, as any Jupyter tool would, and
prints a JSON list: the PSS in MB of all their processes after the first, the second, and so on.
"""

import json
import os
import sys
from contextlib import ExitStack

import psutil
from jupyter_client.manager import start_new_kernel

from benchmarks.memory import pss_of_tree
from benchmarks.notebooks import call_cells


def main(provisioner: str, count: int) -> None:
    """Start `count` kernels with `provisioner`, one after the other, and keep them."""
    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = provisioner
    totals: list[float] = []
    with ExitStack() as live:
        for _ in range(count):
            manager, client = start_new_kernel()
            live.callback(manager.shutdown_kernel, now=True)
            live.callback(client.stop_channels)
            reply = client.execute_interactive("\n".join(call_cells()), timeout=60, output_hook=lambda _: None)
            assert reply["content"]["status"] == "ok", reply
            totals.append(round(pss_of_tree(psutil.Process()), 1))
    print(json.dumps(totals))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
