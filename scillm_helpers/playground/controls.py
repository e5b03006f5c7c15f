"""The form's widgets."""

from collections.abc import Sequence
from typing import Any

import ipywidgets

from .browser_widgets import Keyboard, Snippet, Upload
from .form import Form, Picture

_EXAMPLE = '{\n  "type": "object",\n  "properties": {"city": {"type": "string"}},\n  "required": ["city"],\n  "additionalProperties": false\n}'


class Controls:
    """Build the form's widgets, read a form from them, and write one to them."""

    def __init__(self, models: Sequence[str], model: str) -> None:
        """Offer `models`, with `model` chosen, which need not be among them."""
        options = list(models) if model in models else [model, *models]
        self.model = _stacked(ipywidgets.Dropdown(options=options, value=model, description="Model"))
        self.system = _area("System prompt", 3, "What the model is told before all else")
        self.temperature = _stacked(
            ipywidgets.BoundedFloatText(value=1.0, min=0, max=2, step=0.1, description="Temperature (0 to 2)")
        )
        self.max_tokens = _stacked(ipywidgets.BoundedIntText(value=512, min=1, max=1_000_000, description="Max tokens"))
        self.json_mode = ipywidgets.Checkbox(value=False, description="JSON mode", indent=False)
        self.schema = _area("JSON schema (empty: any JSON)", 8, _EXAMPLE)
        self.schema.add_class("scillm-schema")
        self.schema.layout.display = "none"
        self.json_mode.observe(self._show_schema, "value")
        self.prompt = _area("Prompt (Ctrl+Enter sends it)", 3, "What to ask")
        self.prompt.add_class("scillm-prompt")
        self.url = _stacked(
            ipywidgets.Text(description="or its URL", placeholder="https://... or a path", layout={"width": "auto"})
        )
        self.send = ipywidgets.Button(description="Send", button_style="primary", tooltip="Ask the model")
        self.send.add_class("scillm-send")
        self.stop = ipywidgets.Button(description="Stop", disabled=True, tooltip="Stop the answer; what came is kept")
        self.new = ipywidgets.Button(description="New conversation", tooltip="Forget the turns so far")
        self.python = Snippet(language="Python")
        self.curl = Snippet(language="curl")

    def form(self, picture: Picture | None) -> Form:
        """Return what the form holds."""
        return Form(
            self.model.value,
            self.prompt.value,
            self.system.value,
            picture,
            self.temperature.value,
            self.max_tokens.value,
            self.json_mode.value,
            self.schema.value,
        )

    def fill(self, form: Form) -> None:
        """Write a form to the widgets; a model that is not offered any more is left out."""
        if form.model in self.model.options:
            self.model.value = form.model
        self.system.value, self.prompt.value = form.system, form.prompt
        self.temperature.value, self.max_tokens.value = form.temperature, form.max_tokens
        self.json_mode.value, self.schema.value = form.json_mode, form.schema

    def inputs(self) -> list[Any]:
        """Return the widgets whose values are kept."""
        return [
            self.model, self.system, self.prompt, self.temperature, self.max_tokens, self.json_mode, self.schema
        ]  # fmt: skip

    def lay_out(self, style: str, talk: Any, beside: Any, notice: Any, upload: Upload) -> Any:
        """Return the whole panel, with what it shows in its place."""
        left = _box(
            "scillm-controls",
            self.model, self.system, self.temperature, self.max_tokens, self.json_mode, self.schema,
        )  # fmt: skip
        scroll = _box("scillm-scroll", talk)
        right = _box(
            "scillm-talk",
            _row("scillm-row", scroll, beside),
            self.prompt,
            _row("scillm-row", upload, self.url),
            notice,
            _row("scillm-buttons", self.send, self.stop, self.new),
        )
        code = ipywidgets.Tab([self.python, self.curl], titles=["This call in Python", "This call with curl"])
        return _box("scillm-playground", ipywidgets.HTML(style), Keyboard(), _row("scillm-columns", left, right), code)

    def _show_schema(self, change: Any) -> None:
        self.schema.layout.display = None if change["new"] else "none"


def _stacked(widget: Any) -> Any:
    """Have the label above the widget, as wide as it is."""
    widget.add_class("scillm-stacked")
    widget.layout.width = "auto"
    return widget


def _area(description: str, rows: int, placeholder: str) -> Any:
    return _stacked(ipywidgets.Textarea(description=description, rows=rows, placeholder=placeholder))


def _box(name: str, *children: Any) -> Any:
    box = ipywidgets.VBox(children)
    box.add_class(name)
    return box


def _row(name: str, *children: Any) -> Any:
    box = ipywidgets.HBox(children)
    box.add_class(name)
    return box
