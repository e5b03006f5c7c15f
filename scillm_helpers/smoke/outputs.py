"""What a cell outputs, bounded: the first and the last part are kept, and what was dropped is told."""

from collections import deque
from typing import Any

from nbformat.v4 import new_output

from ..records import MIME_TYPE

KEPT = 1_000_000  # characters printed, in the first part and in the last
_DISPLAYED = 20  # and so many times as much for what is displayed: a few interactive plots are no flood
_OVERHEAD = 100  # what an output takes besides: a million empty ones are one


class Outputs:
    """Bound the outputs of one cell after the other."""

    def __init__(self, kept: int = KEPT) -> None:
        """Keep about `kept` characters printed, or 20 times as many displayed, at the beginning and at the end."""
        self._kept = kept
        self.clear()

    def clear(self) -> None:
        """Forget what the cell has output so far."""
        self._first_size = self._last_size = self._dropped = 0
        self._last: deque[Any] = deque()

    def take(self, outs: list[Any]) -> None:
        """Bound `outs`, whose last one has just been added: from some size on it is kept back for `finish`."""
        size = _size(outs[-1])
        if not self._last and self._first_size + size <= self._kept:
            self._first_size += size
            return
        late = outs.pop()
        if late.output_type == "stream":
            if not self._last:
                early, late = _split(late, max(0, self._kept - self._first_size))
                self._first_size = self._kept
                outs.append(early)
            gone, late = _split(late, max(0, len(late.text) - self._kept))
            self._dropped += len(gone.text)
        self._last.append(late)
        self._last_size += _size(late)
        while self._last_size > self._kept + _OVERHEAD and len(self._last) > 1:
            self._drop_oldest(outs)

    def finish(self, outs: list[Any]) -> None:
        """Add what was kept back to `outs`, and before it how much was dropped."""
        if self._dropped:
            text = f"\n[scillm-smoke dropped {self._dropped:,} characters of output here]\n"
            outs.append(new_output("stream", name="stderr", text=text))
        outs.extend(self._last)
        self.clear()

    def _drop_oldest(self, outs: list[Any]) -> None:
        oldest = self._last.popleft()
        self._last_size -= _size(oldest)
        if oldest.output_type == "error" or MIME_TYPE in oldest.get("data", {}):
            outs.append(oldest)  # by these a case is judged
        else:
            self._dropped += _length(oldest)


def _length(output: Any) -> int:
    if output.output_type == "stream":
        return len(output.text)
    return sum(len(str(value)) for value in output.get("data", {}).values())


def _size(output: Any) -> int:
    return _OVERHEAD + _length(output) // (1 if output.output_type == "stream" else _DISPLAYED)


def _split(output: Any, at: int) -> tuple[Any, Any]:
    first, second = (new_output("stream", name=output.name, text=text) for text in (output.text[:at], output.text[at:]))
    return first, second
