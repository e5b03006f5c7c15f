"""OpenAI's published specification, as far as it is vendored here: does a body conform?"""

import functools
import json
from typing import Any

import jsonschema_rs

from tests.conftest import ROOT

FILE = ROOT / "tests" / "openai_spec" / "chat.json"


@functools.cache
def definitions() -> dict[str, Any]:
    """Return the schemas by their names."""
    return dict(json.loads(FILE.read_text(encoding="utf-8"))["$defs"])


def violations(name: str, body: Any, *, closed: bool = True) -> list[str]:
    """Return what in `body` is not of the schema `name`; if `closed`, a property that it does not name is."""
    errors = _validator(name, closed).iter_errors(body)
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in errors]


@functools.cache
def _validator(name: str, closed: bool) -> jsonschema_rs.Draft202012Validator:
    defs = _closed(definitions()) if closed else definitions()
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": defs})


def _closed(schema: Any) -> Any:
    """Forbid what a schema does not name, wherever it names properties and is no part of an `allOf`."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: value if key == "allOf" else _closed(value) for key, value in schema.items()}
    names = isinstance(schema.get("properties"), dict) and "type" in schema
    return {"additionalProperties": False} | inside if names else inside
