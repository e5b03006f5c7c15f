"""The playground itself: a form, a conversation, and one call at a time."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import ipywidgets

from ..client import Client
from ..errors import EndpointError, FormError, ImageError
from . import answering, json_check, looks, snippets
from .attendance import is_attended
from .browser_widgets import Upload
from .controls import Controls
from .conversation import Turn, messages
from .explaining import Notice, explain, masked
from .form import Form, Picture, parse_schema, too_large
from .store import Saved, Store
from .throttle import Throttle

if TYPE_CHECKING:
    from IPython.display import Markdown

_RENDER_SECONDS, _SAVE_SECONDS = 0.05, 1.0
_BUSY = Notice("An answer is being streamed.", "Wait for it, or press Stop; this prompt stays in its box.")
_CUT = "Cut at max tokens: raise it and ask again for the rest."
_UNATTENDED = (
    "*The panel of widgets appears here where the notebook is open in JupyterLab or VS Code; its picture is below.*"
)


class Playground:
    """Show a panel that asks models, and keep its conversation.

    `ask` makes the call: it is given LiteLLM's arguments but for the connection, and returns the
    un-awaited stream. With `keep`, the conversation is kept in the user's state folder and
    outlives the kernel, where somebody sits at the notebook; a headless run neither reads nor writes it.
    """

    def __init__(self, llm: Client, ask: Callable[[dict[str, Any]], Any], keep: bool = False) -> None:
        """Build the panel; the endpoint is asked for its models."""
        self.turns: list[Turn] = []
        self._llm, self._ask = llm, ask
        self._store = Store.of_user(llm.api_key) if keep and is_attended() else None
        self._picture: Picture | None = None
        self._running: asyncio.Task[Any] | None = None
        self._button: asyncio.Task[Any] | None = None
        self._talk, self._now, self._beside = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self._beside.add_class("scillm-beside")
        self._notice = ipywidgets.HTML()
        self._tell(None)
        self._controls = Controls(self._models(), llm.model)
        self._upload = Upload(self._uploaded, self._too_large, self._removed)
        self._rendering = Throttle(self._render_now, _RENDER_SECONDS)
        self._saving = Throttle(self._save, _SAVE_SECONDS)
        self._restore()
        talk = ipywidgets.VBox([self._talk, self._now])
        self.widget = self._controls.lay_out(looks.STYLE, talk, self._beside, self._notice, self._upload)
        self._listen()
        threading.Thread(target=self._library, daemon=True, name="import-litellm").start()

    async def send(self, prompt: str | None = None) -> Turn:
        """Send the form, as the button does, with another prompt where one is given; return the turn at its end.

        Raises what went wrong, which the panel shows too. Stop ends the turn and raises nothing.
        """
        if self._running is not None:
            self._tell(_BUSY)
            raise FormError(f"{_BUSY.what} {_BUSY.todo}")
        if prompt is not None:
            self._controls.prompt.value = prompt
        try:
            form = self._controls.form(self._chosen_picture())
            request = form.request(messages(self.turns))
        except (FormError, ImageError) as error:
            self._tell(explain(error, self._llm.api_key))
            raise
        return await self._run(form, request)

    def stop(self) -> None:
        """Stop the answer that is being streamed: its connection is closed, and what has come is kept."""
        if self._running is not None:
            # JupyterLab may hand the click to another thread than the one that streams (a subshell).
            self._running.get_loop().call_soon_threadsafe(self._running.cancel)

    def picture(self) -> "Markdown":
        """Return a picture of the panel as it is, with an alternative text: for where no widgets are shown."""
        from .picture import draw

        return draw(self._controls.form(self._picture), self.turns)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the widgets where somebody can use them, else a line (IPython calls this)."""
        if is_attended():
            return self.widget._repr_mimebundle_(**options)
        return {"text/markdown": _UNATTENDED, "text/plain": _UNATTENDED.strip("*")}

    async def _run(self, form: Form, request: dict[str, Any]) -> Turn:
        turn = Turn(form.model, form.prompt, form.picture, form.json_mode)
        self.turns.append(turn)
        self._begin(request)
        self._running = asyncio.ensure_future(self._answer(turn, form, request))
        try:
            await self._running
        except asyncio.CancelledError:
            turn.state = "stopped"
            if (whole := asyncio.current_task()) is not None and whole.cancelling():
                raise  # not Stop, but whoever awaits this
        except Exception as error:
            turn.state = "failed"
            self._tell(explain(error, self._llm.api_key))
            if not turn.answer:
                self.turns.remove(turn)
            raise
        finally:
            self._running = None
            self._end(turn)
        return turn

    async def _answer(self, turn: Turn, form: Form, request: dict[str, Any]) -> None:
        await asyncio.to_thread(self._library)  # or the first call's time would be that of an import
        price = answering.price_of(self._llm, turn.model)
        answer = await answering.stream(self._ask(request), turn, price, self._changed)
        turn.state = "whole"
        if answer.finish_reason == "length":
            turn.remark = _CUT
        elif turn.as_json:
            turn.answer, turn.remark = json_check.check(turn.answer, parse_schema(form.schema))

    def _changed(self) -> None:
        self._rendering.soon()
        self._saving.soon()

    def _begin(self, request: dict[str, Any]) -> None:
        self._tell(None)
        self._controls.send.disabled, self._controls.stop.disabled = True, False
        self._show_code(request)
        self._talk.value = looks.history(self.turns[:-1])
        self._rendering.now()
        self._saving.now()

    def _end(self, turn: Turn) -> None:
        self._controls.send.disabled, self._controls.stop.disabled = False, True
        if turn.state != "failed":
            self._clear(turn)
        self._talk.value = looks.history(self.turns[:-1])
        self._rendering.now()
        self._saving.now()

    def _clear(self, turn: Turn) -> None:
        """Empty what was sent, and leave what has been written in the meantime."""
        if self._controls.prompt.value == turn.prompt:
            self._controls.prompt.value = ""
        if self._picture in (None, turn.picture):
            self._removed()

    def _show_code(self, request: dict[str, Any]) -> None:
        names = snippets.file_names(turn.picture for turn in self.turns if turn.picture)
        for widget, write in ((self._controls.python, snippets.python), (self._controls.curl, snippets.curl)):
            widget.code = masked(write(request, names), self._llm.api_key)

    def _render_now(self) -> None:
        if not self.turns:
            self._talk.value = self._now.value = self._beside.value = ""
            return
        turn = self.turns[-1]
        self._now.value = looks.question(turn) + looks.answer(turn)
        self._beside.value = looks.beside(turn)

    def _library(self) -> ModuleType:
        """Import LiteLLM, where it is not yet: seconds, in which the panel is there to be written in."""
        return self._llm.library

    def _tell(self, notice: Notice | None) -> None:
        self._notice.value = looks.notice(notice)

    def _models(self) -> list[str]:
        try:
            return self._llm.models()
        except EndpointError as error:
            self._tell(explain(error, self._llm.api_key))
            return []

    # What the user does

    def _listen(self) -> None:
        self._controls.send.on_click(lambda _: self._send_from_button())
        self._controls.stop.on_click(lambda _: self.stop())
        self._controls.new.on_click(lambda _: self._forget())
        for widget in self._controls.inputs():
            widget.observe(lambda _: self._saving.soon(), "value")

    def _send_from_button(self) -> None:
        """Send, and leave the kernel free for Stop: what goes wrong is told in the panel."""

        async def send() -> None:
            with contextlib.suppress(Exception):
                await self.send()

        if self._running is not None:
            self._tell(_BUSY)
        else:
            self._button = asyncio.ensure_future(send())

    def _forget(self) -> None:
        if self._running is not None:
            self._tell(_BUSY)
            return
        self.turns.clear()
        self._controls.python.code = self._controls.curl.code = ""
        self._tell(None)
        self._rendering.now()
        self._saving.now()

    def _chosen_picture(self) -> Picture | None:
        """Return the uploaded picture, else that of the URL. Raises ImageError."""
        url = self._controls.url.value.strip()
        return self._picture or (Picture.of(url) if url else None)

    def _uploaded(self, name: str, data: bytes) -> None:
        try:
            self._picture = Picture.of(data, name)
        except ImageError as error:
            self._removed()
            self._tell(Notice(f"{name}: {error}"))
            return
        self._upload.held = f"{name} ({len(data) / 1024:,.0f} kB)"
        self._tell(None)

    def _too_large(self, name: str, size: int) -> None:
        self._tell(Notice(too_large(name, size)))

    def _removed(self) -> None:
        self._picture, self._upload.held, self._controls.url.value = None, "", ""

    # What is kept

    def _restore(self) -> None:
        if self._store is None:
            return
        try:
            saved = self._store.load()
        except FormError as error:
            self._tell(Notice(str(error)))
            return
        if saved is None:
            return
        self.turns = saved.turns
        self._controls.fill(saved.form)
        self._talk.value = looks.history(self.turns[:-1])
        self._render_now()

    def _save(self) -> None:
        if self._store is None:
            return
        try:
            self._store.save(Saved(self._controls.form(None), self.turns))
        except OSError as error:
            self._tell(Notice(f"The conversation cannot be kept ({error.strerror}).", "It is lost with the kernel."))
