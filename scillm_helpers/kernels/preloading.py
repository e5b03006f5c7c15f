"""Import ahead, and remember by what that could differ from importing afresh.

Standard library only: it runs in the zygote, whose interpreter may be another environment's.
"""

import builtins
import importlib
import importlib.machinery
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Set while importing and not passed on: LiteLLM would download its price map, pydevd print a warning.
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
# Read by the interpreter and by C libraries as they start, where no recording sees it.
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "OMP_", "OPENBLAS_", "MKL_")
# Read as ipykernel is imported, and given anew to each kernel.
_PER_KERNEL = {"JPY_PARENT_PID", "JPY_INTERRUPT_EVENT"}
_SUFFIXES = tuple(importlib.machinery.all_suffixes())

Stamp = tuple[int, int] | None  # modification time in ns, and size in bytes


@dataclass
class Preloaded:
    """Be what importing has read, and what it has left in the environment."""

    environ: dict[str, str]  # that the process was started with
    variables: set[str] = field(default_factory=set)  # that were looked up
    added: dict[str, str] = field(default_factory=dict)  # by what was imported
    files: dict[str, Stamp] = field(default_factory=dict)
    modules: dict[str, Path] = field(default_factory=dict)  # importable by name from a working directory
    ipykernel: set[str] = field(default_factory=set)  # the modules that a cold kernel has as it starts
    skipped: list[str] = field(default_factory=list)  # what could not be imported, and why

    def stale(self, environ: dict[str, str]) -> str | None:
        """Tell what would be otherwise if all this were imported now, with `environ`; None if nothing."""
        matter = self.variables | {name for name in (*self.environ, *environ) if name.startswith(_READ_AT_START)}
        for name in matter - _PER_KERNEL:
            if environ.get(name, QUIET.get(name)) != self.environ.get(name, QUIET.get(name)):
                return f"{name} differs"
        return next((f"{path} has changed" for path, stamp in self.files.items() if _stamp(path) != stamp), None)

    def shadowed(self, folder: str) -> str | None:
        """Tell which file of a working directory would be imported in place of a preloaded module; None if no one."""
        try:
            names = os.listdir(folder)
        except OSError:  # nor can Python import from there
            return None
        for name in names:
            ours = self.modules.get(name.partition(".")[0])
            found = Path(folder, name) if name.endswith(_SUFFIXES) else Path(folder, name, "__init__.py")
            if ours is not None and found.is_file() and not found.samefile(ours):
                return str(found)
        return None


def preload(names: list[str]) -> Preloaded:
    """Import `names`, and return what that has read.

    What cannot be imported is skipped: another version of LiteLLM may have renamed it, and a kernel that needs it
    imports it itself, or meets the same error. Of a package without a part, Python has imported the rest by then.
    """
    # Not os.environ: Python may have set LC_CTYPE already (PEP 538).
    block = Path("/proc/self/environ").read_bytes().split(b"\0")
    done = Preloaded(dict(os.fsdecode(entry).split("=", 1) for entry in block if b"=" in entry))
    quiet = {name: value for name, value in QUIET.items() if name not in os.environ}
    os.environ.update(quiet)
    with _recording(done):
        import ipykernel.kernelapp  # noqa: F401 - before the rest: no file of a working directory can shadow it

        done.ipykernel = set(sys.modules)
        for name in names:
            if why := _failure(name):
                done.skipped.append(why)
    for name in quiet:
        del os.environ[name]
    done.added = {name: value for name, value in os.environ.items() if done.environ.get(name) != value}
    sources = {name: file for name, module in sys.modules.items() if (file := getattr(module, "__file__", None))}
    done.files |= {file: _stamp(file) for file in sources.values()}
    done.modules = {
        name: Path(file) for name, file in sources.items() if "." not in name and name not in done.ipykernel
    }
    return done


def _failure(name: str) -> str | None:
    """Import a module, and return why that failed; None where it did not.

    Of `module:Model` the pydantic model is built, too, which would wait for its first use.
    """
    path, _, model = name.partition(":")
    try:
        module = importlib.import_module(path)
        if model:
            getattr(module, model).model_rebuild()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - reported
        return f"{name} ({type(error).__name__}: {error})"
    return None


@contextmanager
def _recording(done: Preloaded) -> Iterator[None]:
    """Note which variables are looked up, and which files are opened: a `.env` that LiteLLM reads, a price map."""
    environ, opened = type(os.environ), builtins.open
    looked_up = environ.__getitem__

    def noting_getitem(self: Any, key: Any) -> Any:
        done.variables.add(os.fsdecode(key))
        return looked_up(self, key)

    def noting_open(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, Path)) and not set("wax+") & set(mode) and os.path.isfile(file):
            done.files.setdefault(os.path.abspath(file), _stamp(file))
        return opened(file, mode, *args, **kwargs)

    environ.__getitem__, builtins.open = noting_getitem, noting_open  # type: ignore[method-assign]
    try:
        yield
    finally:
        environ.__getitem__, builtins.open = looked_up, opened  # type: ignore[method-assign]


def _stamp(path: str | Path) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
