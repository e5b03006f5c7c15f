"""Settings -> a connected client."""

import asyncio
import contextvars
import functools
import importlib
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import tenacity

from . import interrupts
from .errors import AuthError, EndpointError, UnknownModelError
from .kinds import kind_of
from .ledger import LEDGER
from .listing import list_models, unknown_model
from .retries import policy
from .settings import Purpose, Settings


def connect(model: str | None = None, purpose: Purpose | None = None, settings: Settings | None = None) -> "Client":
    """Return a client for the endpoint that the environment names, else for the embedded one.

    The model is `model`, else what the environment sets for `purpose`, else `CHUTES_MODEL`,
    else the first that the endpoint lists.

    Raises SettingsError for a wrong or missing variable, and EndpointError where the endpoint
    has to be asked for its models and does not answer.
    """
    settings = settings or Settings.from_env()
    interrupts.set_up()
    backend = settings.library()
    api_base, api_key = _endpoint(settings)
    chosen = model or settings.model_for(purpose) or _first_model(api_base, api_key, settings.timeout)
    return Client(settings, backend, api_base, api_key, chosen)


class CallArguments(dict[str, Any]):
    """Be the keyword arguments of a call, and never show the key among them."""

    def __repr__(self) -> str:
        hidden = {"api_key": "***", "extra_headers": {"Authorization": "Bearer ***"}}
        return repr({name: hidden.get(name, value) if value else value for name, value in self.items()})


@dataclass(frozen=True)
class Client:
    """Call a model through LiteLLM (or SciLLM) with the connection filled in."""

    settings: Settings
    backend: str
    api_base: str
    api_key: str = field(repr=False)
    model: str

    @property
    def kwargs(self) -> CallArguments:
        """Return what a call needs to reach the endpoint: `completion(**llm.kwargs, messages=...)`.

        LiteLLM's own retries are off, so that they do not multiply with those of this client.
        """
        route: dict[str, Any] = {"custom_llm_provider": "custom_openai", "api_key": self.api_key}
        if self.backend == "scillm":
            headers = {"Authorization": f"Bearer {self.api_key}"}
            route = {"custom_llm_provider": "openai_like", "api_key": None, "extra_headers": headers}
        connection = {
            "model": self.model,
            "api_base": self.api_base,
            "timeout": self.settings.timeout,
            "max_retries": 0,
        }
        return CallArguments(connection | route)

    @property
    def text_model(self) -> str:
        """Return the model for text: `CHUTES_TEXT_MODEL`, else this client's."""
        return self.settings.model_for("text") or self.model

    @property
    def vlm_model(self) -> str:
        """Return the model for images: `CHUTES_VLM_MODEL`, else this client's."""
        return self.settings.model_for("vlm") or self.model

    @property
    def tools_model(self) -> str:
        """Return the model for tool calls: `CHUTES_TOOLS_MODEL`, else this client's."""
        return self.settings.model_for("tools") or self.model

    @property
    def library(self) -> ModuleType:
        """Return `litellm`, or `scillm` where that is the backend. The first use imports it: seconds."""
        return _load(self.backend, self.settings.force_httpx_stream)

    def models(self) -> list[str]:
        """Return the names of the models that the endpoint lists. Raises EndpointError."""
        return list_models(self.api_base, self.api_key, self.settings.timeout)

    def completion(self, **kwargs: Any) -> Any:
        """Call `litellm.completion` with `kwargs` added to the connection, and back off while that helps.

        An attempt is given up after `timeout` seconds; a stream counts as an attempt until it opens.
        Raises AuthError, UnknownModelError, and EndpointError where the endpoint cannot be
        reached; all else as LiteLLM raises it.
        """
        call = {**self.kwargs, **kwargs}
        bounded = functools.partial(self._attempt, call)
        try:
            reply = tenacity.Retrying(**policy(self.settings))(bounded)
            if call.get("stream"):
                interrupts.closing(reply)
            return reply
        except Exception as error:
            self._explain(error, call)
            raise

    async def acompletion(self, **kwargs: Any) -> Any:
        """Call `litellm.acompletion` with `kwargs` added to the connection, as `completion` does."""
        call = {**self.kwargs, **kwargs}
        bounded = functools.partial(self._aattempt, call)
        try:
            return await tenacity.AsyncRetrying(**policy(self.settings))(bounded)
        except Exception as error:
            await asyncio.to_thread(self._explain, error, call)
            raise

    def _attempt(self, call: dict[str, Any]) -> Any:
        # Its import may take longer than an attempt; and one that Interrupt breaks off cannot be made again.
        library = _within(None, lambda: self.library)
        try:
            return _within(self._bound(call), lambda: library.completion(**call))
        except TimeoutError as error:
            raise self._timeout(call) from error

    async def _aattempt(self, call: dict[str, Any]) -> Any:
        library = await asyncio.to_thread(lambda: self.library)
        try:
            async with asyncio.timeout(self._bound(call)):
                return await library.acompletion(**call)
        except TimeoutError as error:
            raise self._timeout(call) from error

    def _bound(self, call: dict[str, Any]) -> float:
        """Return the seconds that an attempt may take; LiteLLM takes an `httpx.Timeout` too, which bounds reads."""
        timeout = call["timeout"]
        return float(timeout) if isinstance(timeout, (int, float, str)) else self.settings.timeout

    def _timeout(self, call: dict[str, Any]) -> Exception:
        message = f"no answer within {self._bound(call):g} s; raise LITELLM_TIMEOUT, or ask for less."
        timeout: Exception = self.library.Timeout(
            message, model=call["model"], llm_provider=call["custom_llm_provider"]
        )
        return timeout

    def _explain(self, error: Exception, call: dict[str, Any]) -> None:
        """Raise the error that says what to do, where there is something to do; else return."""
        kind, api_base = kind_of(error), call["api_base"]
        if kind == "auth":
            status = getattr(error, "status_code", 401)
            raise AuthError(f"{api_base} refused the key (HTTP {status}); check CHUTES_API_KEY.") from error
        if kind == "connection":
            raise EndpointError(f"{api_base} cannot be reached; check CHUTES_API_BASE and the network.") from error
        if getattr(error, "status_code", None) == 404:
            self._explain_not_found(error, call)

    def _explain_not_found(self, error: Exception, call: dict[str, Any]) -> None:
        try:
            listed = self.models()
        except EndpointError:
            return
        if call["model"] not in listed:
            raise UnknownModelError(unknown_model(call["model"], listed, call["api_base"])) from error


