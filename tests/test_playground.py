"""The panel, driven as its buttons drive it, against a real endpoint."""

import asyncio
import base64
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from scillm_helpers.client import Client
from scillm_helpers.endpoint import serve
from scillm_helpers.errors import FormError, StreamError
from scillm_helpers.images import DEMO_IMAGE
from scillm_helpers.playground import panel as panels
from scillm_helpers.playground.conversation import Turn
from scillm_helpers.playground.form import Form, Picture
from scillm_helpers.playground.json_check import check
from scillm_helpers.playground.panel import Playground
from scillm_helpers.playground.store import INTERRUPTED, Saved, Store
from scillm_helpers.playground.throttle import Throttle
from tests.polling import PATIENCE

STORY = "Tell me a 10 word story."


def _panel(llm: Client, keep: bool = False) -> Playground:
    return Playground(llm, lambda request: llm.acompletion(**llm.kwargs | request), keep)


def _drive(llm: Client, scene: Callable[[Playground], Coroutine[Any, Any, None]], keep: bool = False) -> Playground:
    """Build a panel in a running loop, as a kernel does, and have a scene played with it."""

    async def play() -> Playground:
        panel = _panel(llm, keep)
        await scene(panel)
        return panel

    return asyncio.run(play())


async def _begun(panel: Playground) -> None:
    """Return once the first text is shown."""
    shown = asyncio.Event()
    panel._now.observe(lambda _: shown.set() if panel.turns[-1].answer else None, "value")
    await shown.wait()


def _notice(panel: Playground) -> str:
    return str(panel._notice.value)


def test_turns_follow_each_other(llm: Client) -> None:
    """The second call is told of the first, the prompt is gone from its box, the figures are the endpoint's."""
    asked: list[Any] = []

    async def scene() -> Playground:
        def ask(request: dict[str, Any]) -> Any:
            asked.append(request)
            return llm.acompletion(**llm.kwargs | request)

        panel = Playground(llm, ask)
        await panel.send(STORY)
        await panel.send("Tell me a 3 word story.")
        return panel

    panel = asyncio.run(scene())
    assert [turn.state for turn in panel.turns] == ["whole", "whole"]
    assert [message["role"] for message in asked[1]["messages"]] == ["user", "assistant", "user"]
    assert panel._controls.prompt.value == ""
    figures = panel.turns[0].figures
    assert (figures.prompt_tokens, figures.completion_tokens, figures.estimated) == (15, 12, False)
    assert figures.ttft_s is not None
    assert figures.cost_usd is None  # unknown, and not 0: the client does not know that the base is embedded
    assert "unknown" in panel._beside.value
    assert panel._controls.python.code.startswith("import os")
    assert llm.api_key not in panel._controls.python.code + panel._controls.curl.code


def test_stop_keeps_the_text_and_closes_the_connection(llm: Client, endpoint: serve.Endpoint) -> None:
    """The endpoint sees its client leave; the panel is ready for the next."""
    before = len(endpoint.log.entries)

    async def scene(panel: Playground) -> None:
        endpoint.faults.add("stall")
        sending = asyncio.ensure_future(panel.send(STORY))
        await _begun(panel)
        assert panel._controls.send.disabled
        panel._controls.stop.click()
        turn = await sending
        assert (turn.state, bool(turn.answer)) == ("stopped", True)
        assert not panel._controls.send.disabled
        await panel.send(STORY)

    panel = _drive(llm, scene)
    assert [turn.state for turn in panel.turns] == ["stopped", "whole"]
    entries = endpoint.log.wait_for(before + 3, PATIENCE)[before:]  # with the list of models
    assert sorted(entry.whole for entry in entries) == [False, True, True]


