"""Open JupyterLab on the notebooks, and say where it is and what to open first.

`make lab` calls this: `python -m tools.lab [FOLDER] [further arguments of jupyter lab]`.
"""

import argparse
import asyncio
import os
import sys
import webbrowser
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp

from scillm_helpers.environment import environment
from scillm_helpers.kernels import zygotes
from scillm_helpers.kernels.recipe import VARIABLE, Recipe, modules
from scillm_helpers.smoke import warm

ROOT = Path(__file__).parent.parent
GATES = ("SCILLM_ALLOW_STREAM_SMOKE", "SCILLM_ALLOW_TOOLS_SMOKE")


def jupyter_arguments(folder: Path) -> list[str]:
    """Return what JupyterLab is to do: show `folder`, open its first notebook, log warnings only, and ask nothing."""
    first = next(iter(sorted(folder.glob("[0-9]*.ipynb"))), None)
    return [
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{first.name}" if first else "--LabApp.default_url=/lab",
        "--log-level=WARN",
        "--LabApp.news_url=None",  # or a first visit begins with a question about news
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--ServerApp.answer_yes=True",  # or Ctrl-C asks, and a second one is needed
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def open_gates() -> None:
    """Open the gates that the user has not set, where the kernels will use the embedded endpoint: it costs nothing."""
    set_so_far = environment()
    if not set_so_far.get("CHUTES_API_BASE"):
        os.environ.update({gate: set_so_far.get(gate) or "1" for gate in GATES})


def warm_kernels(folder: Path) -> None:
    """Have kernels forked from a process that imports LiteLLM now, while the page opens."""
    if os.environ.setdefault("JUPYTER_DEFAULT_PROVISIONER_NAME", "scillm-warm") == "scillm-warm":
        os.environ[VARIABLE] = ",".join(warm.preload(os.environ))
        recipe = Recipe.of([sys.executable], modules(os.environ), os.environ, str(folder))
        zygotes.shared().start(recipe, dict(os.environ))


def welcome(server: ServerApp) -> str:
    """Return what to do next, with the port that the server really has."""
    url, name = server.display_url.split()[0], server.default_url.rpartition("/")[2]
    first = f"Open {name} first" if name.endswith(".ipynb") else "There is no notebook in its folder yet"
    lines = [f"JupyterLab runs until Ctrl-C. {first}:", f"    {url}"]
    if server.open_browser and not _has_browser():
        lines.append("No browser was found on this machine; open that URL in one that can reach it.")
    return "\n".join(lines)


def end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End what a stopped server has not done: the process would wait forever for a thread that reads a file for it."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _has_browser() -> bool:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def main() -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="tools.lab", description=main.__doc__, add_help=False)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "notebooks")
    own, further = parser.parse_known_args()
    folder = own.folder.resolve()
    open_gates()
    warm_kernels(folder)
    server = LabApp.initialize_server(argv=[*jupyter_arguments(folder), *further])
    greeting = welcome(server)
    server.identity_provider.token_generated = False  # or the server prints its URLs, too
    # Once it serves: what it logs as it starts stands above.
    server.io_loop.add_callback(lambda: print(greeting, flush=True))
    server.start()
    end_tasks(server.io_loop.asyncio_loop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
