"""A model's Markdown -> HTML that cannot act: no script, nothing that is loaded from elsewhere."""

from functools import cache

import nh3
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "del", "a", "code", "pre", "span", "div", "blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


def to_html(text: str) -> str:
    """Return the HTML of a text in Markdown, with its code highlighted. A picture becomes a link to it."""
    return nh3.clean(
        _markdown().render(text),
        tags=_TAGS,
        attributes={"a": {"href"}, "span": {"class"}, "ol": {"start"}, "code": {"class"}},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        filter_style_properties=set(),
    )


@cache
def _markdown() -> MarkdownIt:
    # As GitHub has it: tables and strikethrough, no HTML of the model's own.
    options = {"html": False, "highlight": _highlighted}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).disable("image")


def _highlighted(code: str, language: str, _: str) -> str:
    """Return the lines of a block of code (markdown-it calls this); "" leaves it to markdown-it."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
