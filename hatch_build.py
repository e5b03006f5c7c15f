"""The wheel's build hook: it adds what `scillm-smoke init` writes, which lies outside of the package."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PROJECT = "scillm_helpers/smoke/authoring/project"
FILES = {".env.example": ".env.example", "requirements/lock.txt": "requirements.txt"}


class CustomBuildHook(BuildHookInterface[Any]):
    """The hook that Hatchling calls before it builds a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel; an editable installation finds them where they are."""
        if version == "standard":
            notebooks = {f"notebooks/{path.name}": f"notebooks/{path.name}" for path in ROOT.glob("notebooks/*.ipynb")}
            included = {str(ROOT / source): f"{PROJECT}/{target}" for source, target in (FILES | notebooks).items()}
            build_data["force_include"].update(included)
