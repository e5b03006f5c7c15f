"""An executed notebook -> a page to read it on: nbconvert's, with nothing in it that could act."""

import logging
import re
import threading
import warnings
from functools import cache
from typing import Any

import nh3
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML

from .labels import writable
from .templates import render
from .words import plain

# What an output may say of its looks; what moves or covers other parts of the page is not among it.
_LOOKS = {
    "background-color", "border", "color", "font-family", "font-size", "font-style", "font-weight", "height",
    "line-height", "text-align", "text-decoration", "white-space", "width",
}  # fmt: skip
_lock = threading.Lock()


def as_html(notebook: Any, title: str) -> str:
    """Return a page of the notebook. Its outputs are cleaned: no script, no frame, nothing from elsewhere."""
    try:
        with _lock:  # the exporter keeps what belongs to one conversion
            # HTMLExporter's own parses the page once more, to say of a picture that nothing is said of it.
            body, _ = TemplateExporter.from_notebook_node(_exporter(), notebook)
    except Exception as error:  # noqa: BLE001 - nbconvert believes what a notebook displays, and that may be anything
        body = f"<p>This notebook cannot be shown ({type(error).__name__}); open the executed copy.</p>"
    return render("notebook.html.j2", title=title, body=plain(_described(_clean(writable(body)))))


@cache
def _exporter() -> Any:
    """Return the exporter, which says nothing of what it cannot show: widgets, records for the harness."""
    warnings.filterwarnings("ignore", message="Your element with mimetype", category=UserWarning)
    quiet = logging.getLogger(__name__)
    quiet.setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"exclude_anchor_links": True, "default_preprocessors": [], "log": quiet}
    exporter: Any = HTMLExporter(template_name="basic", **options)  # type: ignore[no-untyped-call]
    exporter.register_filter("highlight_code", Highlight2HTML(pygments_lexer="ipython3", parent=exporter))  # type: ignore[no-untyped-call]
    exporter.register_filter("clean_html", lambda part: part)  # all of it is cleaned, once
    return exporter


def _described(body: str) -> str:
    """Give each picture an alternative text, where its author has given none."""
    return re.sub(r"<img(?![^>]* alt=)", '<img alt="A picture without a description"', body)


def _clean(body: str) -> str:
    return nh3.clean(
        body,
        attributes={
            "*": {"class", "id", "style", "title", "role", "aria-label"},
            "a": {"href"},
            "img": {"src", "alt", "width", "height"},
            "td": {"colspan", "rowspan"},
            "th": {"colspan", "rowspan", "scope"},
        },
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        filter_style_properties=_LOOKS,
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Keep what leads elsewhere only when it is clicked (nh3 calls this)."""
    if name == "src":
        return value if value.startswith("data:image/") else None
    if name == "href":
        return value if value.startswith(("https://", "http://", "#")) else None
    return value
