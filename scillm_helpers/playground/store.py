"""The conversation on disk, so that it outlives its kernel."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import TypeAdapter, ValidationError

from ..errors import FormError
from .conversation import Turn
from .explaining import masked
from .form import Form

INTERRUPTED = "Interrupted: the kernel ended while this was streamed."


@dataclass
class Saved:
    """Be what is kept: the turns, and the form as it was, with what was typed and not yet sent."""

    form: Form
    turns: list[Turn] = field(default_factory=list)
    version: Literal[1] = 1


_SAVED = TypeAdapter(Saved)


class Store:
    """Keep a conversation in a file that only its user can read, without `secret` in it."""

    def __init__(self, path: Path, secret: str) -> None:
        self.path = path
        self._secret = json.dumps(secret)[1:-1]

    @classmethod
    def of_user(cls, secret: str) -> "Store":
        """Return the store in the user's state folder, such as ~/.local/state/scillm on Linux."""
        return cls(platformdirs.user_state_path("scillm") / "playground.json", secret)

    def load(self) -> Saved | None:
        """Return what was kept, or None; what was being streamed is marked as interrupted.

        Raises FormError for a file that cannot be read, which is put aside: nothing is lost.
        """
        try:
            saved = _SAVED.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise FormError(f"The kept conversation cannot be read; {self._put_aside()}.") from error
        for turn in saved.turns:
            if turn.state == "streaming":
                turn.state, turn.remark = "failed", INTERRUPTED
        return saved

    def save(self, saved: Saved) -> None:
        """Replace the file, at once: whoever reads it finds the old one or the new one. Raises OSError."""
        data = masked(_SAVED.dump_json(saved).decode(), self._secret).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)  # readable by its user only
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise

    def _put_aside(self) -> str:
        aside = self.path.with_suffix(".unreadable.json")
        try:
            os.replace(self.path, aside)
        except OSError:
            return f"look at {self.path}"
        return f"it is now {aside}"