def _endpoint(settings: Settings) -> tuple[str, str]:
    if settings.api_base is not None and settings.api_key is not None:
        return settings.api_base, settings.api_key.get_secret_value()
    return _embedded()


@functools.cache
def _embedded() -> tuple[str, str]:
    """Start this process's one embedded endpoint, and say so."""
    # Only a keyless session needs a server, so only that one pays for its import.
    from .endpoint import serve

    print("CHUTES_API_BASE is not set: using the embedded endpoint.")
    endpoint = serve.start(paced=True)  # like one that is worth waiting for several at once
    return endpoint.api_base, endpoint.api_key


def _first_model(api_base: str, api_key: str, timeout: float) -> str:
    listed = list_models(api_base, api_key, timeout)
    if not listed:
        raise EndpointError(f"{api_base} lists no models; set CHUTES_MODEL.")
    return listed[0]


@functools.cache
def _load(backend: str, force_httpx: bool) -> ModuleType:
    # Before the import: else LiteLLM downloads its price map, and retries where there is no network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # LiteLLM's types make pydantic 2.12 and later warn, with a path of this machine, at the first call.
    warnings.filterwarnings("ignore", message=r".*using the `ReadOnly` qualifier", category=UserWarning)
    library: Any = importlib.import_module(backend)
    library.suppress_debug_info = True  # else every error prints an advertisement
    library.disable_aiohttp_transport = force_httpx
    LEDGER.watch(library)
    return cast(ModuleType, library)


def _within(seconds: float | None, call: Callable[[], Any]) -> Any:
    """Return what `call` returns; raises TimeoutError after `seconds`, or never.

    An HTTP client's own timeout bounds each read, so that a server which sends a byte now and
    then is waited for without end. The call goes on in its thread, which dies with the process.
    """
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is handed to the caller's thread
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True, name="llm-call").start()
    return outcome.result(seconds)
