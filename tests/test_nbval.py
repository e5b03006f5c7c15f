import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.harness import write
from tests.polling import PATIENCE


@pytest.mark.parametrize("provisioner", [pytest.param("local-provisioner", marks=pytest.mark.slow), "scillm-warm"])
def test_dead_kernel_fails_its_cell_at_once(tmp_path: Path, provisioner: str) -> None:
    """nbval by itself would wait for 2000 s; here the cell is named, with its source."""
    death = "import os, time\nos.kill(os.getpid(), 9)\ntime.sleep(99)"
    write(tmp_path / "a.ipynb", "1", death, "2")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "conftest",
        "-c",
        ROOT / "pyproject.toml",
    ]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, "--nbval-lax", tmp_path / "a.ipynb"],
        cwd=ROOT,
        env=os.environ | {"JUPYTER_DEFAULT_PROVISIONER_NAME": provisioner, "SCILLM_WARM_PRELOAD": "json"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done
    assert "Cell 1: The kernel died while it executed this cell." in done.stdout
    assert "2 failed, 1 passed" in done.stdout
