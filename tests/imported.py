"""What `scillm-smoke` imports as it goes, in its own order: `forked` forks from a process that has this imported."""

import os

from scillm_helpers.smoke import cli, warm  # isort: split

# What the doctor imports as it goes, LiteLLM with it.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai.resources

from scillm_helpers.doctor import command  # isort: split

cli._spare_unused()

from scillm_helpers.smoke import nightly, publish, run  # noqa: E402

__all__ = ["cli", "command", "litellm", "nightly", "openai", "publish", "run", "warm"]
