"""The checks of what the endpoint answers: its models, the key, the model that is asked."""

from typing import Any

import httpx

from ..bounded import ReplyTooLarge
from ..kinds import CAPABILITIES
from ..listing import nearest, unknown_model
from . import curl
from .asking import Answer, Attempt, ask
from .environment import ENTER_KEY, tail
from .findings import Finding, excerpt, failed, ok, waiting
from .patient import MODEL_VARIABLES, Patient, names

_REFUSED = (401, 403)
_AGAIN = "scillm-smoke doctor"
_NO_API = "Something else than an OpenAI-compatible API answers there: correct CHUTES_API_BASE."


def models(patient: Patient) -> Finding:
    """Ask for the list of models; where the base is not right, try those that are near."""
    listing = patient.listing
    if listing.status in _REFUSED:
        return waiting("key")
    if patient.listed:
        return ok(f"{len(patient.listed)} models: {_some(patient.listed)}", "The base is right.")
    if listing.answer is None:
        return no_answer(patient, listing)
    if patient.listed == []:
        return failed("the list is empty", "The endpoint serves no model to this key.", curl.models(patient))
    if listing.status == 429 or listing.status >= 500:
        return refusal(patient, listing.answer)
    if better := next((base for base in _other_bases(patient) if _is_base(patient, base)), None):
        seen = f"{_told(listing.answer)} at {patient.api_base}/models"
        return failed(seen, f"The base is wrong: {better} answers.", f"export CHUTES_API_BASE={better}")
    return _no_list(patient, listing.answer)


def key(patient: Patient) -> Finding:
    """See whether the endpoint takes the key: the list may be public, so that a chat has to tell."""
    if patient.listing.status in _REFUSED:
        return _refused(patient, patient.listing)
    if not patient.listed:
        return waiting("/models")
    if patient.first_chat.status in _REFUSED:
        return _refused(patient, patient.first_chat)
    status = patient.first_chat.status
    if status == 0 or status == 429 or status >= 500:
        return waiting("model")
    if status == 200:
        return ok(f"{tail(patient.api_key)} is accepted", "The key is right.")
    return ok(f"{tail(patient.api_key)} is not refused", f"A chat is, for another reason: HTTP {status}.")


def model(patient: Patient) -> Finding:
    """See whether the models of the settings are listed, and whether the one for text answers."""
    listed = patient.listed or []
    for variable in MODEL_VARIABLES:
        named = getattr(patient.sure, variable.removeprefix("CHUTES_").lower())
        if named and named not in listed:
            near = nearest(named, listed)
            run = f"export {variable}='{near[0]}'" if near else curl.models(patient)
            seen = f"{variable} is {named}, which is not listed"
            return failed(seen, unknown_model(named, listed, patient.api_base).partition("; ")[2].capitalize(), run)
    attempt = patient.first_chat
    if attempt.status in _REFUSED:
        return waiting("key")
    if attempt.answer is None:
        return no_answer(patient, attempt)
    if attempt.status != 200:
        return refusal(patient, attempt.answer)
    if not is_chat(attempt.answer.content):
        return failed(f"{_told(attempt.answer)}, and it is no chat completion", _NO_API, curl.models(patient))
    return ok(f"{patient.model} answers ({attempt.answer.seconds:.1f} s)", "It is listed, and served.")


def is_chat(content: Any) -> bool:
    """Tell whether this is a chat completion."""
    choices = content.get("choices") if isinstance(content, dict) else None
    return isinstance(choices, list) and bool(choices) and isinstance(choices[0], dict)


def smallest(patient: Patient) -> str:
    """Return the curl command of the smallest chat."""
    return curl.chat(patient, patient.smallest)


def curl_of_key(patient: Patient) -> str:
    """Return the curl command that shows whether the key is taken."""
    return curl.models(patient) if patient.listing.status in _REFUSED else smallest(patient)


def no_answer(patient: Patient, attempt: Attempt) -> Finding:
    """Return what follows from a request that got no answer, though somebody accepted its connection."""
    if attempt.why == "no answer in time":
        limit = f"{patient.timeout:g} s" if attempt is not patient.listing else f"{patient.patience:g} s"
        means = "The endpoint is overloaded, or starts the model first: wait, or raise LITELLM_TIMEOUT."
        return failed(f"no answer within {limit}", means, _AGAIN)
    if isinstance(attempt.error, ReplyTooLarge | httpx.DecodingError):
        return failed(str(attempt.error), _NO_API, _AGAIN)
    means = "The endpoint, or something before it, drops connections: try again later, or ask who runs it."
    return failed(f"the connection broke: {attempt.why}", means, _AGAIN)


