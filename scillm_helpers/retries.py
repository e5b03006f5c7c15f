"""When to try a call again, and how long to wait before that."""

import logging
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import tenacity

from .kinds import chain, is_transient
from .settings import Settings

_log = logging.getLogger(__name__)


def policy(settings: Settings) -> dict[str, Any]:
    """Return the arguments of `tenacity.Retrying` and `tenacity.AsyncRetrying`.

    Only transient failures are tried again, `LITELLM_MAX_RETRIES` times at most. The wait grows
    from `LITELLM_RETRY_AFTER` seconds and is jittered. A longer one that the provider asks for
    with `Retry-After` is kept; if it exceeds `LITELLM_TIMEOUT`, the failure is raised at once.
    """
    grow = tenacity.wait_exponential_jitter(multiplier=settings.retry_after, max=30, jitter=settings.retry_after)

    def wait(state: tenacity.RetryCallState) -> float:
        asked = retry_after(_failure(state))
        return grow(state) if asked is None else asked + random.uniform(0, settings.retry_after)

    tried_enough = tenacity.stop_after_attempt(1 + settings.max_retries)

    def stop(state: tenacity.RetryCallState) -> bool:
        return tried_enough(state) or (retry_after(_failure(state)) or 0) > settings.timeout

    return {
        "retry": tenacity.retry_if_exception(is_transient),
        "stop": stop,
        "wait": wait,
        "before_sleep": tenacity.before_sleep_log(_log, logging.INFO),
        "reraise": True,
    }


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that the provider asks to wait, from now, or None.

    Source: RFC 9110, section 10.2.3: a number of seconds, or an HTTP-date.
    """
    for behind in chain(error):
        headers = getattr(getattr(behind, "response", None), "headers", {})
        if value := headers.get("retry-after"):
            return _seconds(value)
    return None


def _seconds(value: str) -> float | None:
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _failure(state: tenacity.RetryCallState) -> BaseException:
    assert state.outcome is not None  # tenacity asks after an attempt, and only of a failed one
    error = state.outcome.exception()
    assert error is not None
    return error
