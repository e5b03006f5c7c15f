"""Warm kernels for a run: their zygote imports what the notebooks use, while the harness imports its own."""

import os
import sys
from collections.abc import Mapping

from ..kernels import zygotes
from ..kernels.recipe import Recipe, modules

_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"
_NAME = "scillm-warm"
_HELPERS = ("client", "figures", "gates", "images", "json_mode", "loops", "records", "smoke.outputs", "streaming")


def start(environ: Mapping[str, str]) -> None:
    """Have the run's kernels forked from now on, unless the environment names another provisioner."""
    if os.environ.setdefault(_VARIABLE, environ.get(_VARIABLE) or _NAME) == _NAME:
        recipe = Recipe.of([sys.executable], preload(environ), environ, os.getcwd())
        zygotes.shared().start(recipe, dict(environ))


def wait() -> None:
    """Return when kernels can be forked, or it is clear that they cannot: no case is charged for it."""
    zygotes.shared().wait()


def preload(environ: Mapping[str, str]) -> list[str]:
    """Return what the zygote imports: the default, or what the user names, and what the notebooks import."""
    return [*modules(environ), *(f"scillm_helpers.{name}" for name in _HELPERS)]
