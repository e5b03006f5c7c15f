"""The past of cases -> tables: a row a case, or a row a night. Plain text where it is not seen on a terminal."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.text import Text

from . import trends
from .notable import measured, notable
from .past import EMBEDDED, Identity, Past
from .tables import new_table, plain_text, print_table
from .trends import Metric, Night

_Metric = Metric | Literal["seconds"]


def show_cases(past: Mapping[Identity, Sequence[Past]], console: Console) -> None:
    """Print a row for each case, and below what is notable."""
    table = new_table()
    labels = _labels(past)
    for name in (*labels, "nights", "passed", "TTFT s", "tokens/s"):
        table.add_column(
            name, justify="left" if name in labels else "right", overflow="fold", no_wrap=name not in labels
        )
    for identity, results in past.items():
        known = (trends.usually(results, "ttft_s"), trends.usually(results, "tokens_per_s"))
        told = [str(len(trends.nights(results))), _share(trends.pass_rate(results))]
        told += [_value("ttft_s", known[0]), _value("tokens_per_s", known[1])]
        table.add_row(*(plain_text(label(identity)) for label in labels.values()), *told)
    print_table(table, console)
    for identity, results in past.items():
        _show_notable(" ".join(label(identity) for label in labels.values()), results, console)


def show_nights(past: Mapping[Identity, Sequence[Past]], console: Console) -> None:
    """Print a table for each case, with a row for each of its nights."""
    for place, (identity, results) in enumerate(past.items()):
        console.print(plain_text(("\n" if place else "") + _title(identity)))
        table = new_table()
        for name in ("night", "runs", "passed", "TTFT s", "tokens/s", "seconds"):
            table.add_column(name, justify="left" if name == "night" else "right", no_wrap=True)
        table.add_column("commit", no_wrap=True)
        table.add_column("not passed", overflow="fold")
        for night in trends.nights(results):
            table.add_row(*_row(night))
        print_table(table, console)
        _show_notable("", results, console)


def _row(night: Night) -> list[str | Text]:
    metrics: tuple[_Metric, ...] = ("ttft_s", "tokens_per_s", "seconds")
    told = [f"{cause} {count}x" if count > 1 else str(cause) for cause, count in night.causes.items()]
    told += [f"skipped {night.skipped}x" if night.skipped > 1 else "skipped"] if night.skipped else []
    return [
        plain_text(night.date),
        str(night.runs),
        _share(night.pass_rate),
        *(_value(metric, getattr(night, metric)) for metric in metrics),
        plain_text(night.results[-1].run.commit),
        ", ".join(told),
    ]


def _labels(identities: Iterable[Identity]) -> dict[str, Callable[[Identity], str]]:
    """Return the columns that tell the cases apart: an endpoint or parameters only where they differ."""
    several_places = len({identity.where for identity in identities}) > 1
    parameters = any(identity.parameters != "{}" for identity in identities)
    return {
        "case": lambda identity: identity.name,
        "model": lambda identity: identity.model,
        **({"endpoint": lambda identity: identity.where} if several_places else {}),
        **({"parameters": _parameters} if parameters else {}),
    }


def _title(identity: Identity) -> str:
    where = "the embedded endpoint" if identity.where == EMBEDDED else identity.where
    parameters = f", {_parameters(identity)}" if identity.parameters != "{}" else ""
    return f"{identity.name} with {identity.model} on {where}{parameters}"


def _parameters(identity: Identity) -> str:
    return " ".join(f"{name}={json.dumps(value)}" for name, value in json.loads(identity.parameters).items())


def _show_notable(label: str, past: Sequence[Past], console: Console) -> None:
    for phrase in notable(past):
        console.print(plain_text(f"{label}: {phrase}" if label else phrase), style="yellow")


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.0%}"


def _value(metric: _Metric, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if metric == "seconds" else measured(metric, value)
