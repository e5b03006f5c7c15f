"""What `scillm-smoke` imports and compiles as it goes, in its own order: `forked` forks from a process that has it."""

import gc
import io
import os
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

from scillm_helpers.smoke import cli, warm  # isort: split

from scillm_helpers.doctor import command  # isort: split

cli._spare_unused()

import nbformat  # noqa: E402
from jupyter_client.provisioning import KernelProvisionerFactory  # noqa: E402
from nbformat.v4 import new_markdown_cell, new_notebook  # noqa: E402

from scillm_helpers.smoke import nightly, publish, run  # noqa: E402

__all__ = ["cli", "command", "nightly", "publish", "run", "warm"]


def _run_without_a_kernel() -> None:
    """Run a notebook without code, and import and compile what a run only does on its way: more than half of its time."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(io.StringIO()):
        nbformat.write(new_notebook(cells=[new_markdown_cell("# Nothing")]), Path("nothing.ipynb"))
        # Nothing of the user's, nor of the test's that asks first; each fork has an environment of its own.
        least = {"PATH": os.environ["PATH"], "JUPYTER_DEFAULT_PROVISIONER_NAME": "local-provisioner"}  # no zygote
        os.environ.clear()
        os.environ.update(least)
        assert cli.main(["run", "nothing.ipynb"]) == 0
    KernelProvisionerFactory.clear_instance()  # the next one reads that variable anew


_run_without_a_kernel()
gc.freeze()  # what is collected is written to, and so copied by each fork
