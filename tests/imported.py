"""What `scillm-smoke` imports as it goes, in its own order: `forked` forks from a process that has this imported."""

from scillm_helpers.smoke import cli, warm  # isort: split

from scillm_helpers.doctor import command  # isort: split

cli._spare_unused()

from scillm_helpers.smoke import nightly, publish, run  # noqa: E402

__all__ = ["cli", "command", "nightly", "publish", "run", "warm"]
