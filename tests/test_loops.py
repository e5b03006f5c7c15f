import asyncio
import subprocess
import sys
import threading

import pytest

from scillm_helpers import loops
from scillm_helpers.errors import LoopError


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_runs_in_a_script() -> None:
    """With no loop running, it just runs, as often as one likes."""
    assert [loops.run(_double(n)) for n in range(3)] == [0, 2, 4]


def test_runs_while_a_loop_is_running() -> None:
    """In a kernel the cell's own loop runs, and asyncio.run would refuse."""

    async def cell() -> int:
        return loops.run(_double(4))

    assert asyncio.run(cell()) == 8


def test_raises_what_the_coroutine_raises() -> None:
    """An exception arrives as it is."""

    async def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        loops.run(fail())


def test_nested_call_is_refused_with_the_way_out() -> None:
    """Waiting for the loop on the loop would never end."""

    async def outer() -> int:
        return loops.run(_double(1))

    with pytest.raises(LoopError, match="await the inner one instead"):
        loops.run(outer())


def test_runs_from_several_threads() -> None:
    """Threads share the loop and get their own answers."""
    answers: list[int] = []
    threads = [threading.Thread(target=lambda n=n: answers.append(loops.run(_double(n)))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 2, 4, 6, 8, 10, 12, 14]


@pytest.mark.parametrize("first", [True, False], ids=["patched first", "patched later"])
@pytest.mark.parametrize("library", ["nest_asyncio", "nest_asyncio2"])
def test_runs_inside_nest_asyncio(library: str, first: bool) -> None:
    """The patch, which holds for a whole process, changes nothing: inside a loop or outside one."""
    script = f"""
import asyncio, {library}
from scillm_helpers import loops
async def double(n):
    async with asyncio.timeout(60):
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    return 2 * n
async def cell():
    return loops.run(double(3)), asyncio.run(plain(4))
async def plain(n):
    await asyncio.sleep(0)
    return 2 * n
if not {first}:
    loops.run(double(1))
{library}.apply()
print(loops.run(double(2)), asyncio.run(cell()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("4 (6, 8)\n", 0), done.stderr
