"""The forms in which a planted secret could leak, made without the code that is to find them."""

import base64
import html
import json
from urllib.parse import quote, quote_plus


def encodings(secret: str) -> dict[str, str]:
    """Return what a secret looks like, by the name of the encoding."""
    data = secret.encode()
    found = {
        "raw": secret,
        "url": quote(secret, safe=""),
        "url plus": quote_plus(secret),
        "url lower case": quote(secret, safe="").lower() if secret.islower() else quote(secret),
        "json": json.dumps(secret)[1:-1],
        "json in json": json.dumps(json.dumps({"key": secret})),
        "repr": repr({"key": secret}),
        "html": html.escape(secret),
        "hex": data.hex(),
    }
    for before in range(4):
        for after in range(4):
            padded = b"x" * before + data + b"y" * after
            found[f"base64 {before} {after}"] = base64.b64encode(padded).decode()
            found[f"base64url {before} {after}"] = base64.urlsafe_b64encode(padded).decode()
    basic = base64.encodebytes(b"user name of some length:" + data * 5).decode()
    return found | {"base64 lines": basic}


def traces(secret: str) -> list[bytes]:
    """Return what tells that a secret stands in some bytes: each encoding, where it does not depend on what is around."""
    data = secret.encode()
    shifted = [base64.b64encode(b"x" * before + data)[4:-4] for before in range(3)]
    plain = [secret, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret), data.hex()]
    return [*shifted, *(text.encode() for text in plain), secret.encode("utf-16-le"), secret.encode("utf-16-be")]
