"""Whom the checks look at: the variables, the endpoint, and what it has answered so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import httpx

from ..client import Client
from ..errors import SettingsError
from ..settings import Settings
from .asking import Attempt, ask

_CONTACT = 10.0  # seconds to reach an endpoint, and to have its models listed
MODEL_VARIABLES = ("CHUTES_MODEL", "CHUTES_TEXT_MODEL", "CHUTES_VLM_MODEL", "CHUTES_TOOLS_MODEL")


@dataclass
class Patient:
    """Be an environment, and the endpoint that it names.

    `shell` and `file` are the variables of the environment and of `.env`. `settings` is what both say, without
    retries; without it `refusal` says why there is none.
    """

    shell: Mapping[str, str]
    file: Mapping[str, str]
    settings: Settings | None = None
    refusal: SettingsError | None = None
    endpoint: Literal["live", "embedded", "unknown"] = "unknown"

    @property
    def sure(self) -> Settings:
        """Return the settings, which the checks after the first one need."""
        assert self.settings is not None
        return self.settings

    @property
    def api_base(self) -> str:
        """Return the endpoint's base, or nothing where none is known."""
        return "" if self.settings is None else self.settings.api_base or ""

    @property
    def api_key(self) -> str:
        """Return the key. Never show it."""
        return "" if self.sure.api_key is None else self.sure.api_key.get_secret_value()

    @property
    def url(self) -> httpx.URL:
        """Return the base as httpx reads it."""
        return httpx.URL(self.api_base)

    @property
    def host(self) -> str:
        """Return the endpoint's host as it is looked up."""
        return self.url.raw_host.decode("ascii")

    @property
    def port(self) -> int:
        """Return the endpoint's port."""
        return self.url.port or {"http": 80, "https": 443}[self.url.scheme]

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header with the key."""
        return {"Authorization": f"Bearer {self.api_key}"}

    @property
    def timeout(self) -> float:
        """Return the seconds that a chat may take: the user's own limit."""
        return self.sure.timeout

    @property
    def patience(self) -> float:
        """Return the seconds that anything else than a chat may take."""
        return min(_CONTACT, self.timeout)

    @cached_property
    def contact(self) -> Attempt:
        """Return what becomes of a request that brings no key and looks at no certificate."""
        return ask(f"{self.api_base}/models", seconds=self.patience, verify=False)

    @property
    def is_proxied(self) -> bool:
        """Tell whether httpx sends requests through a proxy."""
        return self.contact.peer is not None and self.contact.peer != (self.host, self.port)

    @cached_property
    def listing(self) -> Attempt:
        """Return what becomes of the request for the models, with the key."""
        return ask(f"{self.api_base}/models", seconds=self.patience, headers=self.bearer)

    @cached_property
    def listed(self) -> list[str] | None:
        """Return the names of the models that are listed, or None where the answer is no such list."""
        return names(self.listing)

    @property
    def model(self) -> str:
        """Return the model that is asked: the one of the settings, else the first that is listed."""
        return self.sure.model_for("text") or (self.listed or [""])[0]

    @property
    def smallest(self) -> dict[str, Any]:
        """Return the body of the smallest chat."""
        return self.body("Say OK.", {"max_tokens": 1})

    @cached_property
    def first_chat(self) -> Attempt:
        """Return what becomes of the smallest chat."""
        return self.chat(self.bearer)

    def chat(self, headers: Mapping[str, str]) -> Attempt:
        """Return what becomes of the smallest chat with these headers."""
        url = f"{self.api_base}/chat/completions"
        return ask(url, seconds=self.timeout, headers=headers, body=self.smallest)

    def body(self, content: Any, more: Mapping[str, Any], model: str = "") -> dict[str, Any]:
        """Return the body of a chat request."""
        return {"model": model or self.model, "messages": [{"role": "user", "content": content}], **more}

    @cached_property
    def client(self) -> Client:
        """Return the client that a notebook would have, without retries."""
        return Client(self.sure, self.sure.library(), self.api_base, self.api_key, self.model)


def names(attempt: Attempt) -> list[str] | None:
    """Return the names of the models in an answer, or None where it holds no list of them."""
    if attempt.answer is None or attempt.status != 200:
        return None
    content = attempt.answer.content
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
        return None
    return [str(entry["id"]) for entry in entries]
