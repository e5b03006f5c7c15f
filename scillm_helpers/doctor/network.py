"""The checks of the way to the endpoint: its name, a connection, TLS, and the clocks at both ends."""

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from ..bounded import root
from .asking import Attempt
from .findings import Finding, failed, ok, waiting
from .patient import Patient

_SKEW = 60.0  # seconds

# Source: openssl-verification-options(1), X509_V_ERR_*; Python has no names for them.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _OTHER_NAME, _OTHER_ADDRESS = (
    9, 10, 18, 19, 20, 62, 64,
)  # fmt: skip
_UNTRUSTED = (
    "Nobody whom httpx trusts (certifi, not the system's store) has signed it: a private authority, or a proxy that"
    " looks into TLS. Get its root certificate and name it: export SSL_CERT_FILE=ROOT.pem."
)
_NO_NETWORK = "This machine has no network: no route leads out of it."
_MEANS = {
    _NOT_YET_VALID: "The endpoint must renew it, or this machine's clock is slow.",
    _EXPIRED: "The endpoint must renew it, or this machine's clock is fast.",
    _SELF_SIGNED: _UNTRUSTED,
    _SELF_SIGNED_IN_CHAIN: _UNTRUSTED,
    _NO_ISSUER: _UNTRUSTED,
    _OTHER_NAME: "It is for another host: correct CHUTES_API_BASE, or something else answers in its place.",
    _OTHER_ADDRESS: "It is for a name and not for an address: write the name in CHUTES_API_BASE.",
}


def name_resolution(patient: Patient) -> Finding:
    """Look the endpoint's name up."""
    if patient.is_proxied:
        return ok("left to the proxy", f"{patient.host} is looked up by the proxy, and not here.")
    if _is_address(patient.host):
        return ok(f"{patient.host} is an address", "There is nothing to look up.")
    try:
        found = socket.getaddrinfo(patient.host, patient.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        return failed(
            f"{patient.host}: {error}", "That can be no host: correct CHUTES_API_BASE.", "unset CHUTES_API_BASE"
        )
    except socket.gaierror as error:
        look_again = f"getent hosts {patient.host}"
        seen = f"{patient.host}: {error.strerror}"
        if not _leads_out():
            return failed(seen, _NO_NETWORK, "ip route")
        if error.errno == socket.EAI_AGAIN:
            means = "No name server answers: a VPN, a firewall, or a container without DNS."
            return failed(seen, means, look_again)
        return failed(seen, "There is no such host: correct CHUTES_API_BASE.", look_again)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return ok(f"{patient.host} is {', '.join(addresses[:3])}", "The name is right, and a name server answers.")


def connection(patient: Patient) -> Finding:
    """Open a TCP connection."""
    contact = patient.contact
    if contact.stage != "connect":
        peer = contact.peer or (patient.host, patient.port)
        return ok(
            f"{peer[0]} port {peer[1]} accepts" + (" (the proxy)" if patient.is_proxied else ""),
            "The way there is open.",
        )
    where = f"{patient.host} port {patient.port}"
    if isinstance(root(contact.error or OSError()), ConnectionRefusedError):
        means = "Nobody listens there: the endpoint is down, or host or port are wrong in CHUTES_API_BASE."
    elif not _leads_out():
        return failed(f"{where}: {contact.why}", _NO_NETWORK, "ip route")
    else:
        means = "A firewall lets nothing through to there, or the endpoint is down."
    return failed(
        f"{where}: {contact.why}", means, f"curl -v --max-time 10 {patient.url.scheme}://{patient.url.netloc.decode()}"
    )


def tls(patient: Patient) -> Finding:
    """Look at the certificate with the roots that httpx, and so LiteLLM, trusts."""
    if patient.url.scheme == "http":
        loopback = patient.host in ("127.0.0.1", "localhost", "::1")
        return ok(
            "none: the base is http",
            "It does not leave this machine." if loopback else "The key travels where it can be read; use https.",
        )
    listing = patient.listing
    if listing.stage == "setup":
        return _unreadable_roots(patient, listing)
    if listing.stage != "tls":
        version = "" if listing.answer is None else f"{listing.answer.tls}, "
        return ok(f"{version}the certificate is trusted", f"By the roots in {_roots(patient)}.")
    return _refused(patient, listing)


def _unreadable_roots(patient: Patient, listing: Attempt) -> Finding:
    means = "No certificate is trusted without it: name a file of PEM certificates, or unset it for certifi's."
    return failed(f"SSL_CERT_FILE cannot be read: {listing.why}", means, "unset SSL_CERT_FILE")


def _refused(patient: Patient, listing: Attempt) -> Finding:
    error = root(listing.error or OSError())
    code = getattr(error, "verify_code", 0)
    if code in (_NOT_YET_VALID, _EXPIRED) and clock(patient).state == "failed":
        return waiting("clock skew")
    address = f"{patient.host}:{patient.port}"
    look = f"openssl s_client -connect {address} -servername {patient.host} -showcerts </dev/null"
    if code in _MEANS:
        return failed(f"the certificate is refused: {listing.why}", _MEANS[code], look)
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        means = "That port speaks no TLS, perhaps plain HTTP: correct scheme or port in CHUTES_API_BASE."
        return failed(f"no TLS at {address}: {error.reason}", means, f"curl -sS --max-time 10 http://{address}")
    return failed(f"no TLS at {address}: {listing.why}", "The handshake breaks: a firewall, or too old a TLS.", look)


def clock(patient: Patient) -> Finding:
    """Compare this machine's clock with the endpoint's `Date`, which an untrusted certificate does not hide."""
    answer = patient.contact.answer
    if answer is None:
        return waiting("TLS" if patient.contact.stage == "tls" else "/models")
    told = _date(answer.headers)
    if told is None:
        return Finding("not_checked", "not checked: the endpoint sends no Date")
    skew = (answer.date - told).total_seconds()
    if abs(skew) <= _SKEW:
        return ok(
            "this machine's clock and the endpoint's agree to a minute", "No certificate seems too early or late."
        )
    ahead = f"{_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'}"
    means = "Certificates seem expired or not yet valid, and signatures and tokens are refused."
    return failed(
        f"this machine's clock is {ahead} the endpoint's ({told:%Y-%m-%d %H:%M:%S} UTC)", means, "timedatectl"
    )


def _leads_out() -> bool:
    """Tell whether this machine has a route to somewhere else: to connect a UDP socket sends nothing."""
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):  # RFC 5737, RFC 3849
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((somewhere, 9))
                return True
        except OSError:
            continue
    return False


def _date(headers: httpx.Headers) -> datetime | None:
    """Return the endpoint's time. Source: RFC 9110, section 6.6.1; what a cache adds in `Age`: RFC 9111, 5.1."""
    try:
        told = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    age = headers.get("age", "")
    return told.replace(tzinfo=told.tzinfo or UTC) + timedelta(seconds=int(age) if age.isdecimal() else 0)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _roots(patient: Patient) -> str:
    if name := next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if patient.shell.get(name)), ""):
        return f"{name} ({patient.shell[name]})"
    return "certifi"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
