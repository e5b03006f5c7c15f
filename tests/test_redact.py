"""Secrets are found in whatever form they come, and nothing else is touched."""

import base64
import io
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image, PngImagePlugin

from scillm_helpers.smoke.pictures import pixels
from scillm_helpers.smoke.redact import Redactor
from scillm_helpers.smoke.secrets import not_redacted, secret_parameters, secrets
from tests.canaries import encodings

PLAIN = "canary-1f9c3b7a55"
ODD = 'canary&+/="quoted"é\\end'
REDACTOR = Redactor({PLAIN: "MY_API_KEY", ODD: "ODD_TOKEN"})


@pytest.mark.parametrize("secret", [PLAIN, ODD], ids=["plain", "odd"])
def test_every_encoding_is_found(secret: str) -> None:
    """URL, JSON, Python, HTML, hexadecimal, and base64 wherever the secret stands in the data."""
    for name, encoded in encodings(secret).items():
        clean = REDACTOR.text(f"before {encoded} after")
        assert "[redacted " in clean, name
        assert clean.startswith("before "), name
        assert clean.endswith(" after"), name
        assert secret not in clean, name
        if name.startswith("base64"):
            left = clean.removeprefix("before ").removesuffix(" after")
            assert not _decodes_to(left, secret), name


def _decodes_to(text: str, secret: str) -> bool:
    """Tell whether what is left of base64 text still holds the beginning or the end of the secret."""
    halves = secret.encode()[:6], secret.encode()[-6:]
    for part in re.split(r"\[redacted \w+\]", text):
        for shift in range(4):
            kept = re.sub(r"\s", "", part)[shift:].replace("-", "+").replace("_", "/").rstrip("=")
            decoded = base64.b64decode(kept[: len(kept) // 4 * 4])
            if any(half in decoded for half in halves):
                return True
    return False


def test_what_is_no_secret_stays() -> None:
    """Text without a secret comes back as it is, to the letter."""
    text = (
        'a canary, "quoted"; sk-learn; Bearer $CHUTES_API_KEY; 2026-11-23 https://llm.chutes.ai:443/v1?q=a@b\x1b[31m\n'
    )
    assert REDACTOR.text(text) == text
    assert REDACTOR.value({"a": [1, 2.5, None, True, text]}) == {"a": [1, 2.5, None, True, text]}


@pytest.mark.parametrize(
    "text",
    [
        f"{PLAIN[:6]}\n{PLAIN[6:]}",
        f"{PLAIN[:6]}\r\n{PLAIN[6:]}",
        f"{PLAIN[:4]}\x1b[0;31m{PLAIN[4:9]}\x1b[0m{PLAIN[9:]}",
    ],
)
def test_cut_by_line_ends_and_colours(text: str) -> None:
    """A terminal's width or its colours may fall into the middle of a key."""
    clean = REDACTOR.text(f"a {text} z")
    assert clean == "a [redacted MY_API_KEY] z"


def test_cut_by_markup() -> None:
    """rich and Pygments put parts of a key into elements of their own; entities stand for what they stand for."""
    pieces = [f"<b>{PLAIN[:6]}</b><i>{PLAIN[6:]}</i> <p>ok</p>", "&#99;anary&#x2d;1f9c3b7a55"]
    clean = REDACTOR.pieces(pieces, markup=True)
    assert "".join(clean).count("[redacted MY_API_KEY]") == 2
    assert "<p>ok</p>" in clean[0]


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-obviously_fake_obviously_fake",
        "cpk_obviouslyfake.obviouslyfake.obviouslyfake",
        "hf_obviouslyFakeObviouslyFakeObvious",
        "gsk_" + "obviouslyFake" * 4,
        "ghp_" + "obviouslyFake" * 3,
        "AIza" + "obviouslyFake" * 3,
        "AKIAOBVIOUSLYFAKE123",
        "xoxb-0000-obviously-fake",
        "eyJvYnZpb3VzbHk.eyJvYnZpb3VzbHk.b2J2aW91c2x5",
        "-----BEGIN PRIVATE KEY-----\nobviously fake\n-----END PRIVATE KEY-----",
    ],
)
def test_shapes_of_keys_are_caught_though_unknown(key: str) -> None:
    """Nobody has named these: what looks like a key is treated as one."""
    clean = Redactor({}).text(f"key={key[:39] if key.startswith('AIza') else key} ok")
    assert clean.startswith("key=[redacted ")
    assert clean.endswith("] ok")


