"""What is of one machine, one person or one provider, and not for everybody to read.

A false alarm is allowed where everybody sees it: the cell is tagged `allow-secret`, `allow-path` or `allow-url`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..redact import Redactor
from .findings import Finding, tagged

DOCUMENTED = "https://llm.chutes.ai/v1"  # the base of the README and of .env.example

# The names that RFC 2606 and RFC 6761 keep for examples and for the own machine.
_RESERVED = re.compile(r"(^|\.)(example(\.(com|net|org))?|test|invalid|localhost)$")
_NAMESPACE = "www.w3.org"  # of SVG, MathML and XHTML: a name, which nobody asks

_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>()\[\]{}`\\|]+", re.IGNORECASE)
_SERVED = re.compile(r"(?:127\.0\.0\.1|localhost):\d+")
_EMBEDDED_KEY = re.compile(r"\bembedded-[\w-]{20,}")
_MACHINE_PATH = re.compile(
    r"(?<![\w.:/~+$}-])(?:/(?:home|Users|root|tmp|var/folders|private/var)/[\w.-]+)|\b[A-Za-z]:\\{1,2}Users\\{1,2}[\w.-]+"
)
_DATA_URL = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
_REDACTED = re.compile(r"\[redacted ([^\]]+)\]")


def secret(notebook: Any) -> Iterator[Finding]:
    """Have no key: none of this environment's, none that looks like one, and none of an endpoint that has gone."""
    cleaned = Redactor.of_environment().notebook(notebook)
    for number, (cell, without) in enumerate(zip(notebook.cells, cleaned.cells, strict=True), 1):
        if tagged(cell, "allow-secret"):
            continue
        before, after = json.dumps(cell), json.dumps(without)
        names = set(_REDACTED.findall(after)) - set(_REDACTED.findall(before))
        if before != after:
            names = names or {"secret in a picture"}
        if _EMBEDDED_KEY.search(before):
            names |= {"key of the embedded endpoint"}
        for name in sorted(names):
            yield Finding(
                number, f"a secret ({name})", "take it out, and replace the key, or tag the cell `allow-secret`"
            )
    if json.dumps(notebook.metadata) != json.dumps(cleaned.metadata):
        yield Finding(None, "a secret in the notebook's metadata", "take it out, and replace the key")


def machine_path(notebook: Any) -> Iterator[Finding]:
    """Have no path of this machine, nor one that looks like another's."""
    own = [re.escape(str(path)) for path in (Path.home(), Path.cwd()) if len(path.parts) > 1]
    here = re.compile("|".join(rf"(?<![\w./])(?:{path})(?![\w-])" for path in own) or r"(?!)")

    def paths(text: str, _: bool) -> Iterator[str]:
        yield from (match[0] for pattern in (_MACHINE_PATH, here) for match in pattern.finditer(text))

    yield from _told(
        notebook, paths, "allow-path", "the path `{}` of a machine", "have it relative, or from a variable"
    )


def url(notebook: Any) -> Iterator[Finding]:
    """Have no absolute URL but the documented base, and those of examples; in outputs, no address of a port either."""
    remedy = "use the variable that holds it, or a name such as `llm.example.com`"
    yield from _told(notebook, _addresses, "allow-url", "the address `{}`", remedy)


def _addresses(text: str, is_output: bool) -> Iterator[str]:
    for match in _URL.finditer(text):
        address = match[0].rstrip(".,;:!?*_")
        if not _is_for_all(address):
            yield address
    if is_output:
        yield from _SERVED.findall(text)


def _is_for_all(address: str) -> bool:
    if address == DOCUMENTED or address.startswith(f"{DOCUMENTED}/"):
        return True
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return host == _NAMESPACE or bool(_RESERVED.search(host)) or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _told(
    notebook: Any, find: Callable[[str, bool], Iterable[str]], tag: str, lacking: str, remedy: str
) -> Iterator[Finding]:
    """Yield a finding for each distinct thing that `find` sees in a cell's source and outputs."""
    for number, cell in enumerate(notebook.cells, 1):
        if tagged(cell, tag):
            continue
        texts = [(cell.source, False), *((text, True) for text in _outputs(cell))]
        found = [thing for text, is_output in texts for thing in find(_DATA_URL.sub("", text), is_output)]
        for thing in dict.fromkeys(found):
            yield Finding(number, lacking.format(thing), f"{remedy}, or tag the cell `{tag}`")


def _outputs(cell: Any) -> Iterator[str]:
    """Yield the texts that a cell's outputs show."""
    for output in cell.get("outputs", ()):
        yield output.get("text", "")
        yield "\n".join(output.get("traceback", ()))
        for mime, data in output.get("data", {}).items():
            if not mime.startswith("image/") or mime.endswith("xml"):
                yield data if isinstance(data, str) else json.dumps(data)


RULES = (secret, machine_path, url)
