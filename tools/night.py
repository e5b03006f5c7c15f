"""The runs of one night: the failures that they show, and the cases that they show to be without."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scillm_helpers.errors import UsageError
from scillm_helpers.kinds import UNANSWERED
from scillm_helpers.smoke.report import RESULTS, read_results
from scillm_helpers.smoke.results import CaseResult, Run
from scillm_helpers.smoke.signatures import Failure, failures

ALL = "*"
Seen = frozenset[tuple[str, str]]  # of an endpoint and a case's id, or ALL of the endpoint's cases


@dataclass(frozen=True)
class Found:
    """Be a failure, and the runs that show it."""

    failure: Failure
    runs: tuple[Run, ...]

    @property
    def seen(self) -> Seen:
        """Return the cases that fail so."""
        failed = {id(result) for result in self.failure.results}
        return frozenset((run.endpoint, r.case.id) for run in self.runs for r in run.results if id(r) in failed)


@dataclass(frozen=True)
class Night:
    """Be the runs of one night."""

    runs: tuple[Run, ...]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Self:
        """Read the runs of these folders. Raises UsageError for a folder that holds none."""
        folders = sorted({folder.resolve() for path in paths for folder in _folders(path)})
        return cls(tuple(read_results(folder) for folder in folders))

    @property
    def found(self) -> dict[str, Found]:
        """Return the failures of all runs by their id: one that several runs show is one."""
        grouped: dict[str, list[tuple[Run, Failure]]] = defaultdict(list)
        for run in self.runs:
            for failure in failures(run):
                grouped[failure.id].append((run, failure))
        return {key: _merge(group) for key, group in grouped.items()}

    @property
    def well(self) -> Seen:
        """Return the cases that would have shown a failure again, had it been there.

        An interrupted run is no witness: what it did not come to may fail as before.
        """
        whole = [run for run in self.runs if run.results and all(r.status != "not_run" for r in run.results)]
        witnesses = {(run.endpoint, r.case.id) for run in whole for r in run.results if _tells(r)}
        silent = {(run.endpoint, r.case.id) for run in self.runs for r in run.results if not _tells(r)}
        everywhere = {run.endpoint for run in whole} - {endpoint for endpoint, _ in silent}
        return frozenset(witnesses - silent) | {(endpoint, ALL) for endpoint in everywhere}

    def remaining(self, seen: Seen, found: Found | None) -> Seen:
        """Return of the cases that have failed those that may fail still, and those that fail tonight."""
        return (seen - self.well) | (found.seen if found else frozenset())


def _folders(path: Path) -> list[Path]:
    """Return the run's folder that `path` is, or those that it holds."""
    if (path / RESULTS).exists() or not path.is_dir():
        return [path]
    inside = [results.parent for results in path.glob(f"*/{RESULTS}")]
    if not inside:
        raise UsageError(f"{path} holds no run; name the folder of one.")
    return inside


def _merge(group: list[tuple[Run, Failure]]) -> Found:
    results = tuple(result for _, failure in group for result in failure.results)
    return Found(Failure(group[0][1].signature, results), tuple(run for run, _ in group))


def _tells(result: CaseResult) -> bool:
    """Tell whether a case has come far enough to show a failure that it had.

    It has not where it was not run, where a closed gate stopped it, or where the provider did.
    """
    if result.status == "skipped":
        return any(check.state == "not_supported" for check in result.checks)
    kind = result.reason.kind if result.reason else None
    return result.status == "passed" or (result.status != "not_run" and kind not in UNANSWERED)
