"""Tables on the terminal, and in a file, where `grep` looks for a row."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def new_table() -> Table:
    """Return a table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def print_table(table: Table, console: Console) -> None:
    """Print a table: folded to a terminal's width, or a row a line where it is not seen on one."""
    if not console.is_terminal:
        natural = Measurement.get(console, console.options.update(width=10_000), table).maximum
        console.width = max(console.width, natural)
    console.print(table, soft_wrap=False)


def plain_text(told: str, style: str = "") -> Text:
    """Return what comes from files as it is: neither markup, nor anything that a terminal would obey."""
    shown = (letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in told)
    return Text("".join(shown), style=style)
