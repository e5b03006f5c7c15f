from pathlib import Path

import pytest

from scillm_helpers.errors import SettingsError
from scillm_helpers.settings import Settings

LIVE = {"CHUTES_API_BASE": "https://llm.example.com/v1", "CHUTES_API_KEY": "obviously-fake"}


def test_defaults_are_the_documented_ones() -> None:
    """Nothing set means the embedded endpoint, closed gates, httpx and three retries."""
    settings = Settings.from_env({})
    assert settings.api_base is None
    assert settings.api_key is None
    assert (settings.allow_stream, settings.allow_tools, settings.force_httpx_stream) == (False, False, True)
    assert (settings.max_retries, settings.retry_after, settings.timeout) == (3, 1, 45)
    assert settings.backend == "auto"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://llm.example.com", "https://llm.example.com/v1"),
        ("https://llm.example.com/", "https://llm.example.com/v1"),
        ("https://llm.example.com/v1/", "https://llm.example.com/v1"),
        (" https://llm.example.com/v1 ", "https://llm.example.com/v1"),
        ("https://llm.example.com/api/openai", "https://llm.example.com/api/openai"),
        ("https://llm.example.com/v1/chat/completions", "https://llm.example.com/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
    ],
)
def test_base_is_normalised(given: str, used: str) -> None:
    """A slash at the end, a missing /v1 or a pasted route all mean the same base."""
    assert Settings.from_env(LIVE | {"CHUTES_API_BASE": given}).api_base == used


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("CHUTES_API_BASE", "llm.example.com", "an absolute URL like https://llm.chutes.ai/v1, without a key in it"),
        (
            "CHUTES_API_BASE",
            "ftp://llm.example.com",
            "an absolute URL like https://llm.chutes.ai/v1, without a key in it",
        ),
        (
            "CHUTES_API_BASE",
            "http://127.0.0.1:abc/v1",
            "an absolute URL like https://llm.chutes.ai/v1, without a key in it",
        ),
        ("LITELLM_TIMEOUT", "soon", "a number of seconds above 0, up to 3600"),
        ("LITELLM_TIMEOUT", "0", "a number of seconds above 0, up to 3600"),
        ("LITELLM_TIMEOUT", "nan", "a number of seconds above 0, up to 3600"),
        ("LITELLM_MAX_RETRIES", "-1", "a whole number from 0 to 20"),
        ("LITELLM_RETRY_AFTER", "later", "a number of seconds from 0 to 60"),
        ("SCILLM_ALLOW_STREAM_SMOKE", "maybe", "one of 1, true, yes, on, 0, false, no, off"),
        ("SCILLM_FORCE_HTTPX_STREAM", "2", "one of 1, true, yes, on, 0, false, no, off"),
        ("SCILLM_BACKEND", "openai", "one of auto, litellm, scillm"),
    ],
)
def test_wrong_value_is_refused_by_name(variable: str, value: str, allowed: str) -> None:
    """The message has the variable, what it holds, and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(LIVE | {variable: value})
    assert str(caught.value) == f"{variable} is {value!r}; it must be {allowed}."


@pytest.mark.parametrize(
    "base", ["http://h/v1?key=obviously-fake", "http://u:obviously-fake@h/v1", "http://h#obviously-fake"]
)
def test_base_that_may_hold_a_key_is_refused_and_not_shown(base: str) -> None:
    """It would stand in logs and reports."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(LIVE | {"CHUTES_API_BASE": base})
    assert str(caught.value).startswith("CHUTES_API_BASE is wrong; it must be an absolute URL")


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_gate_opens(value: str) -> None:
    """Every documented word opens a gate."""
    assert Settings.from_env({"SCILLM_ALLOW_STREAM_SMOKE": value}).allow_stream


def test_base_without_key_is_refused() -> None:
    """A live base needs a key, and the message says both ways out."""
    with pytest.raises(SettingsError, match=r"^CHUTES_API_KEY is not set; export it, or unset CHUTES_API_BASE"):
        Settings.from_env({"CHUTES_API_BASE": "https://llm.example.com/v1"})


def test_empty_variable_counts_as_unset() -> None:
    """`export CHUTES_API_BASE=` goes back to the embedded endpoint."""
    assert Settings.from_env({"CHUTES_API_BASE": " ", "LITELLM_TIMEOUT": ""}).api_base is None


def test_purpose_falls_back_to_the_one_model() -> None:
    """A purpose has its own model, else the one for everything, else none."""
    settings = Settings.from_env({"CHUTES_MODEL": "all", "CHUTES_VLM_MODEL": "eyes"})
    assert [settings.model_for(purpose) for purpose in ("text", "vlm", "tools", None)] == ["all", "eyes", "all", "all"]
    assert Settings.from_env({}).model_for("text") is None


def test_key_never_shows() -> None:
    """The key is in no representation of the settings."""
    settings = Settings.from_env(LIVE)
    assert "obviously-fake" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_env_file_is_read_and_the_shell_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest .env file upward counts; a variable of the shell overrides it, an empty one too."""
    (tmp_path / ".env").write_text("CHUTES_MODEL=from-file\nLITELLM_TIMEOUT=7\nCHUTES_VLM_MODEL=eyes\n")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("LITELLM_TIMEOUT", "9")
    monkeypatch.setenv("CHUTES_VLM_MODEL", "")
    settings = Settings.from_env()
    assert (settings.model, settings.timeout, settings.vlm_model) == ("from-file", 9, None)


def test_scillm_backend_that_is_not_installed_is_refused() -> None:
    """Asking for a library that is not there is a configuration error."""
    with pytest.raises(SettingsError, match="SCILLM_BACKEND is 'scillm', which is not installed"):
        Settings.from_env({"SCILLM_BACKEND": "scillm"}).library()
    assert Settings.from_env({}).library() == "litellm"


@pytest.mark.parametrize("key", ["obviously\nfake", "obviously fake", "schlüssel"])
def test_key_that_no_header_can_hold_is_refused_unseen(key: str) -> None:
    """A key with a line end, a space or an umlaut in it is a slip of pasting; it is not repeated."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(LIVE | {"CHUTES_API_KEY": key})
    assert str(caught.value).startswith("CHUTES_API_KEY is wrong; it must be one word of ASCII characters")
    assert key not in str(caught.value)


def test_base_with_a_password_is_refused_unseen() -> None:
    """A password in the base would take the key's place in the header."""
    with pytest.raises(SettingsError, match="CHUTES_API_BASE is wrong; it must be an absolute URL") as caught:
        Settings.from_env(LIVE | {"CHUTES_API_BASE": "https://user:obviously-fake@llm.example.com/v1"})
    assert "obviously-fake" not in str(caught.value)


def test_env_file_of_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    """PowerShell writes UTF-16 unless told otherwise."""
    (tmp_path / ".env").write_text("CHUTES_MODEL=m\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8 text; save it as UTF-8"):
        Settings.from_env()