def test_bearer_and_passwords_in_addresses() -> None:
    """A header that is printed, and an address with a password in it."""
    clean = Redactor({}).text("Authorization: Bearer abcdefghijklmnop0123456789== http://me:opensesame@proxy:3128/")
    assert clean == "Authorization: Bearer [redacted bearer token] http://me:[redacted password]@proxy:3128/"


def test_a_secret_in_another_leaves_nothing() -> None:
    """Where one value is part of another, the longer one is replaced whole."""
    redactor = Redactor({"canary-12345678": "A_TOKEN", "canary-12345678-and-more": "B_TOKEN"})
    assert redactor.text("x canary-12345678-and-more y") == "x [redacted B_TOKEN] y"


def test_keys_and_numbers_of_json() -> None:
    """A secret may be a key of an object, or all digits."""
    redactor = Redactor({PLAIN: "A_TOKEN", "123456789": "B_TOKEN"})
    clean = redactor.value({PLAIN: [123456789, ["a", PLAIN[:5], PLAIN[5:]]]})
    assert clean == {"[redacted A_TOKEN]": ["[redacted B_TOKEN]", ["a", "[redacted A_TOKEN]", ""]]}


# Notebooks


def _stream(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return new_output("stream", name=name, text=text)


def _picture(format: str, compressed: bool = True, **said: str) -> bytes:
    file, image = io.BytesIO(), Image.new("RGB", (3, 2), (220, 0, 0))
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        for name, text in said.items():
            info.add_text(name, text, zip=compressed)
        image.save(file, "PNG", pnginfo=info)
    else:
        exif = image.getexif()
        exif[0x010E] = " ".join(said.values())
        image.save(file, format, exif=exif)
    return file.getvalue()


def test_split_across_two_stream_outputs() -> None:
    """Half a key, a picture, the other half; and halves on stdout and stderr, as they were shown."""
    picture = new_output("display_data", data={"text/plain": "<picture>"})
    first = new_code_cell("", outputs=[_stream(f"a {PLAIN[:7]}"), picture, _stream(f"{PLAIN[7:]} z\n")])
    second = new_code_cell("", outputs=[_stream(f"a {PLAIN[:7]}"), _stream(f"{PLAIN[7:]} z\n", "stderr")])
    clean = REDACTOR.notebook(new_notebook(cells=[first, second]))
    for cell in clean.cells:
        texts = [output.text for output in cell.outputs if output.output_type == "stream"]
        assert texts == ["a [redacted MY_API_KEY]", " z\n"]
    assert first.outputs[0].text == f"a {PLAIN[:7]}"  # the notebook that is executed stays as it is


@pytest.mark.parametrize(
    "picture", [_picture("PNG", Comment=PLAIN), _picture("PNG", False, Comment=PLAIN), _picture("JPEG", c=PLAIN)]
)
def test_metadata_of_pictures(picture: bytes) -> None:
    """A picture that says the key loses what it says, and keeps its pixels."""
    encoded = base64.b64encode(picture).decode()
    outputs = [
        new_output("display_data", data={"image/png": encoded}),
        new_output("display_data", data={"text/html": f'<img alt="x" src="data:image/png;base64,{encoded}">'}),
    ]
    clean = REDACTOR.notebook(new_notebook(cells=[new_code_cell("", outputs=outputs)]))
    shown, inline = (output.data for output in clean.cells[0].outputs)
    for data in (shown["image/png"], inline["text/html"].partition("base64,")[2].partition('"')[0]):
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            image.load()
            assert image.size == (3, 2)
            assert PLAIN not in str(image.info)
            red, _, _ = image.getpixel((0, 0))
            assert red > 200


def test_pictures_without_secrets_stay() -> None:
    """Nothing is decoded and encoded again for nothing."""
    encoded = base64.b64encode(_picture("PNG", Software="Matplotlib")).decode()
    cell = new_code_cell("", outputs=[new_output("display_data", data={"image/png": encoded})])
    notebook = new_notebook(cells=[cell])
    assert REDACTOR.notebook(notebook) == notebook


def test_picture_that_looks_like_a_key_stays() -> None:
    """Letters of its base64 are no key, whatever they spell; what is no base64 is cleaned as text."""
    encoded = base64.b64encode(_picture("PNG")).decode() + "/AKIAOBVIOUSLYFAKE123"
    outputs = [new_output("display_data", data={"image/png": text}) for text in (encoded, f"x {PLAIN}")]
    clean = REDACTOR.notebook(new_notebook(cells=[new_code_cell("", outputs=outputs)]))
    assert [output.data["image/png"] for output in clean.cells[0].outputs] == [encoded, "x [redacted MY_API_KEY]"]


def test_what_is_no_picture_is_none() -> None:
    """Garbage with a key in it becomes one black pixel."""
    with Image.open(io.BytesIO(pixels(b"no picture"))) as image:
        assert image.size == (1, 1)


def test_every_place_of_a_notebook() -> None:
    """Sources, parameters, tracebacks, metadata, attachments, widgets, lists of lines."""
    error = new_output("error", ename="ValueError", evalue=PLAIN, traceback=["line", f"x {PLAIN[:5]}", PLAIN[5:]])
    display = new_output(
        "display_data", data={"application/json": {"k": [PLAIN]}, "text/plain": [PLAIN[:4], PLAIN[4:]]}
    )
    cell = new_code_cell(f"key = '{PLAIN}'", outputs=[error, display], metadata={"tags": [PLAIN]})
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {"state": {"value": PLAIN}}}}}
    notebook = new_notebook(cells=[cell], metadata={"widgets": widgets, "papermill": {"parameters": {"key": PLAIN}}})
    written = nbformat.writes(REDACTOR.notebook(notebook))
    assert PLAIN not in written.replace("\n", "").replace('",   "', "")
    assert PLAIN[5:] not in written
    assert written.count("[redacted MY_API_KEY]") == 8


