"""The check of the proxy variables: which route httpx takes, and whether it leads to the endpoint."""

from urllib.parse import urlsplit

import httpx

from .asking import Attempt, ask
from .findings import Finding, failed, ok
from .patient import Patient

_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def variable_of(patient: Patient) -> str:
    """Return the variable whose proxy is meant for the endpoint, exempted or not; nothing where none is set.

    The order is that of `urllib.request.getproxies`, which httpx asks: lower case first, then `ALL_PROXY`.
    """
    scheme = patient.url.scheme
    asked = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in asked if patient.shell.get(name)), "")


def check(patient: Patient) -> Finding:
    """Tell by which route requests go; a proxy through which none arrive is the cause of all that follows."""
    set_here = [name for low in _NAMES for name in (low, low.upper()) if patient.shell.get(name)]
    only_in_file = [
        name for low in _NAMES for name in (low, low.upper()) if name in patient.file and name not in set_here
    ]
    details = tuple(f"{name} is set in .env: only the kernels of `scillm-smoke run` see it" for name in only_in_file)
    told = f"{', '.join(set_here)} set" if set_here else "none set"
    contact = patient.contact
    if patient.endpoint == "embedded":
        return ok(f"{told}; the embedded endpoint is reached directly", "Nothing is said about a live one.", details)
    if contact.stage == "setup":
        return _unusable(patient, contact)
    if not patient.is_proxied:
        return ok(f"{told}; requests to {patient.host} go directly", _why_direct(patient), details)
    if problem := _problem(patient, contact):
        return problem
    return ok(f"requests go through {_peer(contact)} ({_source(patient)})", "httpx and LiteLLM use it.", details)


def _problem(patient: Patient, contact: Attempt) -> Finding | None:
    """Return what is wrong where requests through the proxy do not arrive, and nothing where they do."""
    if _arrives(contact):
        return None
    directly = ask(f"{patient.api_base}/models", seconds=patient.patience, verify=False, proxies=False)
    seen = f"the proxy {_peer(contact)} ({_source(patient)}) {_said(contact)}"
    if _arrives(directly):
        means = f"Directly {patient.host} answers (HTTP {directly.status}): exempt it from the proxy, or correct the variable."
        return failed(seen, means, f'export NO_PROXY="${{NO_PROXY:+$NO_PROXY,}}{patient.host}"')
    if contact.stage == "answer" and contact.status != httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return None  # it may be the endpoint that answers so
    means = f"No request leaves this machine through it; directly {patient.host} is not reached either. Correct the variable."
    return failed(seen, means, f"unset {variable_of(patient)}" if variable_of(patient) else "env | grep -i proxy")


def _arrives(attempt: Attempt) -> bool:
    """Tell whether it is the endpoint that was reached, as far as can be seen: a proxy answers with a page, or 5xx."""
    if attempt.answer is None:
        return attempt.stage == "tls"
    refused = attempt.status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED or attempt.status >= 500
    return not refused and not attempt.answer.is_page


def _said(contact: Attempt) -> str:
    if contact.answer is not None:
        return f"answers HTTP {contact.status}"
    if contact.stage == "resolve":
        return f"has a name that does not resolve ({contact.why})"
    if contact.stage == "connect":
        return f"cannot be reached ({contact.why})"
    if contact.stage == "tunnel":
        return f"refuses to connect to the endpoint ({contact.why})"
    return f"does not answer ({contact.why})"


def _unusable(patient: Patient, contact: Attempt) -> Finding:
    variable = variable_of(patient) or "ALL_PROXY"
    value = patient.shell.get(variable, "")
    shown = f"{urlsplit(value).scheme or 'no'} scheme" if "@" in value else repr(value)
    means = "httpx and LiteLLM cannot use it: write http://HOST:PORT, or unset it."
    return failed(f"{variable} ({shown}) cannot be used: {contact.why}", means, f"unset {variable}")


def _why_direct(patient: Patient) -> str:
    if not (variable := variable_of(patient)):
        return "No proxy stands between."
    return f"NO_PROXY exempts {patient.host} from {variable}."


def _source(patient: Patient) -> str:
    return variable_of(patient) or "the system's settings"


def _peer(contact: Attempt) -> str:
    assert contact.peer is not None
    return f"{contact.peer[0]}:{contact.peer[1]}"
