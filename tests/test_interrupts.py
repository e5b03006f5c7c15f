"""An interrupt is shown in the lines of the user's cells, and holds nothing else."""

import os
import subprocess
import sys

from scillm_helpers.endpoint.serve import Endpoint

SCRIPT = """
import gc, sys, types, weakref
from IPython.core.interactiveshell import InteractiveShell
from scillm_helpers import interrupts

shell = InteractiveShell.instance(colors="nocolor")
if {own!r}:
    shell.set_custom_exc((ZeroDivisionError,), lambda *_, tb_offset=None: print("their own"))
interrupts.show_briefly()
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
        entry = endpoint.log.wait_for(asked + 1, 60)[-1]
        assert process.poll() is None
        process.communicate("\n")
    assert (entry.stream, entry.whole) == (True, False)
