"""The extra `run` of the distribution: what of it is missing here, and how to install it."""

import json
import re
import shlex
import sys
from importlib import metadata
from importlib.util import find_spec

DISTRIBUTION = "scillm-notebooks"
EXTRA = "run"


def missing() -> list[str]:
    """Return the packages that the extra names and that are not installed."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # the package lies on the path, and was never installed
        return []
    wanted = re.compile(rf"""([\w.-]+)[^;]*;.*extra == ["']{EXTRA}["']""")
    return [match[1] for line in requirements if (match := wanted.match(line)) and not _is_installed(match[1])]


def command(*arguments: str) -> str:
    """Return the command that installs the extra, or where there is no pip, runs `scillm-smoke` with it."""
    wanted = f"{DISTRIBUTION}[{EXTRA}]{_origin()}"
    if not has_pip():
        return shlex.join(["uvx", "--from", wanted, "scillm-smoke", *arguments])
    return shlex.join([sys.executable, "-m", "pip", "install", wanted])


def has_pip() -> bool:
    """Tell whether this environment can be installed into: what `uvx` makes has no pip."""
    return find_spec("pip") is not None


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _origin() -> str:
    """Return from where this distribution was installed (PEP 610), as a requirement has it; nothing for an index."""
    recorded = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    if "url" not in recorded:
        return ""
    vcs = recorded.get("vcs_info", {})
    return f" @ {vcs['vcs']}+{recorded['url']}@{vcs['commit_id']}" if vcs else f" @ {recorded['url']}"
