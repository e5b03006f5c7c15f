"""The pages' templates: what is put into them is escaped."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import words


def render(name: str, **values: Any) -> str:
    """Return a template, filled in."""
    return _environment().get_template(name).render(**values)


def page(executed: str) -> str:
    """Return the page of an executed copy."""
    return f"{executed.removesuffix('.ipynb')}.html"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (words.dollars, words.duration, words.moment, words.rate, words.seconds, words.state, words.words):
        environment.filters[word.__name__] = word
    environment.filters["symbol"] = words.SYMBOLS.__getitem__
    return environment
