from typing import Any

import pytest

from scillm_helpers import gates, records
from scillm_helpers.errors import GateClosed, SettingsError, Skipped
from scillm_helpers.settings import Settings


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what is displayed; there is no kernel here to display it."""
    displayed: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.publish_display_data", displayed.append)
    return displayed


@pytest.mark.parametrize(
    ("gate", "variable"), [("stream", "SCILLM_ALLOW_STREAM_SMOKE"), ("tools", "SCILLM_ALLOW_TOOLS_SMOKE")]
)
def test_closed_gate_says_how_to_open_it(shown: list[dict[str, Any]], gate: Any, variable: str) -> None:
    """One line, a record with that line, and the notebook stops."""
    with pytest.raises(GateClosed) as caught:
        gates.require(gate)
    line = f"The {gate} gate is closed; set {variable}=1 to run this notebook (in a cell above: %env {variable}=1)."
    assert str(caught.value) == line
    assert shown[0][records.MIME_TYPE]["skipped"] == line
    assert shown[0]["text/plain"] == f"{gate}: skipped. {line}"


@pytest.mark.parametrize("value", ["1", "true", "yes", "on"])
def test_open_gate_says_nothing(shown: list[dict[str, Any]], value: str) -> None:
    """An open gate is not noticed; the other one stays as it is."""
    settings = Settings.from_env({"SCILLM_ALLOW_STREAM_SMOKE": value})
    gates.require("stream", settings)
    assert shown == []
    with pytest.raises(GateClosed):
        gates.require("tools", settings)


def test_gate_that_is_neither_open_nor_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that means nothing is not taken for closed."""
    monkeypatch.setenv("SCILLM_ALLOW_STREAM_SMOKE", "maybe")
    with pytest.raises(SettingsError, match="SCILLM_ALLOW_STREAM_SMOKE is 'maybe'"):
        gates.require("stream")


def test_record_is_json_for_the_harness_and_a_line_for_the_reader(shown: list[dict[str, Any]]) -> None:
    """Facts that are None are left out of the line."""
    records.record("chat", ok=True, model="m", ttft_s=0.1234567, chunks=None)
    assert shown[0][records.MIME_TYPE] == {
        "check": "chat",
        "ok": True,
        "model": "m",
        "ttft_s": 0.1234567,
        "chunks": None,
    }
    assert shown[0]["text/plain"] == "chat: ok (model m, ttft_s 0.123)"


def test_skip_stops_with_the_reason(shown: list[dict[str, Any]]) -> None:
    """A capability that is missing is no failure."""
    with pytest.raises(Skipped, match="no vision"):
        records.skip("vision", "no vision")
    assert shown[0][records.MIME_TYPE] == {"check": "vision", "ok": None, "skipped": "no vision", "unsupported": False}
