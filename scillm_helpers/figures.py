"""A matplotlib figure -> Markdown that can be read aloud."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.figure import Figure


def figure(fig: "Figure", alt: str) -> "Markdown":
    """Return the figure as a picture in Markdown, with `alt` as its alternative text.

    The same figure gives the same bytes. One that shows measured times never is the same: have
    its `alt` begin with `Measured:`, and stored outputs are compared by that text alone.
    Raises ValueError for an `alt` that is empty, or that Markdown would end early.
    """
    from IPython.display import Markdown

    if not alt.strip() or set("[]\n") & set(alt):
        raise ValueError(f"The alternative text is {alt!r}; say in one line, without brackets, what the figure shows.")
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=100, metadata={"Software": None})  # it would name matplotlib's version
    return Markdown(f"![{alt}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})")
