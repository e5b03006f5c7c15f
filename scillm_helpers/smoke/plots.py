"""Pictures of a run, as SVG inside a page: no script, no file beside it, its colours are the page's."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import floor, log10
from statistics import median

from markupsafe import Markup

from .results import CaseResult, Status

_LABELS = 230  # units left of an axis, of the 1000 that a picture is wide
_WIDTH = 1000 - _LABELS - 20
_ROW = 30


@dataclass(frozen=True)
class Axis:
    """Map values from 0 to `top` to places, with a few round ticks."""

    top: float

    def at(self, value: float) -> float:
        """Return where a value stands."""
        return round(_LABELS + _WIDTH * value / self.top, 1)

    def ticks(self) -> list[float]:
        """Return four to ten round values from 0 to the top."""
        magnitude = 10.0 ** floor(log10(self.top))
        step = next(part * magnitude for part in (0.1, 0.2, 0.5, 1, 2) if self.top / (part * magnitude) <= 8)
        return [step * number for number in range(int(self.top / step + 1e-9) + 1)]


def timeline(results: Sequence[CaseResult]) -> Markup:
    """Return when each worker executed what, over the seconds of the run."""
    done = [result for result in results if result.worker is not None]
    if not done:
        return Markup()
    axis = Axis(max(result.started_s + result.seconds for result in done) or 1)
    workers = sorted({result.worker for result in done if result.worker is not None})
    bars = Markup().join(_bar(result, axis, workers.index(result.worker or 0)) for result in done)
    labels = Markup().join(_label(f"worker {worker}", row) for row, worker in enumerate(workers))
    about = f"When each of {len(workers)} workers executed which of {len(done)} cases, in seconds of the run"
    return _picture(about, len(workers), axis, labels + bars, lambda value: f"{value:g} s")


def dots(values: dict[str, list[float]], about: str, shown: Callable[[float], str]) -> Markup:
    """Return a row for each name: a dot for each value, and a line at their median."""
    rows = {name: own for name, own in values.items() if own}
    if not rows:
        return Markup()
    axis = Axis(max(value for own in rows.values() for value in own) * 1.05 or 1)
    parts = [
        _label(name, row) + _median(own, row, axis, shown) + Markup().join(_dot(value, row, axis) for value in own)
        for row, (name, own) in enumerate(rows.items())
    ]
    return _picture(about, len(rows), axis, Markup().join(parts), shown)


def strip(statuses: Sequence[Status]) -> Markup:
    """Return a case's past as a band of stripes, one a run, the newest last."""
    if not statuses:
        return Markup()
    stripes: dict[Status, list[str]] = defaultdict(list)
    place = 0
    for status, run in groupby(statuses):
        length = len(list(run))
        stripes[status].append(f"M{place} 0h{length}v9h-{length}z")
        place += length
    paths = Markup().join(
        Markup('<path class="{}" d="{}"/>').format(name, "".join(own)) for name, own in stripes.items()
    )
    about = f"{statuses.count('passed')} of the last {place} runs passed"
    return Markup(
        '<svg class="strip" style="width: {}rem" viewBox="0 0 {} 9" preserveAspectRatio="none" role="img" aria-label="{}">'
        "{}</svg>"
    ).format(round(0.6 * place, 1), place, about, paths)


def nights(counts: Sequence[tuple[str, int, int]]) -> Markup:
    """Return the pass rate of each night (date, passed, executed) as a bar, the newest last."""
    if len(counts) < 2:
        return Markup()
    width = 1000 / len(counts)
    bars = []
    for number, (date, passed, executed) in enumerate(counts):
        height = 60 * passed / executed if executed else 0
        bars.append(
            Markup(
                '<g><title>{}: {} of {} passed</title><rect class="failed" x="{:.1f}" y="0" width="{:.1f}" height="60"/>'
                '<rect class="passed" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/></g>'
            ).format(
                date, passed, executed, number * width, width * 0.85, number * width, 60 - height, width * 0.85, height
            )
        )
    about = f"The share of cases that passed on each of {len(counts)} nights, {counts[0][0]} to {counts[-1][0]}"
    return Markup(
        '<svg class="nights" viewBox="0 0 1000 60" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(about, Markup().join(bars))


def _picture(about: str, rows: int, axis: Axis, content: Markup, shown: Callable[[float], str]) -> Markup:
    bottom = rows * _ROW + 6
    grid = Markup().join(
        Markup(
            '<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/><text class="tick" x="{0}" y="{2}">{3}</text>'
        ).format(axis.at(tick), bottom, bottom + 18, shown(tick))
        for tick in axis.ticks()
    )
    return Markup('<svg viewBox="0 0 1000 {}" role="img" aria-label="{}">{}{}</svg>').format(
        bottom + 26, about, grid, content
    )


def _label(text: str, row: int) -> Markup:
    short = text if len(text) <= 30 else f"{text[:14]}…{text[-14:]}"
    return Markup('<text class="label" x="{}" y="{}"><title>{}</title>{}</text>').format(
        _LABELS - 10, row * _ROW + 20, text, short
    )


def _bar(result: CaseResult, axis: Axis, row: int) -> Markup:
    start, end = axis.at(result.started_s), axis.at(result.started_s + result.seconds)
    fits = int((end - start) / 8)
    name = result.case.id if len(result.case.id) <= fits else f"{result.case.id[: fits - 1]}…" if fits > 4 else ""
    text = (
        Markup('<text class="inside" x="{}" y="{}">{}</text>').format(start + 4, row * _ROW + 20, name) if name else ""
    )
    return Markup(
        '<g><title>{}: {}, {:.1f} s</title><rect class="{}" x="{}" y="{}" width="{:.1f}" height="{}" rx="2"/>{}</g>'
    ).format(
        result.case.id, result.status, result.seconds, result.status, start, row * _ROW + 3,
        max(end - start - 1, 1.5), _ROW - 6, text,
    )  # fmt: skip


def _dot(value: float, row: int, axis: Axis) -> Markup:
    return Markup('<circle class="dot" cx="{}" cy="{}" r="5"/>').format(axis.at(value), row * _ROW + 15)


def _median(values: Iterable[float], row: int, axis: Axis, shown: Callable[[float], str]) -> Markup:
    middle = median(values)
    return Markup('<g><title>median {}</title><line class="median" x1="{}" x2="{}" y1="{}" y2="{}"/></g>').format(
        shown(middle), axis.at(middle), axis.at(middle), row * _ROW + 4, row * _ROW + 26
    )
