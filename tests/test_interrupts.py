"""An interrupt comes at once, is shown in the lines of the user's cells, and holds nothing else."""

import os
import subprocess
import sys

from scillm_helpers.endpoint.serve import Endpoint
from tests.polling import PATIENCE
from tests.warm import COLD, Kernel

SCRIPT = """
import gc, sys, types, weakref
from IPython.core.interactiveshell import InteractiveShell
from scillm_helpers import interrupts

shell = InteractiveShell.instance(colors="nocolor")
if {own!r}:
    shell.set_custom_exc((ZeroDivisionError,), lambda *_, tb_offset=None: print("their own"))
interrupts.set_up()
library = types.ModuleType("library")
exec('''
class Stream: pass
opened = []
def read():
    stream = Stream()
    import weakref
    opened.append(weakref.ref(stream))
    raise KeyboardInterrupt
''', library.__dict__)
shell.user_ns["library"] = library
shell.run_cell("def mine():\\n    library.read()")
shell.run_cell("mine()")
print("open" if library.opened[0]() else "let go", shell.InteractiveTB.mode)
shell.run_cell("1 / 0")
"""


def _output(own: bool) -> str:
    script = SCRIPT.replace("{own!r}", repr(own))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout


def test_only_the_cells_are_shown_and_the_rest_is_let_go() -> None:
    """The library's frames, and what they hold, are gone with it; other errors look as always."""
    output = _output(own=False)
    shown, rest = output.split("KeyboardInterrupt", 1)
    assert "mine()" in shown
    assert "library.read()" in shown
    assert "raise KeyboardInterrupt" not in output
    assert "let go Context" in rest
    assert "----> 1 1 / 0" in rest


def test_own_handler_of_exceptions_stays() -> None:
    """Who has set one has meant it."""
    assert _output(own=True).endswith("their own\n")


READING = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_cell('''
from scillm_helpers import connect
llm = connect()
stream = llm.completion(messages=[{"role": "user", "content": "Tell me a 10 word story."}], stream=True)
next(stream)
raise KeyboardInterrupt
''')
input()
"""


def test_interrupt_between_two_reads_closes_the_stream(endpoint: Endpoint) -> None:
    """A variable still has it, and nothing of HTTP was on the stack."""
    asked = len(endpoint.log.entries)
    command = [sys.executable, "-c", READING]
    with endpoint.faults.scripted("stall"):
        process = subprocess.Popen(
            command, env=os.environ | endpoint.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        entry = endpoint.log.wait_for(asked + 1, PATIENCE)[-1]
        assert process.poll() is None
        process.communicate("\n")
    assert (entry.stream, entry.whole) == (True, False)


SILENT = """
stream = await llm.acompletion(messages=[{"role": "user", "content": "Tell me a 10 word story."}], stream=True)
print("open")  # ipykernel passes it on 0.2 s later: the loop sleeps by then
async for chunk in stream:
    pass
"""


def test_interrupt_ends_a_stream_on_which_nothing_comes(endpoint: Endpoint) -> None:
    """ipykernel asks the event loop to stop the cell, and nothing else wakes the loop of a cell that waits for a token."""
    asked = len(endpoint.log.entries)
    with Kernel(COLD, env=os.environ | endpoint.environ) as kernel, endpoint.faults.scripted("slow-first-token"):
        kernel.run("from scillm_helpers import connect; llm = connect()")
        reading = kernel.client.execute(SILENT, stop_on_error=False)
        kernel.published("open")
        kernel.manager.interrupt_kernel()
        assert kernel.reply(reading)["ename"] == "CancelledError"
        assert kernel("1 + 1") == 2
    entry = endpoint.log.wait_for(asked + 1, PATIENCE)[-1]
    assert (entry.stream, entry.whole) == (True, False)


OWN = """
import signal, socket
from scillm_helpers import interrupts
_, own = socket.socketpair()
own.setblocking(False)
signal.set_wakeup_fd(own.fileno())
interrupts.set_up()
"""


def test_own_wakeup_descriptor_stays() -> None:
    """Who has set one has meant it."""
    with Kernel(COLD) as kernel:
        kernel.run(OWN)
        assert kernel("signal.set_wakeup_fd(-1) == own.fileno()")
