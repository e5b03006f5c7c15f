"""A folder of cassettes."""

import os
import shlex
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .. import atomic
from ..errors import CassetteError
from .canonical import Asked
from .cassettes import Cassette, end, head, parse


def prepare(folder: Path) -> None:
    """Make the folder of a recording. Raises CassetteError where that cannot be, or nothing can be written to it."""
    try:
        atomic.make_folder(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CassetteError(f"{folder} cannot be written to ({error.strerror}); choose another folder.") from error


def write(folder: Path, asked: Asked, texts: Iterable[str]) -> None:
    """Write a cassette of these answers, as a whole or not at all. Raises CassetteError where that cannot be."""
    path = folder / f"{asked.name}.yaml"
    try:
        atomic.replace(path, "".join([head(asked), *texts, end()]).encode())
    except OSError as error:
        raise CassetteError(
            f"{path} cannot be written ({error.strerror}); see to the folder, and record again."
        ) from error


def read_all(folder: Path) -> list[Cassette]:
    """Return the cassettes of a folder. Raises CassetteError where there are none, or one of them cannot be used."""
    if not os.path.isdir(folder):
        if os.path.exists(folder):
            raise CassetteError(f"{folder} is not a folder; name the folder of a recording.")
        raise CassetteError(f"{folder} does not exist; make it with: {_record(folder)}")
    paths = sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))
    if not paths:
        raise CassetteError(f"{folder} holds no cassettes; record some with: {_record(folder)}")
    found: dict[str, Path] = {}
    cassettes = []
    for path in paths:
        cassette = read(path)
        if (other := found.setdefault(cassette.asked.key, path)) != path:
            raise CassetteError(f"{other} and {path.name} hold the same request; remove one of them.")
        cassettes.append(cassette)
    return cassettes


def _record(folder: Path) -> str:
    return f"scillm-smoke serve --record {shlex.quote(str(folder))}"


def read(path: Path) -> Cassette:
    """Return the cassette of a file. Raises CassetteError where it cannot be read, as `parse` does."""
    try:
        return parse(path.read_bytes().decode(), path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CassetteError(f"{path} cannot be read ({why}); record it again.") from error
