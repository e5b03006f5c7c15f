"""From the form to the request, and from the request to code that makes it."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from scillm_helpers.errors import FormError, ImageError
from scillm_helpers.images import DEMO_IMAGE, MAX_BYTES
from scillm_helpers.playground import snippets
from scillm_helpers.playground.conversation import Turn, messages
from scillm_helpers.playground.explaining import masked
from scillm_helpers.playground.form import Form, Picture, parse_schema
from scillm_helpers.playground.json_check import check
from scillm_helpers.playground.markdown import to_html
from scillm_helpers.streaming import TextStream
from tests.scripted import ScriptedServer, chunk, events

SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
NASTY = 'It\'s "quoted", \\n $HOME `id` !! <<JSON\nJSON\n\'\'\'"""  é 🎈'


def test_request_has_what_the_form_has() -> None:
    """Nothing more, and the conversation between the system prompt and the new one."""
    turns = [Turn("m", "Hi", answer="Hello", state="whole"), Turn("m", "Lost", answer="Lo", state="failed")]
    request = Form("m", "And?", "Be brief", None, 0.5, 9).request(messages(turns))
    assert request == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "And?"},
        ],
        "temperature": 0.5,
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:1/s.json", "file:///etc/hostname"])
def test_schema_is_not_looked_up_elsewhere(elsewhere: str) -> None:
    """Neither asked for nor opened; a reference within is followed."""
    with pytest.raises(FormError, match=f"{elsewhere} is elsewhere: only references within the schema are followed"):
        parse_schema(json.dumps({"$ref": elsewhere}))
    within = {"$ref": "#/$defs/city", "$defs": {"city": {"type": "string"}}}
    assert check('"Bern"', parse_schema(json.dumps(within)))[1] == "Valid JSON, and as the schema wants it."


@pytest.mark.parametrize(("key", "shown"), [("EMPTY", "EMPTY"), ("sk-obviously-fake", "$CHUTES_API_KEY")])
def test_key_is_masked_unless_it_is_a_word(key: str, shown: str) -> None:
    """A local server's key would be replaced wherever a prompt has that word."""
    assert masked(f"a {key} b", key) == f"a {shown} b"


def test_json_mode_sends_the_schema() -> None:
    """With none in the box, any JSON."""
    format_ = Form("m", "p", json_mode=True, schema=SCHEMA).request()["response_format"]
    assert format_["json_schema"]["schema"]["required"] == ["city"]
    assert Form("m", "p", json_mode=True).request()["response_format"] == {"type": "json_object"}
    assert "response_format" not in Form("m", "p", schema=SCHEMA).request()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Form("m", "  \n"), "The prompt is empty; write what to ask."),
        (
            Form("m", "p", json_mode=True, schema="{city}"),
            "The schema is not JSON (line 1, column 2: Expecting property name enclosed in double quotes); "
            "mend it, or empty the box for any JSON.",
        ),
        (
            Form("m", "p", json_mode=True, schema="[1]"),
            'The schema is JSON, but no object; write one like {"type": "object", ...}.',
        ),
        (Form("m", "p", json_mode=True, schema="[" * 100_000), "The schema is not JSON (it is nested too deeply); "),
        (Form("m", "p", json_mode=True, schema='{"type": 3}'), "The schema is JSON, but no JSON schema (3 is not "),
    ],
)
def test_what_cannot_be_sent_is_refused(form: Form, message: str) -> None:
    """With what is wrong, and where."""
    with pytest.raises(FormError) as refused:
        form.request()
    assert str(refused.value).startswith(message)


def test_large_picture_is_refused() -> None:
    """By its name, its size and the limit."""
    with pytest.raises(ImageError) as refused:
        Picture.of(b"x" * (MAX_BYTES + 1), "big.png")
    assert str(refused.value) == "big.png has 10.0 MB, and the limit is 10 MB; make it smaller. Nothing was sent."


def _python(code: str) -> None:
    """Run a program here: LiteLLM takes long to import anew."""
    exec(compile(code, "call.py", "exec"), {})


def _curl(code: str) -> None:
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", code.encode()], capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")


def test_snippets_make_the_very_call(
    scripted: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a real Python and a real curl: two pictures of one name, all that quoting can break, and no key in them."""
    monkeypatch.setenv("CHUTES_API_BASE", scripted.api_base)
    monkeypatch.setenv("CHUTES_API_KEY", "obviously-fake")
    first, second = Picture.of(DEMO_IMAGE.read_bytes(), "my 'demo'.png"), _other(tmp_path)
    before = messages([Turn("m", "See?", first, answer="I see", state="whole")])
    form = Form("m", NASTY, "Be 'brief'", second, 0.3, 77, True, SCHEMA)
    request = form.request(before)
    names = snippets.file_names([first, second])
    assert list(names.values()) == ["my 'demo'.png", "my 'demo'-2.png"]
    (tmp_path / "my 'demo'.png").write_bytes(DEMO_IMAGE.read_bytes())

    llm = scripted.client()
    scripted.answers.append(events(chunk(content="Hi"), chunk("stop")))

    async def ask() -> None:
        async for _ in TextStream(llm.acompletion(**llm.kwargs | request)):
            pass

    asyncio.run(ask())
    asked = scripted.bodies[-1]
    python, curl = snippets.python(request, names), snippets.curl(request, names)
    assert "obviously-fake" not in python + curl
    assert len(python + curl) < 10_000  # pictures come from their files
    for call, code, sent in (
        (_python, python, asked),
        (_curl, curl, asked),
        (_curl, snippets.curl(alone := Form("m", NASTY).request(), {}), alone),
    ):
        scripted.answers.append(events(chunk(content="Hi"), chunk("stop")))
        call(code)
        assert "Hi" in capsys.readouterr().out
        assert scripted.bodies[-1] == sent
        assert scripted.headers[-1]["Authorization"] == "Bearer obviously-fake"


def _other(folder: Path) -> Picture:
    from PIL import Image

    path = folder / "my 'demo'-2.png"
    Image.new("RGB", (8, 8), "red").save(path)
    return Picture.of(path.read_bytes(), "my 'demo'.png")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![x](https://evil.example/x.png)",
        "[x](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        '```"><script>\nx\n```',
    ],
)
def test_markdown_cannot_act(text: str) -> None:
    """A model's answer is no program."""
    html = to_html(text)
    assert not {"<script", "<img", 'javascript:"', 'href="data:', 'href="javascript:'} & {
        part for part in ("<script", "<img", 'href="data:', 'href="javascript:') if part in html
    }


def test_markdown_is_rendered() -> None:
    """Tables, code with its colours, links that open elsewhere."""
    html = to_html("| a |\n| --- |\n| 1 |\n\n```python\nimport os\n```\n\n[x](https://example.org)")
    assert "<td>1</td>" in html
    assert '<span class="kn">import</span>' in html
    assert 'target="_blank"' in html
    assert "noopener" in html