# What is a secret


def test_names_of_secrets() -> None:
    """The suffixes, what the user adds, each line of several; nothing that only counts tokens."""
    environ = {
        "CHUTES_API_KEY": "obviously-fake-1", "HF_TOKEN": "obviously-fake-2", "AWS_SECRET_ACCESS_KEY": "obviously-fake-3",
        "db_password": "obviously-fake-4", "MAX_TOKENS": "not-a-secret-1", "PATH": "/usr/bin:/bin", "SESSION": "obviously-fake-5",
        "CERT_SECRET": "first line of it\nsecond line", "SCILLM_SECRETS": "SESS*, NONE_SUCH",
    }  # fmt: skip
    found = secrets(environ)
    assert set(found) == {f"obviously-fake-{n}" for n in range(1, 6)} | {
        "first line of it\nsecond line", "first line of it", "second line"
    }  # fmt: skip
    assert found["obviously-fake-5"] == "SESSION"


def test_short_values_are_told() -> None:
    """A switch is no secret; a short key may be one, and cannot be found."""
    environ = {"A_TOKEN": "1", "B_TOKEN": "true", "C_API_KEY": "ollama", "D_API_KEY": "", "E_TOKEN": "long-enough"}
    assert not_redacted(environ) == ["C_API_KEY"]
    assert secrets(environ) == {"long-enough": "E_TOKEN"}


def test_parameters_named_like_secrets() -> None:
    """What is given as `api_key` is one, though no variable has it; `max_tokens` is a number."""
    given = {"api_key": "obviously-fake", "max_tokens": 123456789, "prompt": "long enough text"}
    assert secret_parameters(given) == {"obviously-fake": "api_key"}


