"""The checks that go through LiteLLM as a notebook does: JSON, and an image."""

import re
from typing import Any

from ..errors import ImageError, JsonReplyError, ScillmError
from ..images import image_part
from ..json_mode import JSON_OBJECT, parse_json
from ..kinds import Kind, is_unsupported, kind_of
from . import versions
from .curl import chat, models
from .findings import Finding, excerpt, failed, ok
from .patient import Patient

JSON_ASKED = 'Return only {"ok":true} as JSON.'
JSON_MORE: dict[str, Any] = {"response_format": JSON_OBJECT, "max_tokens": 64, "temperature": 0}
IMAGE_MORE: dict[str, Any] = {"max_tokens": 32, "temperature": 0}

# A red square of 32 by 32 pixels: some models take no smaller one.
_SQUARE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAKklEQVR42u3NMQEAAAQAMATRP5kcSvBtBZbTHZ8qngkEAoFA"
    "IBAIBIIrC0vFAWIwQDRwAAAAAElFTkSuQmCC"
)
_MEANS: dict[Kind, str] = {
    "rate_limit": "Too many requests, or no quota left: wait.",
    "capacity": "The endpoint, or the model, is overloaded: try again later.",
    "timeout": "The model takes too long: raise LITELLM_TIMEOUT, or choose a smaller one.",
    "connection": "The connection broke where a smaller request has passed: a proxy, or the SCILLM_FORCE_HTTPX_STREAM transport.",
    "auth": "The key may not do this, though it may chat.",
    "bad_request": "The endpoint refuses this request, though it takes a smaller one.",
    "bad_reply": "What came back is no chat completion.",
}


def json_chat(patient: Patient) -> Finding:
    """Ask for JSON through LiteLLM, and read it as the notebooks do."""
    asked = patient.body(JSON_ASKED, JSON_MORE)
    try:
        _ = patient.client.library  # imported here, or the seconds of that would count as the endpoint's
        read = parse_json(patient.client.completion(**asked))
    except JsonReplyError as error:
        means = f"{str(error).partition(';')[0]}. JSON mode is not kept: ask in the prompt too, or take another model."
        return failed(f"the reply is {_shape(error.raw)}", means, chat(patient, asked))
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is what was to be found out
        return _raised(patient, error, asked, "json_object", "JSON mode")
    if read.mended:
        means = "JSON mode is not kept; parse_json mends such a reply, json.loads does not."
        return failed(f"the reply is {_shape(read.raw)}", means, chat(patient, asked))
    return ok(f"valid JSON through {patient.client.backend}", "JSON mode is kept, and the library works.")


def image(patient: Patient) -> Finding:
    """Show the vision model a red square."""
    model = patient.sure.vlm_model or (patient.model if patient.endpoint == "embedded" else "")
    if not model:
        return Finding("not_checked", "not checked: export CHUTES_VLM_MODEL=MODEL, one that can see")
    asked = image_body(patient)
    try:
        if patient.sure.demo_image:
            image_part(patient.sure.demo_image)
        _ = patient.client.library
        reply = patient.client.completion(**asked)
    except ImageError as error:
        return failed(str(error).partition("; ")[0], "SCILLM_DEMO_IMAGE cannot be sent.", "unset SCILLM_DEMO_IMAGE")
    except Exception as error:  # noqa: BLE001 - as above
        return _raised(patient, error, asked, "vision", "images")
    text = excerpt(reply.choices[0].message.content or "")
    if not text:
        return failed("an empty reply", f"{model} takes the image and says nothing.", chat(patient, asked))
    return ok(f"shown a red square, {model} says: {text}", "It takes images; whether it sees is for you to judge.")


def image_body(patient: Patient) -> dict[str, Any]:
    """Return the body of the request with the image."""
    content = [
        {"type": "text", "text": "Say OK and a color in the image."},
        {"type": "image_url", "image_url": {"url": _SQUARE}},
    ]
    return patient.body(content, IMAGE_MORE, patient.sure.vlm_model or "")


def _raised(patient: Patient, error: Exception, asked: dict[str, Any], capability: str, what: str) -> Finding:
    """Return what follows from an exception of LiteLLM."""
    behind = error.__cause__ if isinstance(error, ScillmError) and isinstance(error.__cause__, Exception) else error
    kind = kind_of(error)
    if is_unsupported(behind, capability):
        means = f"{asked['model']} does not take {what}: choose another model."
        return failed(excerpt(_said(behind)), means, models(patient))
    if kind not in _MEANS:
        means = "LiteLLM itself fails, though the endpoint answers: install what this project is made for."
        return failed(excerpt(f"{type(error).__name__}: {error}"), means, versions.install(*versions.WATCHED))
    return failed(excerpt(f"{kind}: {_said(error)}"), _MEANS[kind], chat(patient, asked))


def _said(error: Exception) -> str:
    """Return what the endpoint has said, without the names of LiteLLM's classes before it."""
    return re.sub(r"^(litellm\.\w+: )?(\w+Exception - )?", "", str(error))


def _shape(raw: str) -> str:
    """Return a reply that is no plain JSON in words."""
    text = raw.strip()
    if not text:
        return "empty"
    if text.startswith("```"):
        return f"JSON in a Markdown fence: {excerpt(text)}"
    if text[0] in "{[":
        return f"JSON that is cut, or has slips: {excerpt(text)}"
    return f"{'prose around JSON' if '{' in text else 'prose'}: {excerpt(text)}"
