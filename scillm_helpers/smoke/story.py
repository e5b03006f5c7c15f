"""A run and the history -> what the past adds to it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .notable import beyond_failing
from .past import Identity, Past
from .results import Run, Status
from .signatures import failures


@dataclass(frozen=True)
class Story:
    """Be what the past adds to a run.

    `past` has each case's statuses by its id, the newest last; `changed` what is notable of a case, in
    words; `since` when a failure's signature was first seen. `nights` are dates, each with how many
    cases passed of how many that were executed.
    """

    past: Mapping[str, Sequence[Status]] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, str] = field(default_factory=dict)
    nights: Sequence[tuple[str, int, int]] = ()


def story(run: Run, past: Mapping[Identity, Sequence[Past]]) -> Story:
    """Return the story of a run whose results are the newest of `past`."""
    own = {result.case.id: past.get(Identity.of(run, result), ()) for result in run.results}
    return Story(
        past={case: [result.status for result in results] for case, results in own.items()},
        # Since when a case fails, the page tells with the failure.
        changed={case: "; ".join(phrases) for case, results in own.items() if (phrases := beyond_failing(results))},
        since={
            failure.signature: _since(failure.signature, [own[r.case.id] for r in failure.results], run)
            for failure in failures(run)
        },
        nights=_nights(own.values()),
    )


def _since(signature: str, pasts: Sequence[Sequence[Past]], run: Run) -> str:
    """Return when one of these cases has first failed so."""
    seen = [result.run for results in pasts for result in results if result.signature == signature]
    first = min(seen, key=lambda known: known.started_at, default=None)
    if first is None or first.id == run.id:
        return "New: none of these cases has failed so before."
    commit = f", commit {first.commit}" if first.commit else ""
    return f"First seen on {first.night} (run {first.id}{commit})."


def _nights(pasts: Iterable[Sequence[Past]]) -> list[tuple[str, int, int]]:
    passed: Counter[str] = Counter()
    executed: Counter[str] = Counter()
    for results in pasts:
        passed.update(result.run.night for result in results if result.passed)
        executed.update(result.run.night for result in results if result.passed or result.bad)
    return [(date, passed[date], executed[date]) for date in sorted(executed)]