def test_second_send_does_nothing_but_say_so(llm: Client, endpoint: serve.Endpoint) -> None:
    """By program and by button; the first goes on."""

    async def scene(panel: Playground) -> None:
        endpoint.faults.add("stall")
        sending = asyncio.ensure_future(panel.send(STORY))
        await _begun(panel)
        with pytest.raises(FormError, match="An answer is being streamed"):
            await panel.send("Another")
        panel._controls.send.click()
        assert "An answer is being streamed." in _notice(panel)
        assert panel._controls.prompt.value == STORY
        panel.stop()
        await sending

    assert len(_drive(llm, scene).turns) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "what", "kept"),
    [
        ("401", "auth", "The endpoint refused the key.", False),
        ("404", "bad_request", "The endpoint refused the request.", False),
        ("cut", "bad_reply", "The answer cannot be read, or has no end.", True),
        ("reset-mid-body", "connection", "The endpoint cannot be reached, or the connection broke.", True),
        ("error-in-stream", "capacity", "The endpoint is busy or broken.", True),
    ],
)
def test_failure_is_told_in_the_panel(
    llm: Client, endpoint: serve.Endpoint, fault: str, kind: str, what: str, kept: bool
) -> None:
    """By its kind; the prompt stays, what had come stays, and the next call is made."""

    async def scene(panel: Playground) -> None:
        endpoint.faults.add(fault)
        panel._controls.prompt.value = STORY
        panel._controls.send.click()
        assert panel._button is not None
        await panel._button
        assert what in _notice(panel)
        assert f'<span class="scillm-kind">{kind}</span>' in _notice(panel)
        assert panel._controls.prompt.value == STORY
        assert [turn.state for turn in panel.turns] == ["failed"] * kept
        turn = await panel.send()
        assert turn.state == "whole"
        assert "scillm-notice" not in _notice(panel)

    _drive(llm, scene)


def test_failure_is_raised_to_a_program(llm: Client, endpoint: serve.Endpoint) -> None:
    """A notebook that sends must not be green for an answer that broke."""

    async def scene(panel: Playground) -> None:
        endpoint.faults.add("cut")
        with pytest.raises(StreamError):
            await panel.send(STORY)

    _drive(llm, scene)


def test_cut_and_unmeasured_answers_are_told(llm: Client, endpoint: serve.Endpoint) -> None:
    """Max tokens too low; and an endpoint that does not count."""

    async def scene(panel: Playground) -> None:
        panel._controls.max_tokens.value = 3
        endpoint.faults.add("no-usage")
        turn = await panel.send(STORY)
        assert turn.remark.startswith("Cut at max tokens")
        assert turn.figures.estimated
        assert "about 3 tokens" in panel._beside.value

    _drive(llm, scene)


def test_model_without_vision_is_told(llm: Client) -> None:
    """In the words for it; the picture stays chosen."""

    async def scene(panel: Playground) -> None:
        panel._controls.model.value = "embedded/text-1"
        panel._uploaded("demo.png", DEMO_IMAGE.read_bytes())
        with pytest.raises(Exception, match="does not support image"):
            await panel.send("What is it?")
        assert "This model takes no pictures." in _notice(panel)
        panel._controls.model.value = "embedded/omni-1"
        turn = await panel.send()
        assert "blue" in turn.answer

    assert "demo.png" in _drive(llm, scene)._controls.python.code


def test_uploads_come_in_pieces_and_bad_ones_are_told(llm: Client) -> None:
    """As the browser sends them; what is no picture is refused, and what was refused there is told here."""

    async def scene(panel: Playground) -> None:
        data = DEMO_IMAGE.read_bytes()
        middle = len(data) // 2
        for start, piece in ((0, data[:middle]), (middle, data[middle:])):
            content = {"name": "demo.png", "size": len(data), "start": start}
            panel._upload._received(None, content, [memoryview(piece)])
        assert panel._upload.held.startswith("demo.png (")
        assert panel._picture is not None
        assert base64.b64decode(panel._picture.url.partition(",")[2]) == data
        panel._upload._received(None, {"name": "x.txt", "size": 2, "start": 0}, [memoryview(b"no")])
        assert "x.txt: The image is no PNG, JPEG, WebP or GIF picture" in _notice(panel)
        assert panel._picture is None
        panel._upload._received(None, {"refused": "big.png", "size": 50 * 2**20}, [])
        assert "big.png has 50.0 MB, and the limit is 10 MB; make it smaller. Nothing was sent." in _notice(panel)

    _drive(llm, scene)


