"""An exception -> what the panel says: what is wrong, what it means, and what to do."""

from dataclasses import dataclass

from ..errors import FormError, ImageError, ScillmError
from ..kinds import Kind, is_unsupported, kind_of

_SHORTEST = 8  # characters of a key that is a secret
_SAID = 400  # characters of what an endpoint has answered; some send whole pages

_KINDS: dict[Kind, tuple[str, str]] = {
    "auth": ("The endpoint refused the key.", "Check CHUTES_API_KEY, then restart the kernel and run all cells."),
    "rate_limit": ("The endpoint has had too many requests.", "Wait a little, then press Send again."),
    "capacity": ("The endpoint is busy or broken.", "Press Send again in a while, or choose another model."),
    "timeout": ("No answer came in time.", "Press Send again; raise LITELLM_TIMEOUT for a slow model."),
    "connection": (
        "The endpoint cannot be reached, or the connection broke.",
        "Check the network and CHUTES_API_BASE, then press Send again.",
    ),
    "bad_request": ("The endpoint refused the request.", "Change what it names below, then press Send again."),
    "bad_reply": ("The answer cannot be read, or has no end.", "Press Send again."),
}
_CODE = ("The code of this notebook failed.", "Look at the function that makes the call, then run its cell again.")
_LACKING = {
    "vision": (
        "This model takes no pictures.",
        "Choose another model; or remove the picture, and begin a new conversation if it has one.",
    ),
    "json_schema": ("This model takes no JSON schema.", "Empty the schema box, or choose another model."),
    "json_object": ("This model has no JSON mode.", "Switch it off, or choose another model."),
    "streaming": ("This model does not stream.", "Choose another model."),
    "chat": ("This model cannot chat.", "Choose another model."),
}


@dataclass(frozen=True)
class Notice:
    """Be what the panel says above its buttons: `said` is what the endpoint answered, in its own words."""

    what: str
    todo: str = ""
    kind: str = ""
    said: str = ""


def masked(text: str, key: str) -> str:
    """Return a text without the key in it. A shorter one, such as EMPTY for a local server, is a word like others."""
    return text.replace(key, "$CHUTES_API_KEY") if len(key) >= _SHORTEST else text


def explain(error: BaseException, secret: str) -> Notice:
    """Return what to say of an error, without `secret` in it."""
    said = masked(str(error), secret)
    if isinstance(error, (FormError, ImageError)):
        return Notice(said)
    kind = kind_of(error)
    lacking = next((words for name, words in _LACKING.items() if is_unsupported(error, name)), None)
    what, todo = lacking or _KINDS.get(kind, _CODE)
    if not isinstance(error, ScillmError):
        said = f"{type(error).__name__}: {said}"
    return Notice(what, todo, kind, said if len(said) <= _SAID else f"{said[:_SAID]}...")
