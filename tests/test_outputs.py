from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from scillm_helpers.records import MIME_TYPE
from scillm_helpers.smoke.outputs import Message, Outputs
from tests.polling import PATIENCE


def _text(text: str, name: str = "stdout") -> Message:
    return {"msg_type": "stream", "content": {"name": name, "text": text}}


def _display(data: dict[str, Any]) -> Message:
    return {"msg_type": "display_data", "content": {"data": data}}


def _feed(outputs: Outputs, *messages: Message) -> list[Message]:
    sent = [now for message in messages if (now := outputs.take(message)) is not None]
    return [*sent, *outputs.finish()]


def _texts(messages: list[Message], name: str = "stdout") -> list[str]:
    return [message["content"]["text"] for message in messages if message["content"].get("name") == name]


def test_small_outputs_stay_as_they_are() -> None:
    """What fits is not touched, and nothing is said."""
    given = [_text("one\n"), _text("two\n", "stderr"), _display({"text/plain": "x"})]
    assert _feed(Outputs(), *given) == given


@pytest.mark.parametrize("piece", [10, 1_000, 100_000])
def test_flood_keeps_its_first_and_last_part(piece: int) -> None:
    """However it is cut into messages: the beginning, how much is missing, the end."""
    whole = "".join(f"{number:09}\n" for number in range(50_000))
    pieces = [_text(whole[at : at + piece]) for at in range(0, len(whole), piece)]
    outs = _feed(Outputs(kept=20_000), *pieces)
    text = "".join(_texts(outs))
    first, last = text[: text.index("\n0", 1) + 1], text[-5:]
    assert whole.startswith(first)
    assert whole.endswith(last)
    (notice,) = _texts(outs, "stderr")
    assert notice == f"\n[scillm-smoke dropped {len(whole) - len(text):,} characters of output here]\n"
    assert 1_000 < len(text) <= 40_400
    assert sum(200 + len(message["content"]["text"]) for message in outs) < 41_000


def test_one_huge_print_is_cut() -> None:
    """A single message is no way around the bound."""
    outs = _feed(Outputs(kept=1_000), _text("a" * 50_000 + "z" * 50_000))
    assert [text[:1] + text[-1:] for text in _texts(outs)] == ["aa", "zz"]
    assert "dropped 98,000 characters" in _texts(outs, "stderr")[0]


def test_plots_are_no_flood() -> None:
    """Displayed data may be 20 times as much as text."""
    plots = [_display({"image/png": "x" * 3_000}) for _ in range(4)]
    assert len(_feed(Outputs(kept=2_000), *plots)) == 4
    assert len(_feed(Outputs(kept=2_000), *plots * 20)) < 40


def test_records_are_never_kept_back() -> None:
    """By these a case is judged, wherever in a flood they stand."""
    record = _display({MIME_TYPE: {"check": "x", "ok": False}})
    outputs = Outputs(kept=1_000)
    flood = [_text("x" * 100) for _ in range(200)]
    for message in flood:
        outputs.take(message)
    assert outputs.take(record) is record


def test_cleared_output_is_not_told_as_dropped() -> None:
    """A progress display that clears itself without end shows what came last."""
    clear = {"msg_type": "clear_output", "content": {"wait": True}}
    frames = [message for number in range(500) for message in (clear, _text(f"frame {number}"))]
    outs = _feed(Outputs(kept=1_000), *frames)
    assert outs[-2:] == [clear, _text("frame 499")]
    assert _texts(outs, "stderr") == []
    assert len(outs) < 20


def test_no_message_is_lost_to_a_client_that_reads_late() -> None:
    """A real kernel, which has sent all of a flood before its client reads: the cell's end is there, and the last output."""
    manager, first = start_new_kernel(extra_arguments=["--IPKernelApp.extra_extensions=scillm_helpers.smoke.outputs"])
    first.stop_channels()
    client = manager.client()  # connects when the extension has been loaded
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        asked = client.execute("for n in range(12_000):\n    display({'text/plain': f'd{n}'}, raw=True)")
        client.get_shell_msg(timeout=PATIENCE)
        contents: list[dict[str, Any]] = []
        while not contents or contents[-1].get("execution_state") != "idle":
            message = client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == asked:
                contents.append(message["content"])
        assert contents[-2]["data"] == {"text/plain": "d11999"}
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
