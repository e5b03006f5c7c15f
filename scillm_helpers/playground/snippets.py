"""A request -> the same call in Python and as curl, ready to be pasted. The key stands in neither."""

import json
import shlex
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from rich.pretty import pretty_repr

from .form import Picture

_WIDTH = 80  # characters of a line in Python, where no text in it is longer
_MARK = "\0"  # where a picture stands that is read from its file: no JSON has this character in it

Names = Mapping[str, str]  # data URL -> file name


def file_names(pictures: Iterable[Picture]) -> dict[str, str]:
    """Return the file that each uploaded picture is read from: its own name, with a number where two share one."""
    names: dict[str, str] = {}
    for picture in pictures:
        if picture.url.startswith("data:") and picture.url not in names:
            name = PurePath(picture.name or "picture.png")
            number, found = 1, name
            while str(found) in names.values():
                number += 1
                found = name.with_stem(f"{name.stem}-{number}")
            names[picture.url] = str(found)
    return names


class _Name:
    """Be a variable's name in a literal."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def python(request: Mapping[str, Any], names: Names) -> str:
    """Return a Python program that makes the call with LiteLLM and prints the answer as it comes."""
    found = _data_urls(request, names)
    variables = {url: f"picture_{number}" for number, url in enumerate(found, 1)}
    lines = ["import base64", "import os", "from pathlib import Path", ""] if found else ["import os", ""]
    lines += ["import litellm", ""]
    for url, variable in variables.items():
        head, name = url.partition(",")[0] + ",", names[url]
        lines += [
            f"# {name!r} was uploaded: have it in the working directory.",
            f"{variable} = {head!r} + base64.b64encode(Path({name!r}).read_bytes()).decode()",
        ]
    lines += [
        *([""] if found else []),
        "stream = litellm.completion(",
        '    api_base=os.environ["CHUTES_API_BASE"],',
        '    api_key=os.environ["CHUTES_API_KEY"],',
        '    custom_llm_provider="custom_openai",',
    ]
    for name, value in _replaced(request, {url: _Name(variable) for url, variable in variables.items()}).items():
        lines.append(textwrap.indent(f"{name}={pretty_repr(value, max_width=_WIDTH)},", "    "))
    lines += [
        ")",
        "for chunk in stream:",
        "    if chunk.choices:",
        '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
        "print()",
    ]
    return "\n".join(lines) + "\n"


def curl(request: Mapping[str, Any], names: Names) -> str:
    """Return a shell command that makes the call with curl and shows the events as they come."""
    found = _data_urls(request, names)
    marks = {url: f"{url.partition(',')[0]},{_MARK}{number}{_MARK}" for number, url in enumerate(found)}
    body = json.dumps(_replaced(request, marks), ensure_ascii=False, indent=2)
    ask = (
        'curl -sSN "$CHUTES_API_BASE/chat/completions" \\\n'
        '  -H "Authorization: Bearer $CHUTES_API_KEY" -H "Content-Type: application/json" -d @-'
    )
    if not found:
        return f"{ask} <<'JSON'\n{body}\nJSON\n"
    # curl drops the line ends of what it reads for -d: those here, and those that base64 makes.
    for number, url in enumerate(found):
        file = shlex.quote(names[url])
        encoded = f"\nJSON\nbase64 < {file}\ncat <<'JSON'\n"
        body = body.replace(json.dumps(f"{_MARK}{number}{_MARK}")[1:-1], encoded)
    note = "".join(f"# {shlex.quote(names[url])} was uploaded: have it in the working directory.\n" for url in found)
    return f"{note}{{\ncat <<'JSON'\n{body}\nJSON\n}} | {ask}\n"


def _data_urls(request: Mapping[str, Any], names: Names) -> list[str]:
    """Return the data URLs in the messages of a request, each once."""
    contents = [message["content"] for message in request["messages"] if isinstance(message["content"], list)]
    urls = [part["image_url"]["url"] for content in contents for part in content if part["type"] == "image_url"]
    return [url for url in dict.fromkeys(urls) if url in names]


def _replaced(value: Any, replacements: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _replaced(part, replacements) for name, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, replacements) for part in value]
    return replacements.get(value, value) if isinstance(value, str) else value
