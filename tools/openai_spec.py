"""Cut out of OpenAI's published specification what the tests of the embedded endpoint need.

    python -m tools.openai_spec [SPECIFICATION COMMIT]

reads an OpenAPI document (JSON or YAML) of https://github.com/openai/openai-openapi and writes the chat, model
and error schemas, with all that they refer to, as one JSON Schema (draft 2020-12). Without arguments it reads the
copy that llm-comply carries.
"""

import json
import sys
from pathlib import Path
from typing import Any

import llm_comply
from ruamel.yaml import YAML

CLOSURE = Path(__file__).parent.parent / "tests" / "openai_spec" / "chat.json"
PUBLISHED = Path(llm_comply.__file__).parent / "specs" / "openai_chat.json"
REPOSITORY = "https://github.com/openai/openai-openapi"
# llm-comply 0.5.0 carries the document as JSON and names no commit. It was compared with this one where it
# begins, where it ends and in the chat schemas, and says the same.
COMMIT = "498c71ddf6f1c45b983f972ccabca795da211a3e"
ROOTS = (
    "CreateChatCompletionRequest",
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "ListModelsResponse",
    "Model",
    "ErrorResponse",
)
_PREFIX = "#/components/schemas/"
# They describe and decide nothing; as keywords they go, as names of properties they stay.
_REMARKS = {"description", "example", "examples", "title", "deprecated", "discriminator", "externalDocs"}
_MAPS = {"properties", "patternProperties"}
_VALUES = {"enum", "const", "default", "required"}


def closure(document: dict[str, Any], commit: str) -> dict[str, Any]:
    """Return the schemas of `ROOTS`, and those that they refer to, under `$defs`."""
    schemas = document["components"]["schemas"]
    defs: dict[str, Any] = {}
    wanted = list(ROOTS)
    while wanted:
        name = wanted.pop()
        if name not in defs:
            defs[name] = rewritten(schemas[name])
            wanted += [reference.removeprefix("#/$defs/") for reference in references(defs[name])]
    info = document["info"]
    source = {
        "repository": REPOSITORY,
        "commit": commit,
        "version": info["version"],
        "license": info["license"]["name"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Made by tools/openai_spec.py. Source: {json.dumps(source)}",
        "$defs": dict(sorted(defs.items())),
    }


def rewritten(schema: Any) -> Any:
    """Return a schema of OpenAPI as JSON Schema.

    `nullable: true` becomes a union with null. OpenAPI 3.0 has the keyword, JSON Schema ignores it, and the
    specification uses it in its documents of version 3.1, too.
    """
    if isinstance(schema, list):
        return [rewritten(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _part(key, value) for key, value in schema.items() if not _is_remark(key)}
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


def _is_remark(key: str) -> bool:
    return key in _REMARKS or key.startswith("x-") or key == "nullable"


def _part(key: str, value: Any) -> Any:
    if key in _VALUES:
        return value
    if key == "$ref":
        return value.replace(_PREFIX, "#/$defs/")
    if key in _MAPS:
        return {name: rewritten(schema) for name, schema in value.items()}
    return rewritten(value)


def references(schema: Any) -> list[str]:
    """Return every `$ref` inside a schema."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = [schema["$ref"]] if isinstance(schema, dict) and isinstance(schema.get("$ref"), str) else []
    return own + [reference for part in parts for reference in references(part)]


def load(path: Path = PUBLISHED) -> dict[str, Any]:
    """Return the document at `path`, JSON or YAML."""
    text = path.read_text(encoding="utf-8")
    document = json.loads(text) if text.lstrip().startswith("{") else YAML(typ="safe").load(text)
    return dict(document)


def written(schema: dict[str, Any]) -> str:
    """Return the text of the closure's file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the closure's file."""
    if len(arguments) not in (0, 2):
        print("usage: python -m tools.openai_spec [SPECIFICATION COMMIT]", file=sys.stderr)
        return 2
    path, commit = (Path(arguments[0]), arguments[1]) if arguments else (PUBLISHED, COMMIT)
    CLOSURE.write_text(written(closure(load(path), commit)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
