"""The answer of a call in JSON mode -> the same, laid out, and whether it is what was asked for."""

import json
from typing import Any

from ..errors import JsonReplyError
from ..json_mode import parse_json
from .form import validator


def check(text: str, schema: dict[str, Any] | None) -> tuple[str, str]:
    """Return the answer, laid out where it is JSON, and a remark: the first violation of the schema, if there is one."""
    try:
        reply = parse_json(text)
    except JsonReplyError as error:
        return text, str(error).partition(";")[0] + "."
    laid_out = json.dumps(reply.value, indent=2, ensure_ascii=False)
    mended = "It was not valid JSON as it came, and is mended. " if reply.mended else ""
    if schema is None:
        return laid_out, f"{mended}Valid JSON."
    violation = next(validator(schema).iter_errors(reply.value), None)
    if violation is None:
        return laid_out, f"{mended}Valid JSON, and as the schema wants it."
    where = "/".join(map(str, violation.instance_path)) or "the whole"
    return laid_out, f"{mended}Valid JSON, but not as the schema wants it: {where}: {violation.message}."
