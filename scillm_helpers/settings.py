"""The environment -> Settings."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from .environment import environment
from .errors import SettingsError

Purpose = Literal["text", "vlm", "tools"]


def _normal_base(base: str) -> str:
    """Drop a trailing slash and a pasted `/chat/completions`; add `/v1` where there is no path at all."""
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not an absolute http(s) URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a key belongs in CHUTES_API_KEY, and a base has no query")
    path = re.sub(r"/chat/completions$", "", parts.path.rstrip("/")) or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _sendable(key: SecretStr) -> SecretStr:
    """Refuse a key that no HTTP header can hold."""
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("not one word of ASCII")
    return key


class Settings(BaseSettings):
    """Hold what the environment says: one field a variable, as the README's table has them.

    An empty variable counts as not set.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    api_base: Annotated[str, AfterValidator(_normal_base)] | None = Field(
        None,
        validation_alias="CHUTES_API_BASE",
        description="an absolute URL like https://llm.chutes.ai/v1, without a key in it",
    )
    api_key: Annotated[SecretStr, AfterValidator(_sendable)] | None = Field(
        None, validation_alias="CHUTES_API_KEY", description="one word of ASCII characters, without spaces or line ends"
    )
    model: str | None = Field(None, validation_alias="CHUTES_MODEL", description="a model's name")
    text_model: str | None = Field(None, validation_alias="CHUTES_TEXT_MODEL", description="a model's name")
    vlm_model: str | None = Field(None, validation_alias="CHUTES_VLM_MODEL", description="a model's name")
    tools_model: str | None = Field(None, validation_alias="CHUTES_TOOLS_MODEL", description="a model's name")
    demo_image: str | None = Field(
        None, validation_alias="SCILLM_DEMO_IMAGE", description="a path, a data URL or an http(s) URL"
    )
    allow_stream: bool = Field(
        False, validation_alias="SCILLM_ALLOW_STREAM_SMOKE", description="one of 1, true, yes, on, 0, false, no, off"
    )
    allow_tools: bool = Field(
        False, validation_alias="SCILLM_ALLOW_TOOLS_SMOKE", description="one of 1, true, yes, on, 0, false, no, off"
    )
    force_httpx_stream: bool = Field(
        True, validation_alias="SCILLM_FORCE_HTTPX_STREAM", description="one of 1, true, yes, on, 0, false, no, off"
    )
    max_retries: int = Field(
        3, ge=0, le=20, validation_alias="LITELLM_MAX_RETRIES", description="a whole number from 0 to 20"
    )
    retry_after: float = Field(
        1, ge=0, le=60, validation_alias="LITELLM_RETRY_AFTER", description="a number of seconds from 0 to 60"
    )
    timeout: float = Field(
        45, gt=0, le=3600, validation_alias="LITELLM_TIMEOUT", description="a number of seconds above 0, up to 3600"
    )
    backend: Literal["auto", "litellm", "scillm"] = Field(
        "auto", validation_alias="SCILLM_BACKEND", description="one of auto, litellm, scillm"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `environ`, by default `environment()`.

        Raises SettingsError, which names the variable, what it holds and what is allowed.
        """
        source = _MappingSource(cls, environment() if environ is None else environ)
        try:
            return cls(**source())
        except ValidationError as error:
            raise SettingsError(_explain(error, cls)) from None

    @model_validator(mode="after")
    def _key_for_base(self) -> Self:
        if self.api_base is not None and self.api_key is None:
            raise SettingsError(
                "CHUTES_API_KEY is not set; export it, or unset CHUTES_API_BASE to use the embedded endpoint."
            )
        return self

    def model_for(self, purpose: Purpose | None) -> str | None:
        """Return the model that is set for `purpose`, else the one for everything, else None."""
        own = {"text": self.text_model, "vlm": self.vlm_model, "tools": self.tools_model}
        return own.get(purpose or "") or self.model

    def library(self) -> Literal["litellm", "scillm"]:
        """Return the library that calls go through. Raises SettingsError for one that is not installed."""
        installed = find_spec("scillm") is not None
        if self.backend == "scillm" and not installed:
            raise SettingsError(
                "SCILLM_BACKEND is 'scillm', which is not installed; install it, or set SCILLM_BACKEND=auto."
            )
        if self.backend == "auto":
            return "scillm" if installed else "litellm"
        return self.backend

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave reading the environment to `from_env`, which can be handed another one (pydantic calls this)."""
        return (init_settings,)


def may_hold_key(url: str) -> bool:
    """Tell whether a URL is not to be shown: it has a user, a query or a fragment, where people put keys."""
    return re.search("[@?#]", url) is not None


class _MappingSource(EnvSettingsSource):
    """Read a mapping the way pydantic-settings reads `os.environ`."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        # pydantic-settings looks variables up in lower case.
        return {name.lower(): value.strip() for name, value in self._environ.items() if value.strip()}


def _explain(error: ValidationError, settings: type[Settings]) -> str:
    first = error.errors(include_url=False)[0]
    variable = str(first["loc"][0])
    field = next(f for f in settings.model_fields.values() if f.validation_alias == variable)
    secret = variable == "CHUTES_API_KEY" or may_hold_key(str(first["input"]))
    held = "wrong" if secret else repr(first["input"])
    return f"{variable} is {held}; it must be {field.description}."
