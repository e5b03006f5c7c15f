"""A check -> the curl command that makes it, to be pasted: the key is `$CHUTES_API_KEY`, never its value."""

import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from .patient import Patient
from .proxies import variable_of

_KEY = '-H "Authorization: Bearer $CHUTES_API_KEY"'
_WIDTH = 66  # characters of a line, so that it fits 80 columns with what stands before and after it
_NEXT_LINE = " \\\n  "


def contact(patient: Patient, shown: str) -> str:
    """Return the command that reaches the endpoint without a key, and prints what `shown` names of the connection."""
    unverified = " -k" if patient.url.scheme == "https" else ""
    return _command(patient, [f"-o /dev/null -w {shlex.quote(shown)}{unverified}"], "/models")


def date(patient: Patient) -> str:
    """Return the command that shows the endpoint's clock above this machine's."""
    unverified = " -k" if patient.url.scheme == "https" else ""
    return _command(patient, [f"-o /dev/null -D -{unverified}"], "/models", "| grep -i '^date:'; date -u")


def tls(patient: Patient) -> str:
    """Return the command that looks at the certificate, with the roots that httpx trusts."""
    if patient.url.scheme != "https":
        return contact(patient, "%{scheme}\\n")
    roots = "$SSL_CERT_FILE" if patient.shell.get("SSL_CERT_FILE") else f"$({shlex.quote(sys.executable)} -m certifi)"
    return _command(patient, ["-o /dev/null -w '%{ssl_verify_result}\\n'", f'--cacert "{roots}"'], "/models")


def models(patient: Patient) -> str:
    """Return the command that lists the models."""
    return _command(patient, [_KEY], "/models")


def chat(patient: Patient, body: dict[str, Any], key: str = _KEY) -> str:
    """Return the command that asks for a chat; of a stream it shows each part as it comes."""
    options = ["-N " + key if body.get("stream") else key, "-H 'Content-Type: application/json'"]
    data = f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    return _command(patient, options, "/chat/completions", data, seconds=patient.timeout)


def with_x_api_key(patient: Patient, body: dict[str, Any]) -> str:
    """Return the command of a chat whose key is no bearer."""
    return chat(patient, body, '-H "x-api-key: $CHUTES_API_KEY"')


def _command(patient: Patient, options: Sequence[str], path: str, rest: str = "", seconds: float = 0) -> str:
    start = f"curl -sS --max-time {seconds or patient.patience:g}{_route(patient)}"
    return _NEXT_LINE.join(_lines([start, *options, _url(patient, path), *filter(None, [rest])]))


def _lines(parts: Sequence[str]) -> list[str]:
    """Return the parts of a command as lines, each with as many as fit."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < _WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def _url(patient: Patient, path: str) -> str:
    base = patient.shell.get("CHUTES_API_BASE", "").strip()
    if patient.endpoint == "embedded" or base == patient.api_base:
        return f'"$CHUTES_API_BASE{path}"'
    return shlex.quote(patient.api_base + path)


def _route(patient: Patient) -> str:
    """Name the route: curl's rules differ from httpx's, for `HTTP_PROXY` and for `NO_PROXY`."""
    variable = variable_of(patient)
    if not variable:
        return ""
    return f' --proxy "${variable}"' if patient.is_proxied else " --noproxy '*'"
