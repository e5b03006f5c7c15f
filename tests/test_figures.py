import base64
import re

import pytest
from matplotlib.figure import Figure

from scillm_helpers import figure


def test_figure_becomes_a_picture_with_alt_text() -> None:
    """Markdown, whose picture is a PNG that names no version of what made it."""
    fig = Figure(figsize=(2, 1))
    fig.subplots()
    found = re.fullmatch(r"!\[A rising line\]\(data:image/png;base64,([\w+/=]+)\)", figure(fig, "A rising line").data)
    assert found
    png = base64.b64decode(found[1])
    assert png.startswith(b"\x89PNG")
    assert b"Software" not in png


@pytest.mark.parametrize("alt", ["", "  ", "a [b", "a] b", "a\nb"])
def test_alt_text_that_cannot_be_read_aloud_is_refused(alt: str) -> None:
    """Empty, or such that Markdown would end it early."""
    with pytest.raises(ValueError, match="say in one line"):
        figure(Figure(), alt)