def test_endpoint_that_is_gone_is_told(llm: Client, endpoint: serve.Endpoint) -> None:
    """The panel is there all the same, with the one model that is known, and goes on when the endpoint is back."""

    async def play() -> None:
        with endpoint.refusing():
            panel = _panel(llm)
            assert "cannot be reached" in _notice(panel)
            assert panel._controls.model.options == (llm.model,)
            with pytest.raises(Exception, match="cannot be reached"):
                await panel.send(STORY)
            assert "Check the network and CHUTES_API_BASE" in _notice(panel)
        assert (await panel.send()).state == "whole"

    asyncio.run(play())


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ('{"city": "Rome"}', "Valid JSON, and as the schema wants it."),
        ('{"city": 3}', 'Valid JSON, but not as the schema wants it: city: 3 is not of type "string".'),
        ("[]", 'Valid JSON, but not as the schema wants it: the whole: [] is not of type "object".'),
        (
            "{'city': 'Rome',}",
            "It was not valid JSON as it came, and is mended. Valid JSON, and as the schema wants it.",
        ),
        ("Rome", "The reply holds no JSON."),
    ],
)
def test_first_violation_is_told(text: str, remark: str) -> None:
    """And the answer is laid out."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    laid_out, told = check(text, schema)
    assert told == remark
    assert "Rome" not in text or "Rome" in laid_out


def test_conversation_outlives_its_kernel(llm: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also what was being streamed, marked as such, and its prompt; never a key; and nobody else can read it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(panels, "is_attended", lambda: True)
    file = tmp_path / "scillm" / "playground.json"

    async def first(panel: Playground) -> None:
        panel._controls.system.value = f"My key is {llm.api_key}"
        await panel.send(STORY)
        panel.turns.append(Turn(llm.model, "And then?", Picture.of(DEMO_IMAGE.read_bytes(), "a.png"), answer="The"))
        panel._controls.prompt.value = "And then?"
        panel._saving.now()

    _drive(llm, first, keep=True)
    assert llm.api_key.encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    async def second(panel: Playground) -> None:
        assert [turn.state for turn in panel.turns] == ["whole", "failed"]
        assert (panel.turns[1].answer, panel.turns[1].remark) == ("The", INTERRUPTED)
        assert panel._controls.prompt.value == "And then?"
        assert INTERRUPTED in panel._now.value
        panel._controls.new.click()

    _drive(llm, second, keep=True)
    assert Store.of_user("").load() == Saved(Form(llm.model, "And then?", "My key is $CHUTES_API_KEY"), [])


def test_headless_run_neither_reads_nor_writes(llm: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody sits here: pytest is no kernel."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def scene(panel: Playground) -> None:
        await panel.send(STORY)

    panel = _drive(llm, scene, keep=True)
    assert list(tmp_path.iterdir()) == []
    assert "application/vnd.jupyter.widget-view+json" not in panel._repr_mimebundle_()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": 2, "form": {}, "turns": []}'])
def test_unreadable_file_is_put_aside(tmp_path: Path, content: bytes) -> None:
    """Nothing is lost, and the next conversation is kept."""
    path = tmp_path / "playground.json"
    path.write_bytes(content)
    store = Store(path, "obviously-fake")
    with pytest.raises(FormError, match=r"cannot be read; it is now .*unreadable\.json"):
        store.load()
    assert path.with_suffix(".unreadable.json").read_bytes() == content
    assert store.load() is None


def test_folder_that_cannot_be_written_is_told(llm: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the answer is there all the same."""
    (tmp_path / "scillm").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(panels, "is_attended", lambda: True)

    async def scene(panel: Playground) -> None:
        assert (await panel.send(STORY)).state == "whole"
        assert "The conversation cannot be kept" in _notice(panel)

    _drive(llm, scene, keep=True)


def test_pictures_of_the_panel_are_the_same(llm: Client) -> None:
    """To the byte, for the same turns; what it shows can be read aloud, and cannot break out of Markdown."""

    async def scene(panel: Playground) -> None:
        assert "before its first turn" in panel.picture().data
        await panel.send('Say "a [b](c)\n$x^2$ !"')
        assert panel.picture().data == panel.picture().data
        assert panel.picture().data.startswith("![Measured: the playground. embedded/omni-1 was asked: Say")

    _drive(llm, scene)


def test_throttle_never_loses_the_last() -> None:
    """However often it is asked for, and also where nothing follows."""
    seen: list[int] = []
    state = {"asked": 0}

    async def play() -> None:
        done = asyncio.Event()

        def see() -> None:
            seen.append(state["asked"])
            done.set()

        throttle = Throttle(see, 0.01)
        throttle.now()
        done.clear()
        for state["asked"] in range(1, 101):
            throttle.soon()
        await done.wait()

    asyncio.run(play())
    assert seen == [0, 100]
