"""What a notebook reports to the harness.

A report is one display message of MIME type `application/vnd.scillm.smoke+json`. A reader sees
its `text/plain`; the harness reads the JSON from the executed notebook.
"""

import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import Skipped
from .kinds import CAPABILITIES, is_unsupported, kind_of
from .ledger import LEDGER

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

MIME_TYPE = "application/vnd.scillm.smoke+json"


def record(check: str, ok: bool, **facts: Any) -> None:
    """Report that a check held, or not, with what was seen: JSON values.

    Facts that the harness knows: `model`, `prompt_tokens`, `completion_tokens`, `chunks`, and
    the seconds `ttft_s`. A record that is not `ok` fails the notebook's case.
    """
    details = ", ".join(f"{name} {_shown(value)}" for name, value in facts.items() if value is not None)
    _publish({"check": check, "ok": bool(ok), **facts}, f"{check}: {'ok' if ok else 'NOT OK'} ({details})")


def skip(check: str, reason: str) -> NoReturn:
    """Report why a check cannot be made here, and stop the notebook: its case is `skipped`."""
    stop(Skipped(reason), check)


def stop(error: Skipped, check: str) -> NoReturn:
    """Report `error` as the reason why the rest is skipped, and raise it.

    It is told apart whether an endpoint has answered that it lacks the capability.
    """
    handled = sys.exception()
    unsupported = handled is not None and check in _unsupported(handled)
    data = {"check": check, "ok": None, "skipped": str(error), "unsupported": unsupported}
    _publish(data, f"{check}: skipped. {error}")
    raise error


def usage(reply: Any) -> dict[str, int]:
    """Return the tokens of a reply as the facts of a record."""
    return {"prompt_tokens": reply.usage.prompt_tokens, "completion_tokens": reply.usage.completion_tokens}


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Report the kind of every failure from now on, and what calls use (the harness has each of its kernels call this).

    Only inside the kernel is an exception more than the name of its type.
    """
    LEDGER.counting = True
    for name in ("litellm", "scillm"):  # a warm kernel has it; a cold one gets it with its first client
        if name in sys.modules:
            LEDGER.watch(sys.modules[name])
    shell.events.register("post_run_cell", _report_failure)
    shell.events.register("post_run_cell", _report_usage)
    shell.events.register("post_run_cell", lambda _: _report_exit(shell))
    shell.set_custom_exc((BaseExceptionGroup,), _show_group)


def _show_group(
    shell: Any, kind: type[BaseException], error: BaseException, frames: Any, tb_offset: int | None = None
) -> None:
    """Report a group as any exception is; IPython would print it to stderr only (IPython calls this)."""
    shell._showtraceback(kind, error, traceback.format_exception(kind, error, frames))


def _report_failure(result: "ExecutionResult") -> None:
    error = result.error_before_exec or result.error_in_exec
    if isinstance(error, BaseException) and not isinstance(error, Skipped):
        kind = kind_of(error)
        data = {"check": "failure", "ok": False, "kind": kind, "unsupported": _unsupported(error)}
        _publish(data | {"error": _public_name(type(error))}, f"failure: {kind}")


def _public_name(error: type[BaseException]) -> str:
    """Return the name of the class, or of its nearest public base that says more than `Exception`.

    Python 3.13 raises a private subclass of SyntaxError for a cell that is not complete.
    """
    name = next(base.__name__ for base in error.__mro__ if not base.__name__.startswith("_"))
    return error.__name__ if name in ("Exception", "BaseException") else name


def _report_usage(result: "ExecutionResult") -> None:
    """Report the calls of all cells so far, as data that no reader sees."""
    if (totals := LEDGER.totals())["calls"]:
        _publish({"check": "usage", "ok": True, **totals})


def _report_exit(shell: "InteractiveShell") -> None:
    """Report that the kernel ends after this cell: by `exit()`, `quit()`, or a shutdown of its own."""
    if shell.exit_now:
        _publish({"check": "exit", "ok": True})


def _unsupported(error: BaseException) -> list[str]:
    """Return the capabilities that the endpoint says it lacks."""
    return [name for name in CAPABILITIES if is_unsupported(error, name)]


def _publish(data: dict[str, Any], text: str | None = None) -> None:
    from IPython.display import publish_display_data

    publish_display_data({MIME_TYPE: data} | ({} if text is None else {"text/plain": text}))


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