def refusal(patient: Patient, answer: Answer) -> Finding:
    """Return what follows from an answer that is an error, but for a refused key."""
    seen = f"{_told(answer)}: {excerpt(answer.message)}" if not answer.is_page else f"{_told(answer)}, a web page"
    if answer.status == 404:
        means = f"The model {patient.model} is listed, and is not served: choose another one."
        return failed(seen, means, curl.models(patient))
    if answer.status == 429:
        return failed(seen, f"Too many requests, or no quota left{_wait(answer)}.", _AGAIN)
    if answer.status >= 500 or answer.status == 408:
        return failed(seen, f"The endpoint, or the model, is down or overloaded{_wait(answer)}.", _AGAIN)
    if CAPABILITIES["chat"].search(answer.message):
        return failed(seen, f"{patient.model} is no chat model: choose another one.", curl.models(patient))
    return failed(seen, "The endpoint refuses the smallest chat: its message says why.", curl.models(patient))


def _refused(patient: Patient, attempt: Attempt) -> Finding:
    """Return what follows from a refused key; some gateways want it in a header of its own."""
    answer = attempt.answer
    assert answer is not None
    seen = f"{_told(answer)}: {excerpt(answer.message)}" if not answer.is_page else f"{_told(answer)}, a web page"
    other = {"x-api-key": patient.api_key}
    again = (
        ask(f"{patient.api_base}/models", seconds=patient.patience, headers=other)
        if attempt is patient.listing
        else patient.chat(other)
    )
    if again.status == 200:
        means = "This gateway wants x-api-key and no bearer: add extra_headers={'x-api-key': KEY} to each call."
        return failed(seen, means, curl.with_x_api_key(patient, patient.smallest))
    if answer.status == 403 and answer.is_page:
        return failed(
            seen, "A firewall before the endpoint refuses this machine, whatever the key.", curl.models(patient)
        )
    if answer.status == 403:
        means = "The key is known and may not do this: no permission, no credit, or not from here."
        return failed(seen, means, ENTER_KEY)
    means = f"The key {tail(patient.api_key)} is wrong, revoked, or of another provider than {patient.host}."
    return failed(seen, means + _about(patient), ENTER_KEY)


def _about(patient: Patient) -> str:
    """Return what else there is to say of a wrong key: what is in it, and where it is from."""
    quoted = " It has quotes around it: enter it without." if patient.api_key[0] in "\"'" else ""
    from_file = " It is from .env: correct it there, too." if "CHUTES_API_KEY" not in patient.shell else ""
    return quoted + from_file


def _other_bases(patient: Patient) -> list[str]:
    """Return bases near the one that is set, on the same host: the key goes nowhere else."""
    origin = f"{patient.url.scheme}://{patient.url.netloc.decode('ascii')}"
    parent = patient.api_base.rpartition("/")[0]
    near = [f"{patient.api_base}/v1", f"{origin}/v1", *([parent] if parent.startswith(origin) else [])]
    return [base for base in dict.fromkeys(near) if base != patient.api_base]


def _is_base(patient: Patient, base: str) -> bool:
    return bool(names(ask(f"{base}/models", seconds=patient.patience, headers=patient.bearer)))


def _no_list(patient: Patient, answer: Answer) -> Finding:
    if 300 <= answer.status < 400:
        where = excerpt(answer.headers.get("location", ""))
        means = "A login portal of the network, or a base that has moved: open it in a browser, then correct CHUTES_API_BASE."
        return failed(f"{_told(answer)} to {where}", means, curl.models(patient))
    if answer.is_page:
        means = "A login portal of the network, or a web site: log in, or correct CHUTES_API_BASE."
        return failed(f"{_told(answer)}, a web page", means, curl.models(patient))
    if answer.status == 404:
        return failed(
            f"{_told(answer)}",
            "The base is wrong, and none near it answers: it mostly ends in /v1.",
            curl.models(patient),
        )
    if answer.status != 200:
        return failed(f"{_told(answer)}: {excerpt(answer.message)}", _NO_API, curl.models(patient))
    return failed(f"no list of models: {excerpt(answer.message) or 'nothing'}", _NO_API, curl.models(patient))


def _told(answer: Answer) -> str:
    return f"HTTP {answer.status}"


def _wait(answer: Answer) -> str:
    asked = answer.headers.get("retry-after", "")
    return f"; it asks to wait {asked} s" if asked.isdecimal() else ""


def _some(listed: list[str]) -> str:
    return ", ".join(map(excerpt, listed[:3])) + (", ..." if len(listed) > 3 else "")
