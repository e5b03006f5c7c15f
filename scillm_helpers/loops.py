"""Run a coroutine from code that cannot await."""

import asyncio
import atexit
import functools
from _asyncio import Task
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from .errors import LoopError

T = TypeVar("T")


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run `coro` to its end and return what it returns, or raise what it raises.

    Use this in a plain function, whoever calls it: a script, a notebook cell (where a loop is
    running already and `asyncio.run` refuses), or code under nest_asyncio. The coroutine runs
    on one background loop, the same for all calls. In a cell, top-level `await` is simpler.

    Raises LoopError inside a coroutine that `run` itself runs: await there instead.
    """
    try:
        future: Future[T] = _portal().start_task_soon(_awaited, coro)
    except RuntimeError as error:
        coro.close()
        raise LoopError(
            "loops.run() was called inside a coroutine that it runs; await the inner one instead."
        ) from error
    try:
        return future.result()
    except BaseException:  # an interrupt of the waiting thread must reach the coroutine too
        future.cancel()
        raise


async def _awaited(coro: Coroutine[Any, Any, T]) -> T:
    return await coro


@functools.cache
def _portal() -> BlockingPortal:
    stack = ExitStack()
    atexit.register(stack.close)
    options = {"loop_factory": _new_loop}
    return stack.enter_context(start_blocking_portal(backend_options=options, name="scillm-loop"))


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose tasks stay CPython's own.

    nest_asyncio 1.6, which is not developed any more, makes all new tasks its kind; on Python 3.14
    `asyncio.current_task` doesn't see those, and whatever needs it fails: anyio, `asyncio.timeout`.
    """
    loop = asyncio.new_event_loop()
    loop.set_task_factory(lambda loop, coro, **options: Task(coro, loop=loop, **options))
    return loop
