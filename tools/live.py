"""Refuse to run live where no live endpoint is set: `make smoke-live` calls this, which must not run keyless instead."""

import sys
from collections.abc import Mapping

from scillm_helpers.environment import environment
from scillm_helpers.errors import SettingsError

_NEEDED = ("CHUTES_API_BASE", "CHUTES_API_KEY")


def missing(environ: Mapping[str, str]) -> list[str]:
    """Return the variables of a live endpoint that are not set, or empty."""
    return [name for name in _NEEDED if not environ.get(name, "").strip()]


def main() -> int:
    """Return 0 where a live endpoint is set, else say what lacks and return 2."""
    try:
        lacking = missing(environment())
    except SettingsError as error:
        print(f"smoke-live: {error}", file=sys.stderr)
        return 2
    if lacking:
        are, them = ("are", "them") if len(lacking) > 1 else ("is", "it")
        print(
            f"smoke-live: {' and '.join(lacking)} {are} not set; export {them}, or run make smoke-keyless.",
            file=sys.stderr,
        )
    return 2 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
