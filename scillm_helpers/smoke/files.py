"""The files of a run: without secrets, and so that no reader, and no crash, ever finds half of one."""

import threading
from pathlib import Path

from .. import atomic
from ..errors import RunError
from . import bugs, folder
from .labels import path_of
from .redact import Redactor


class Files:
    """Write into the folder of a run."""

    def __init__(self, place: Path, redactor: Redactor) -> None:
        self.folder = place
        self.redactor = redactor
        self.bugs = 0  # of ours that this run has met
        self._lock = threading.Lock()

    def write_bug(self, error: BaseException) -> str:
        """Write the details of an error of ours to a file of its own, and return the line that names it."""
        with self._lock:
            self.bugs += 1
            name = f"bug-{self.bugs}.txt"
        line = bugs.line(error, folder.shown(self.folder) / name)
        try:
            self.write(name, self.redactor.text(bugs.details(error)))
        except Exception:  # noqa: BLE001 - nothing is left that could report it
            line = bugs.line(error, None)
        return line

    def write_page(self, name: str, content: str) -> None:
        """Write text that people read, after a last look for secrets; as `write` does."""
        self.write(name, self.redactor.content(content))

    def write(self, name: str, content: str) -> None:
        """Write `content`, made of what is without secrets, to a file as a whole or not at all.

        Raises RunError where that cannot be.
        """
        path = self.folder / path_of(name)
        try:
            atomic.make_folder(path.parent, exist_ok=True)
            atomic.replace(path, content.encode(errors="replace"))
        except OSError as error:
            raise RunError(f"{path} cannot be written ({error.strerror}); make room, and --resume the run.") from error
