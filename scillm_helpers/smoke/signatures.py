"""Failures -> groups of those that are one and the same."""

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from ..kinds import UNANSWERED
from .results import GOOD, CaseResult, Run

# What differs from one time to the next, the longer forms first.
_VARYING = [
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
        (r"\bhttps?://[^\s'\"<>)]+", "<address>"),
        (r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b", "<address>"),
        (r"\b0x[0-9a-f]+\b", "<address>"),
        (r"(?<![\w.])/[\w.-]+(/[\w.-]+)+", "<path>"),
        (r"\b(?=[a-z_-]*\d)[a-z]+[-_][\w-]{8,}", "<id>"),  # chatcmpl-Bx1..., req_011C...
        (r"\b(?=[a-f]*\d)[0-9a-f]{12,}\b", "<id>"),
        (r"\d+(\.\d+)?", "<n>"),
    )
]


@dataclass(frozen=True)
class Failure:
    """Be the results that failed for one reason; `signature` tells it, `id` is short and stable."""

    signature: str
    results: tuple[CaseResult, ...]

    @property
    def id(self) -> str:
        """Return 12 hexadecimal digits that are the same wherever the signature is."""
        return hashlib.sha256(self.signature.encode()).hexdigest()[:12]

    @property
    def message(self) -> str:
        """Return the most frequent message, as it was."""
        return Counter(result.reason.message for result in self.results if result.reason).most_common(1)[0][0]

    @property
    def title(self) -> str:
        """Return one line: the kind, the message, and how many cases there are."""
        count = len(self.results)
        of = self.results[0].case.id if count == 1 else f"{count} cases"
        return f"{self.told} ({of})"

    @property
    def told(self) -> str:
        """Return the kind and the message: what the messages have in common, where they differ in details only."""
        if self.signature != self._kind and len({self._message(result) for result in self.results}) > 1:
            return self.signature
        return f"{self._kind}: {self.message}" if self._kind else self.message

    @property
    def _kind(self) -> str | None:
        return self.results[0].reason.kind if self.results[0].reason else None

    @staticmethod
    def _message(result: CaseResult) -> str | None:
        return result.reason.message if result.reason else None


def failures(run: Run) -> list[Failure]:
    """Return the run's failures, the most frequent first: what passed, was skipped or was not run is none."""
    groups: dict[str, list[CaseResult]] = defaultdict(list)
    for result in run.results:
        if result.status not in GOOD and result.status != "not_run":
            groups[signature(result)].append(result)
    found = [Failure(text, tuple(results)) for text, results in groups.items()]
    return sorted(found, key=lambda failure: -len(failure.results))


def signature(result: CaseResult) -> str:
    """Return what failed without what varies: ids, times, addresses, numbers, the names of model and case.

    Where the provider could not be reached, refused the key, or had no capacity, each call of each
    notebook says so in its own words; then the kind alone is the signature.
    """
    reason = result.reason
    if reason is None:
        return result.status
    if result.status == "failed" and reason.kind in UNANSWERED:
        return f"{reason.kind}"
    message = reason.message
    for name, placeholder in ((result.case.model, "<model>"), (result.case.notebook.stem, "<notebook>")):
        if len(name) > 3:  # a shorter one may be any word
            message = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", placeholder, message)
    for pattern, placeholder in _VARYING:
        message = pattern.sub(placeholder, message)
    return f"{reason.kind or result.status}: {message}"
