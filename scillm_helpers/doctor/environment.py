"""The first check: which variables are set, and where; and what follows from them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from ..endpoint import serve
from ..environment import env_file
from ..errors import SettingsError
from ..settings import Settings, may_hold_key
from .findings import Finding, failed, ok
from .patient import Patient

_SHOWN = 16  # characters that a key must have, so that its last four give nothing away
ENTER_KEY = "read -rs CHUTES_API_KEY && export CHUTES_API_KEY"


@contextmanager
def admitted(shell: Mapping[str, str]) -> Iterator[Patient]:
    """Yield the patient whose environment `shell` is, with what the nearest `.env` adds.

    Where they name no endpoint, it is an embedded one, which is stopped after.
    """
    patient = Patient(dict(shell), {})
    try:
        patient.file = env_file()
        settings = Settings.from_env({**patient.file, **shell})
        settings.library()
        _require_host(settings)
    except SettingsError as error:
        patient.refusal = error
        yield patient
        return
    settings = settings.model_copy(update={"max_retries": 0})
    patient.settings, patient.endpoint = settings, "live" if settings.api_base else "embedded"
    if settings.api_base:
        yield patient
        return
    embedded = serve.start()
    try:
        added = {name: embedded.environ[name] for name in ("CHUTES_API_BASE", "CHUTES_API_KEY")}
        patient.settings = settings.model_copy(
            update=Settings.from_env(added).model_dump(include={"api_base", "api_key"})
        )
        yield patient
    finally:
        embedded.stop()


def _require_host(settings: Settings) -> None:
    """Raise SettingsError for a base whose host httpx cannot read: `urllib`, which reads it first, takes more."""
    try:
        httpx.URL(settings.api_base or "")
    except httpx.InvalidURL as error:
        raise SettingsError(
            f"CHUTES_API_BASE is {settings.api_base!r} ({error}); it must be an absolute URL like https://llm.chutes.ai/v1."
        ) from error


def check(patient: Patient) -> Finding:
    """Tell the variables, where each is from, and what is wrong with them."""
    details = tuple(_lines(patient))
    if patient.refusal is not None:
        return _refused(patient, details)
    key_unused = patient.endpoint == "embedded" and _where("CHUTES_API_KEY", patient) in ("shell", ".env")
    if patient.endpoint == "embedded":
        means = "What follows is checked on the embedded endpoint: it says nothing about a live one."
        unused = " CHUTES_API_KEY is set and used by nobody: export CHUTES_API_BASE too." if key_unused else ""
        return ok("CHUTES_API_BASE is not set", means + unused, details)
    return ok(f"the endpoint is {patient.api_base}", _gates(patient), details)


def _refused(patient: Patient, details: tuple[str, ...]) -> Finding:
    told = str(patient.refusal)
    state, _, remedy = told.rstrip(".").partition("; ")
    variable = told.split(" ", 1)[0]
    if variable == "CHUTES_API_KEY":
        run = ENTER_KEY
    elif variable == "CHUTES_API_BASE":
        run = f"export CHUTES_API_BASE={_whole_base(patient)}"
    elif variable in _variables():
        run = f"unset {variable}" if variable in patient.shell else f"sed -i '/^{variable}=/d' .env"
    else:
        run = "file .env"
    return failed(state, f"{remedy[:1].upper()}{remedy[1:]}.", run, details)


def _whole_base(patient: Patient) -> str:
    """Return the base with a scheme, where that is all that it lacks; else an example."""
    base = {**patient.file, **patient.shell}["CHUTES_API_BASE"].strip()
    scheme = "http" if re.match(r"localhost\b|[0-9.]+(:|/|$)", base) else "https"
    is_whole_but_for_it = re.fullmatch(r"[\w.-]+(:\d{1,5})?(/[\w./-]*)?", base)
    return f"{scheme}://{base}" if is_whole_but_for_it else "https://llm.chutes.ai/v1"


def _gates(patient: Patient) -> str:
    closed = [
        name
        for name, opened in (
            ("SCILLM_ALLOW_STREAM_SMOKE", patient.sure.allow_stream),
            ("SCILLM_ALLOW_TOOLS_SMOKE", patient.sure.allow_tools),
        )
        if not opened
    ]
    if not closed:
        return "Every gate of the notebooks is open."
    return f"Notebooks skip what {' and '.join(closed)} would let through; set {'them' if closed[1:] else 'it'} to 1."


def _lines(patient: Patient) -> list[str]:
    """Return a line for each variable that is set somewhere, then one for those that are not."""
    where = {name: _where(name, patient) for name in _variables()}
    widest = max(map(len, where))
    lines = [
        f"{name:<{widest}}  {source:<7}  {_value(name, patient)}"
        for name, source in where.items()
        if source != "default"
    ]
    unset = [name for name, source in where.items() if source == "default"]
    return [*lines, *([f"default: {', '.join(unset)}"] if unset else []), *_to_paste(patient, where)]


def _to_paste(patient: Patient, where: Mapping[str, str]) -> list[str]:
    """Return what a shell needs before it is given the curl lines."""
    if patient.endpoint == "embedded":
        return ["To paste the curl lines: run `scillm-smoke serve` in another terminal, and paste its three exports."]
    if patient.endpoint == "live" and where["CHUTES_API_KEY"] == ".env":
        return ["To paste the curl lines: first `set -a; . ./.env; set +a`."]
    return []


def _variables() -> list[str]:
    return [str(field.validation_alias) for field in Settings.model_fields.values()]


def _where(name: str, patient: Patient) -> str:
    """Return where a variable is from; one that is empty in the shell hides that of `.env`."""
    if name in patient.shell:
        return "shell" if patient.shell[name].strip() else "default"
    return ".env" if patient.file.get(name, "").strip() else "default"


def _value(name: str, patient: Patient) -> str:
    value = {**patient.file, **patient.shell}[name].strip()
    if name == "CHUTES_API_KEY":
        return tail(value)
    other = " (.env has another)" if name in patient.shell and patient.file.get(name, value).strip() != value else ""
    return f"{'(not shown)' if may_hold_key(value) else value}{other}"


def tail(key: str) -> str:
    """Return the last four characters of a key that is long enough to spare them."""
    return f"...{key[-4:]}" if len(key) >= _SHOWN else "(set; too short to show a part of it)"