# What was found by trying

UNICODE = "пароль-ключ-é-日本-🔑"
SIGNS = "q\"uo'te\\back<&>slash$.*+?[x]"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (UNICODE, ascii(UNICODE)),
        (UNICODE, str(UNICODE.encode())),
        (UNICODE, '"\\u043F\\u0430\\u0440\\u043E\\u043B\\u044C-ключ-\\xE9-日本-\\U0001F511"'),
        (SIGNS, "http://h/q%22uo'te\\back%3C&%3Eslash$.*+?[x]"),
        (SIGNS, "q%22uo'te%5Cback%3C&%3Eslash$.*+?[x]"),
        ("aB3$eF7!", "k=aB3%24eF7!"),
        (PLAIN, f"│ {PLAIN[:8]} │\n│ {PLAIN[8:]}      │"),
        (PLAIN, f"{PLAIN[:8]}\n      {PLAIN[8:]}"),
        (PLAIN, f"{PLAIN[:8]}\x1b[K{PLAIN[8:]}"),
        (PLAIN, f"\x1b]8;;http://x\x1b\\{PLAIN[:3]}\x1b]8;;\x1b\\{PLAIN[3:]}"),
        (PLAIN, PLAIN.replace("-", "\\-")),
        ("a_secret_of_mine", "a\\_secret\\_of\\_mine"),
    ],
)
def test_what_libraries_make_of_a_secret(secret: str, text: str) -> None:
    """Escapes of half of its characters, boxes around its halves, links through it."""
    clean = Redactor({secret: "A_TOKEN"}).text(f"before {text} after")
    assert "[redacted A_TOKEN]" in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert len(clean) < len(text) + 40


@pytest.mark.parametrize("mime", ["text/plain", "text/html"])
def test_split_across_two_displays(mime: str) -> None:
    """Halves that are displayed one after the other, or printed and displayed."""
    outputs = [new_output("display_data", data={mime: half}) for half in (f"x {PLAIN[:6]}", f"{PLAIN[6:]} y")]
    printed = [_stream(f"x {PLAIN[:6]}"), new_output("display_data", data={"text/plain": PLAIN[6:]})]
    cells = [new_code_cell("", outputs=outputs), new_code_cell("", outputs=printed)]
    clean = REDACTOR.notebook(new_notebook(cells=cells))
    assert [output.data[mime] for output in clean.cells[0].outputs] == ["x [redacted MY_API_KEY]", " y"]
    assert clean.cells[1].outputs[0].text == "x [redacted MY_API_KEY]"


def test_cut_by_the_bounds_of_a_flood() -> None:
    """What was dropped took half of a key along: the other half goes, too."""
    marker = "\n[scillm-smoke dropped 1,234 characters of output here]\n"
    outputs = [_stream(f"pp{PLAIN[:11]}"), _stream(marker, "stderr"), _stream(f"{PLAIN[-9:]}qq")]
    clean = REDACTOR.notebook(new_notebook(cells=[new_code_cell("", outputs=outputs)]))
    texts = [output.text for output in clean.cells[0].outputs]
    assert texts == ["pp[redacted MY_API_KEY]", marker, "[redacted MY_API_KEY]qq"]
    exception = f"pp{PLAIN[:9]}\n[scillm-smoke dropped 9 characters here]\n{PLAIN[-5:]}rr"
    assert PLAIN[:5] not in REDACTOR.text(exception)
    assert PLAIN[-5:] not in REDACTOR.text(exception)


def test_words_of_the_reports_are_no_secrets() -> None:
    """A file in which each "notebook" is replaced would be none."""
    environ = {"DB_PASSWORD": "notebook", "A_TOKEN": "metadata", "B_TOKEN": "obviously-fake"}
    assert set(secrets(environ)) == {"obviously-fake"}
    assert not_redacted(environ) == ["A_TOKEN", "DB_PASSWORD"]
