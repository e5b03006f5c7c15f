"""The checks, in their order, and what each needs before it can be made."""

from collections.abc import Callable
from dataclasses import dataclass

from . import chats, curl, environment, network, proxies, service, streams, versions
from .findings import Finding, named, waiting
from .patient import Patient


@dataclass(frozen=True)
class Check:
    """Be a check: its name, what it looks at, what it needs, and the same with curl."""

    name: str
    look: Callable[[Patient], Finding]
    needs: tuple[str, ...] = ()
    curl: Callable[[Patient], str] = lambda patient: ""


CHECKS = (
    Check("environment", environment.check),
    Check(
        "name resolution",
        network.name_resolution,
        ("environment", "proxy variables"),
        lambda patient: curl.contact(patient, "%{remote_ip}\\n"),
    ),
    Check(
        "connection",
        network.connection,
        ("name resolution",),
        lambda patient: curl.contact(patient, "%{remote_ip} port %{remote_port}\\n"),
    ),
    Check("TLS", network.tls, ("connection",), curl.tls),
    Check("/models", service.models, ("TLS",), curl.models),
    Check("key", service.key, ("TLS",), service.curl_of_key),
    Check("model", service.model, ("/models",), service.smallest),
    Check(
        "JSON chat",
        chats.json_chat,
        ("model", "versions"),
        lambda patient: curl.chat(patient, patient.body(chats.JSON_ASKED, chats.JSON_MORE)),
    ),
    Check(
        "streaming",
        streams.check,
        ("model",),
        lambda patient: curl.chat(patient, patient.body(streams.ASKED, streams.MORE)),
    ),
    Check(
        "image",
        chats.image,
        ("model", "versions"),
        lambda patient: curl.chat(patient, chats.image_body(patient)),
    ),
    Check("clock skew", network.clock, ("connection",), curl.date),
    Check(
        "proxy variables",
        proxies.check,
        ("environment",),
        lambda patient: curl.contact(patient, "%{remote_ip} port %{remote_port}\\n"),
    ),
    Check("versions", lambda patient: versions.check()),
)
_BY_NAME = {check.name: check for check in CHECKS}


class Examination:
    """Make each check once, after those that it needs."""

    def __init__(self, patient: Patient) -> None:
        """Prepare to look at `patient`."""
        self._patient = patient
        self._found: dict[str, Finding] = {}

    def finding(self, name: str) -> Finding:
        """Return what a check has found; where one that it needs does not hold, that one, however far back."""
        if name not in self._found:
            check = _BY_NAME[name]
            missing = next(filter(None, map(self._missing, check.needs)), "")
            found = waiting(missing) if missing else check.look(self._patient)
            if found.needs:
                found = waiting(self._missing(found.needs) or found.needs)
            self._found[name] = named(found, name, check.curl(self._patient) if found.state != "not_checked" else "")
        return self._found[name]

    def _missing(self, name: str) -> str:
        """Return the check without which this one does not hold, or nothing where it holds."""
        found = self.finding(name)
        return "" if found.state == "ok" else found.needs or name
