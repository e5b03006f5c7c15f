"""The command `history`: from its arguments to tables and an exit status."""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from ..errors import UsageError
from ..listing import nearest
from . import artifacts, history_table, report
from .history import History, no_runs
from .labels import label
from .past import Identity
from .redact import Redactor


def show(arguments: Namespace) -> int:
    """Import what there is to import, show what the history tells, and return the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    if arguments.imports:
        console.print(label(import_runs(arguments.imports, arguments.history)), markup=False)
    with History.read(arguments.history) as history:
        identities = history.identities()
        if not identities:
            raise no_runs(arguments.history)
        if arguments.case is None:
            history_table.show_cases(history.past(identities), console)
        else:
            history_table.show_nights(history.past(_named(arguments.case, identities, arguments.history)), console)
    return 0


def import_runs(paths: list[Path], into: Path) -> str:
    """Add the runs of these files and folders, all or none, and say how many there were."""
    redactor = Redactor.of_environment()  # other versions, and other machines, may have known fewer secrets
    runs = [report.redacted(artifacts.read(path), redactor) for path in artifacts.find(paths)]
    with History.open(into) as history:
        new = history.add(*runs)
    replaced = len(runs) - new
    return f"{_count(new)} added to {into}" + (f", {replaced} replaced" if replaced else "")


def _named(case: str, identities: list[Identity], path: Path) -> list[Identity]:
    """Return the cases of this name, `name` or `name@model`. Raises UsageError where there is none."""
    names = {identity: (identity.name, f"{identity.name}@{identity.model}") for identity in identities}
    case = label(case)
    if found := [identity for identity in identities if case in names[identity]]:
        return found
    near = nearest(case, sorted({name for both in names.values() for name in both}))
    remedy = f"did you mean {' or '.join(near)}?" if near else "scillm-smoke history shows all."
    raise UsageError(f"{case!r} is not a case in {path}; {remedy}")


def _count(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"
