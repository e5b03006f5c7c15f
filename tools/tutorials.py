"""Execute the notebooks in place, so that their stored outputs are those of the code beside them.

`make tutorials` calls this. Where a fresh output differs from the stored one only in what truly
varies (a time), the stored one stays: made again, a notebook is the same to the byte.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from scillm_helpers.smoke.authoring.new import TEMPLATE
from scillm_helpers.smoke.authoring.stored import stamp
from tools.stored import same

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute_in_place(path: Path) -> bool:
    """Execute the notebook at `path` and return whether its file changed. Raises CellExecutionError."""
    before = path.read_text(encoding="utf-8")
    stored = nbformat.reads(before, as_version=4)
    fresh = nbformat.reads(before, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    quiet = ["--IPKernelApp.log_level=CRITICAL"]  # ipykernel warns of its loopback ports
    NotebookClient(
        fresh, resources=resources, extra_arguments=quiet, record_timing=False, coalesce_streams=True, timeout=120
    ).execute()
    for old, new in zip(stored.cells, fresh.cells, strict=True):
        _keep_unchanged(old, new)
    fresh.metadata = nbformat.from_dict(_METADATA)  # versions of this machine's Python stay out
    stamp(fresh)
    after: str = nbformat.writes(fresh) + "\n"
    path.write_text(after, encoding="utf-8")
    return after != before


def _keep_unchanged(old: NotebookNode, new: NotebookNode) -> None:
    if new.cell_type == "code" and same(old.outputs, new.outputs):
        new.outputs = old.outputs


def main() -> int:
    """Execute all notebooks, and the one that new ones are made from; name each, and whether it changed."""
    for path in (*sorted(NOTEBOOKS.glob("*.ipynb")), TEMPLATE):
        print(f"{path.name}: {'changed' if execute_in_place(path) else 'unchanged'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
