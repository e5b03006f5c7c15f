"""The command `doctor`: look at everything, then say it, without secrets."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from .checks import CHECKS, Examination
from .environment import admitted
from .findings import Diagnosis, printable
from .patient import Patient
from .show import show

_KEY = "CHUTES_API_KEY"
_SHORTEST = 4  # characters of a key: also one that is too short to be told from other text is not repeated

Clean = Callable[[Any], Any]


def run(as_json: bool, cleaner: Callable[..., Clean]) -> int:
    """Look at the environment of this process, and print what was found; return 0, or 1 where there is a cause.

    `cleaner` returns, for the variables that hold secrets, what takes these out of a JSON value.
    """
    console = Console(highlight=False)
    with admitted(os.environ) as patient:
        diagnosis = _examine(patient, console if not as_json else Console(quiet=True))
        told = _redacted(diagnosis, patient, cleaner)
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        show(Diagnosis.of_dict(told), console)
    return 0 if diagnosis.cause is None else 1


def _examine(patient: Patient, console: Console) -> Diagnosis:
    examination = Examination(patient)
    findings = []
    with console.status("", spinner="line" if console.options.ascii_only else "dots") as status:
        for check in CHECKS:
            status.update(f"{check.name} ...")
            findings.append(examination.finding(check.name))
    return Diagnosis(patient.endpoint, patient.api_base, tuple(findings))


def _redacted(diagnosis: Diagnosis, patient: Patient, cleaner: Callable[..., Clean]) -> Any:
    """Return a diagnosis without secrets, as JSON: an endpoint may repeat what it was sent."""
    key = patient.api_key if patient.settings is not None else ""
    environs: list[Mapping[str, str]] = [patient.file, patient.shell, {_KEY: key}]
    told = cleaner(*environs)(diagnosis.as_dict())
    if len(key) >= _SHORTEST:
        for check in told["checks"]:
            check |= {name: check[name].replace(key, f"[redacted {_KEY}]") for name in ("seen", "means")}
    return printable(told)
