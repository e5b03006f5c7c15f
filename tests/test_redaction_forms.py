"""Each secret, in each form, in each place of a notebook: generated, so that the next form is one line more."""

import base64
import html
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from scillm_helpers.smoke.invisible import INVISIBLE as INVISIBLE_RANGES
from scillm_helpers.smoke.redact import Redactor

SECRETS = {
    "plain": "canary-1f9c3b7a55",
    "hyphens": "canary--9x--y7--z5",
    "signs": "cn&<\">'+/=%\\$q8w7e6",
    "unicode": "schlüssel-日本-9x7y",
    "digits": "90817263544536271",
    "long": "sk-canary_" + "k3Y" * 30,
}
REDACTED = re.compile(r"\[redacted A_TOKEN\]")

Form = Callable[[str], list[str]]  # a secret -> the pieces that are read one after the other


def _joined(separator: str) -> Form:
    return lambda secret: [separator.join(secret)]


def _batched(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _hex(separator: str, group: int = 1, prefix: str = "", upper: bool = False) -> Form:
    def form(secret: str) -> list[str]:
        digits = secret.encode().hex().upper() if upper else secret.encode().hex()
        return [separator.join(prefix + part for part in _batched(digits, 2 * group))]

    return form


def _dump(line: Callable[[int, bytes], str]) -> Form:
    """Return the form of a memory dump, 16 bytes to a line, the secret somewhere inside."""

    def form(secret: str) -> list[str]:
        data = b"0123456789" + secret.encode() + b"ABCDEFGHIJ"
        return ["\n" + "\n".join(line(at, data[at : at + 16]) for at in range(0, len(data), 16)) + "\n"]

    return form


def _xxd(at: int, data: bytes) -> str:
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return f"{at:08x}: {' '.join(_batched(data.hex(), 4)):<39}  {shown}"


def _hexdump(at: int, data: bytes) -> str:
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    halves = [" ".join(_batched(half.hex(), 2)) for half in (data[:8], data[8:])]
    return f"{at:08x}  {halves[0]:<23}  {halves[1]:<23}  |{shown}|"


def _halves(secret: str) -> list[str]:
    return [secret[: len(secret) // 2], secret[len(secret) // 2 :]]


def _halves_around(mark: str) -> Form:
    return lambda secret: [mark.join(_halves(secret))]


INVISIBLE = {
    "zero width space": "\u200b", "zero width joiner": "\u200d", "soft hyphen": "\xad", "word joiner": "\u2060",
    "byte order mark": "\ufeff", "left-to-right mark": "\u200e", "right-to-left override": "\u202e",
    "variation selector": "\ufe0f", "combining grapheme joiner": "\u034f", "combining overlay": "\u0336",
    "hangul filler": "\u3164", "tag": "\U000e0041", "null": "\0", "escape": "\x1b[0m", "backspaced": "x\b"[1:],
    "mongolian vowel separator": "\u180e", "arabic letter mark": "\u061c", "interlinear annotation": "\ufff9",
}  # fmt: skip

FORMS: dict[str, Form] = {
    "as it is": lambda secret: [secret],
    "url": lambda secret: [quote(secret, safe="")],
    "url, every character": lambda secret: ["".join(f"%{byte:02X}" for byte in secret.encode())],
    "json": lambda secret: [json.dumps(secret)],
    "json in json": lambda secret: [json.dumps(json.dumps({"key": secret}))],
    "repr": lambda secret: [repr(secret)],
    "ascii": lambda secret: [ascii(secret)],
    "bytes": lambda secret: [repr(secret.encode())],
    "escaped, every character": lambda secret: ["".join(f"\\u{ord(letter):04x}" for letter in secret)],
    "html": lambda secret: [html.escape(secret)],
    "base64": lambda secret: [base64.b64encode(b"user:" + secret.encode()).decode()],
    "base64 in lines": lambda secret: [base64.encodebytes(b"x" * 50 + secret.encode()).decode()],
    "hex": _hex(""),
    "hex, upper": _hex("", upper=True),
    **{f"hex, {separator!r}": _hex(separator) for separator in (" ", ":", "-", ", ", "\n", ":\n    ", "','", ".")},
    "hex, upper, colons": _hex(":", upper=True),
    "hex, pairs of bytes": _hex(" ", 2),
    "hex, words": _hex(" ", 4),
    "hex, 0x": _hex(", ", prefix="0x"),
    "hex, \\x": _hex("", prefix="\\x"),
    "xxd": _dump(_xxd),
    "hexdump": _dump(_hexdump),
    "two lines": lambda secret: ["\n".join(_halves(secret))],
    "two lines of a box": lambda secret: ["  │\n│ ".join(_halves(secret))],
    "two pieces": _halves,
    "many pieces": lambda secret: list(secret),
    "two pieces, a line each": lambda secret: [f"{half}\n" for half in _halves(secret)],
    **{f"{name} inside": _halves_around(mark) for name, mark in INVISIBLE.items()},
    "zero width space, everywhere": _joined("\u200b"),
    "zero width space, escaped": lambda secret: [ascii("\u200b".join(_halves(secret)))],
    "zero width space and a line end": lambda secret: ["\u200b\n".join(_halves(secret))],
}  # fmt: skip
MARKUP: dict[str, Form] = {
    "markup": lambda secret: [f"<b>{html.escape(_halves(secret)[0])}</b><i>{html.escape(_halves(secret)[1])}</i>"],
    "every character": lambda secret: ["".join(f"<span>{html.escape(letter)}</span>" for letter in secret)],
    "numeric entities": lambda secret: ["".join(f"&#{ord(letter)};" for letter in secret)],
    "hex entities": lambda secret: ["".join(f"&#x{ord(letter):x};" for letter in secret)],
    "an attribute": lambda secret: [f'<a title="{html.escape(secret)}">x</a>'],
    "an attribute in entities": lambda secret: [f"""<a title="{''.join(f'&#{ord(c)};' for c in secret)}">x</a>"""],
    "a link": lambda secret: [f'<a href="https://x.example/?q={quote(secret, safe="")}">x</a>'],
    "a link, every character": lambda secret: [f"""<a href="?{''.join(f'%{byte:02x}' for byte in secret.encode())}">x</a>"""],
    "a comment": lambda secret: [f"<!-- {html.escape(secret)} -->"],
    "a comment, hyphens apart": lambda secret: [f"<!-- {re.sub('-(?=-)', '- ', html.escape(secret, quote=False))} -->"],
    "a comment, hyphens as entities": lambda secret: [f"<!-- {html.escape(secret).replace('-', '&#45;')} -->"],
    "a zero width space": lambda secret: ["&#8203;".join(map(html.escape, _halves(secret)))],
    "a named zero width space": lambda secret: ["&ZeroWidthSpace;".join(map(html.escape, _halves(secret)))],
    "a soft hyphen": lambda secret: ["&shy;".join(map(html.escape, _halves(secret)))],
    "a place to break": lambda secret: ["<wbr>".join(map(html.escape, _halves(secret)))],
    "a script": lambda secret: [f"<script>x = {json.dumps(secret)}</script>"],
    "CDATA": lambda secret: [f"<text><![CDATA[{secret}]]></text>"],
    "hex in elements": lambda secret: ["".join(f"<td>{byte:02x}</td>" for byte in secret.encode())],
}  # fmt: skip


def _displays(mime: str) -> Callable[[list[str]], Any]:
    def place(pieces: list[str]) -> Any:
        outputs = [new_output("display_data", data={mime: piece, "text/plain": "<object>"}) for piece in pieces]
        return new_notebook(cells=[new_code_cell("", outputs=outputs)])

    return place


def _streams(*names: str) -> Callable[[list[str]], Any]:
    def place(pieces: list[str]) -> Any:
        named = zip(pieces, itertools.cycle(names), strict=False)
        outputs = [new_output("stream", name=name, text=piece) for piece, name in named]
        return new_notebook(cells=[new_code_cell("", outputs=outputs)])

    return place


def _plain_displays(pieces: list[str]) -> Any:
    outputs = [new_output("display_data", data={"text/plain": piece}) for piece in pieces]
    return new_notebook(cells=[new_code_cell("", outputs=outputs)])


def _cells(pieces: list[str]) -> Any:
    return new_notebook(
        cells=[new_code_cell("", outputs=[new_output("stream", name="stdout", text=piece)]) for piece in pieces]
    )


def _printed_and_displayed(pieces: list[str]) -> Any:
    outputs = [
        new_output("stream", name="stdout", text=piece)
        if number % 2
        else new_output("display_data", data={"text/markdown": piece, "text/plain": "<Markdown>"})
        for number, piece in enumerate(pieces)
    ]
    return new_notebook(cells=[new_code_cell("", outputs=outputs)])


def _widgets(*states: dict[str, Any]) -> Any:
    models = {f"m{number}": {"model_name": "X", "state": state} for number, state in enumerate(states)}
    widgets = {"application/vnd.jupyter.widget-state+json": {"version_major": 2, "version_minor": 0, "state": models}}
    return new_notebook(metadata={"widgets": widgets})


def _output_widget(mime: str) -> Callable[[list[str]], Any]:
    def place(pieces: list[str]) -> Any:
        outputs = [dict(new_output("display_data", data={mime: piece, "text/plain": "<object>"})) for piece in pieces]
        return _widgets({"outputs": outputs})

    return place


def _printed_in_output_widget(pieces: list[str]) -> Any:
    return _widgets({"outputs": [dict(new_output("stream", name="stdout", text=piece)) for piece in pieces]})


def _traceback(pieces: list[str]) -> Any:
    error = new_output("error", ename="ValueError", evalue="".join(pieces), traceback=pieces)
    return new_notebook(cells=[new_code_cell("", outputs=[error])])


PLACES: dict[str, Callable[[list[str]], Any]] = {
    "stdout": _streams("stdout"),
    "stdout and stderr": _streams("stdout", "stderr"),
    "displays": _plain_displays,
    "cells": _cells,
    "traceback": _traceback,
    "source": lambda pieces: new_notebook(cells=[new_code_cell("".join(pieces))]),
    "prose": lambda pieces: new_notebook(cells=[new_markdown_cell("".join(pieces))]),
    "metadata": lambda pieces: new_notebook(metadata={"x": {"y": [{"z": "".join(pieces)}]}}),
    "parameters": lambda pieces: new_notebook(metadata={"papermill": {"parameters": {"x": pieces}}}),
    "record": lambda pieces: _displays("application/vnd.scillm.smoke+json")(["".join(pieces)]),
    "printed in an Output widget": _printed_in_output_widget,
    "a widget's value": lambda pieces: _widgets({"value": "".join(pieces)}),
}  # fmt: skip
MARKUP_PLACES: dict[str, Callable[[list[str]], Any]] = {
    "html": _displays("text/html"),
    "markdown": _displays("text/markdown"),
    "svg": _displays("image/svg+xml"),
    "printed and displayed": _printed_and_displayed,
    "html in an Output widget": _output_widget("text/html"),
    "markdown in an Output widget": _output_widget("text/markdown"),
    "widgets' values": lambda pieces: _widgets(*({"value": piece} for piece in pieces)),
}  # fmt: skip


def _leaves(value: Any) -> Iterator[str]:
    """Yield all texts of a notebook in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _leaves(inner)


def _windows(text: str) -> set[str]:
    """Return each six letters of a text that stand one after the other, without what is between them."""
    bare = re.sub(r"<object>|\W|_", "", text)
    return {bare[at : at + 6] for at in range(len(bare) - 5)}


def _check(secret: str, form: Form, place: Callable[[list[str]], Any], spared: int = 0) -> None:
    """Nothing that tells the form of this secret from that of another is left; what stands around it stays."""
    pieces = form(secret)
    clean = Redactor({secret: "A_TOKEN"}).notebook(place(["before ", *pieces, " after"]))
    told = "".join(_leaves(clean))
    assert REDACTED.search(told), told
    assert "before " in told
    assert " after" in told
    other = "".join(form("".join("QXJVZK"[number % 6] for number in range(len(secret.encode())))))
    left = set().union(*map(_windows, REDACTED.split(told))) & (_windows("".join(pieces)) - _windows(other))
    assert len(left) <= spared, (left, told)


def _cases(forms: Iterable[str], places: Iterable[str], quick: str) -> list[Any]:
    """Return each form in each place; in `make test` every form in one place, and every place with one form."""
    forms, places, cases = list(forms), list(places), []
    for number, (place, form) in enumerate(itertools.product(places, forms)):
        marks = [] if place == quick or number % len(forms) == number // len(forms) else [pytest.mark.slow]
        cases.append(pytest.param(form, place, marks=marks, id=f"{form}, {place}"))
    return cases


@pytest.mark.parametrize(("form", "place"), _cases(FORMS, PLACES | MARKUP_PLACES, "markdown in an Output widget"))
def test_form_is_found_in_every_place(form: str, place: str) -> None:
    """Every secret in turn."""
    for secret in SECRETS.values():
        # Of base64 a letter at each border tells of what is around, too.
        _check(secret, FORMS[form], (PLACES | MARKUP_PLACES)[place], spared=2 if "base64" in form else 0)


@pytest.mark.parametrize(("form", "place"), _cases(MARKUP, MARKUP_PLACES, "svg"))
def test_form_of_markup_is_found(form: str, place: str) -> None:
    """Every secret in turn, where markup is shown."""
    for secret in SECRETS.values():
        _check(secret, MARKUP[form], MARKUP_PLACES[place])


def test_comments_of_a_figure() -> None:
    """matplotlib writes each text of an SVG figure into a comment, where it takes two hyphens apart."""
    figure = Figure(figsize=(2, 1))
    figure.suptitle(SECRETS["hyphens"])
    file = io.StringIO()
    figure.savefig(file, format="svg")
    drawn = file.getvalue()
    assert SECRETS["hyphens"] not in drawn
    assert SECRETS["hyphens"].replace("--", "- -") in drawn
    output = new_output("display_data", data={"image/svg+xml": drawn})
    notebook = new_notebook(cells=[new_code_cell("", outputs=[output])])
    clean = Redactor({SECRETS["hyphens"]: "A_TOKEN"}).notebook(notebook).cells[0].outputs[0].data["image/svg+xml"]
    assert "canary" not in clean
    assert ElementTree.fromstring(clean).tag.endswith("svg")


def test_half_that_looks_like_a_key_hides_no_other_half() -> None:
    """The shape alone would be replaced, and the rest of the secret stay."""
    secret = "sk-" + "a1B2c3D4" * 4 + "/tail-of-it"
    outputs = [
        new_output("stream", name=name, text=text) for name, text in (("stdout", secret[:30]), ("stderr", secret[30:]))
    ]
    clean = Redactor({secret: "A_TOKEN"}).notebook(new_notebook(cells=[new_code_cell("", outputs=outputs)]))
    assert [output.text for output in clean.cells[0].outputs] == ["[redacted A_TOKEN]", ""]


def test_text_without_a_secret_stays() -> None:
    """To the letter, however much it looks like one of the forms."""
    text = (
        "63 61 6e 61 72 79 2d 32, 0x63, 00000000: 6361 6e61 7279 2d32  canary-2\n12:34:56 2026-11-24 deadbeef:cafe::1\n"
        "na\u0308ive \u200b\ufeff a\xad-b &#8203; %E2%80%8B <!-- - - --> \x1b[31m\\u200b | x |\n" + "f" * 64
    )
    notebook = new_notebook(cells=[new_code_cell("", outputs=[new_output("stream", name="stdout", text=text)])])
    assert Redactor(dict.fromkeys(SECRETS.values(), "A_TOKEN")).notebook(notebook) == notebook


def test_invisible_characters_are_those_of_the_standard() -> None:
    """What Python's tables call a format character is ignored, and nothing that has a width but for marks and fillers."""
    invisible = re.compile(INVISIBLE_RANGES)
    for number in range(0x110000):
        letter = chr(number)
        if unicodedata.category(letter) == "Cf":
            assert invisible.match(letter), hex(number)
        elif invisible.match(letter):
            name = unicodedata.name(letter, "")
            assert unicodedata.category(letter) in ("Cc", "Mn", "Me", "Cn") or "FILLER" in name
