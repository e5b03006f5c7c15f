"""A JSON Schema and a prompt -> an instance that conforms, filled with what the prompt says."""

import copy
import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import rstr

from . import facts
from .problems import Problem, bad_request

Schema = dict[str, Any]

# Beyond this depth only what a schema requires is filled in, so that recursive schemas end.
_DEEP = 4
_BOTTOM = 40
# What is made for one schema at most, in values; so many characters count as one.
_MAX_VALUES = 5_000
_CHARACTERS = 10
# Subschemas and other values of one schema: more would keep a machine busy.
_MAX_SCHEMA = 20_000
_WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
_FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Schema, prompt: str, rng: random.Random, param: str) -> Any:
    """Return an instance that conforms to `schema` (JSON Schema, draft 2020-12).

    Numbers and proper names are taken from `prompt` in their order where the schema lets them,
    so that an extraction prompt gets its own facts back. `param` names the schema's place in the
    request. Raises Problem (400) for a schema that is invalid, or that this endpoint cannot fill.
    """
    validator = check(schema, param)
    try:
        instance = _Sampler(schema, prompt, rng).value(schema)
    # Beside its own refusal: what numbers, patterns and lists raise that no value can have.
    except (_Unfillable, RecursionError, re.error, OverflowError, IndexError, TypeError, ValueError) as error:
        raise _unfillable(param) from error
    if not validator.is_valid(instance):
        raise _unfillable(param)
    return instance


def check(schema: Schema, param: str) -> jsonschema_rs.Draft202012Validator:
    """Return the schema's validator. Raises Problem (400) for an invalid or huge schema; fetches none that it names."""
    if _size(schema) > _MAX_SCHEMA:
        raise bad_request(f"Invalid schema: it holds more than {_MAX_SCHEMA} values.", param, "invalid_json_schema")
    try:
        return jsonschema_rs.Draft202012Validator(schema, retriever=_never_fetch)
    except ValueError as error:
        why = str(error).splitlines()[0]
        raise bad_request(f"Invalid schema: {why}.", param, "invalid_json_schema") from error


def _size(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(_size(part) for part in parts)


def _never_fetch(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema, and the embedded endpoint never fetches a URL")


def _unfillable(param: str) -> Problem:
    return bad_request("The embedded endpoint cannot make an instance of this schema.", param)


class _Unfillable(Exception):
    """Say that a schema asks for something that the sampler cannot make."""


class _Sampler:
    def __init__(self, root: Schema, prompt: str, rng: random.Random) -> None:
        self.root = root
        self.prompt = prompt
        self.rng = rng
        self.budget: float = _MAX_VALUES
        self.names = facts.names(prompt)
        self.numbers = facts.numbers(prompt)

    def value(self, schema: Schema | bool, depth: int = 0) -> Any:
        self._spend(1)
        if depth > _BOTTOM:
            raise _Unfillable("the schema has no finite instance")
        schema = self._flat(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chosen(schema["enum"])
        make: dict[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
            "boolean": lambda _schema, _depth: True,
            "null": lambda _schema, _depth: None,
        }
        return make[_type(schema, deep=depth > _DEEP)](schema, depth)

    def _spend(self, values: float) -> None:
        """Count what is made, or about to be: a small schema may ask for more than a machine holds."""
        self.budget -= values
        if self.budget < 0:
            raise _Unfillable("the schema asks for too much")

    def _flat(self, schema: Schema | bool, depth: int) -> Schema:
        """Resolve `$ref`, and merge `allOf` and one branch of `anyOf` or `oneOf` into the schema."""
        self._spend(1)
        if schema is True:
            return {}
        if schema is False:
            raise _Unfillable("nothing conforms to false")
        schema = copy.copy(schema)
        for _ in range(_BOTTOM):
            if "$ref" in schema:
                schema = _merged(_resolve(self.root, schema.pop("$ref")), schema)
            elif "allOf" in schema:
                for part in schema.pop("allOf"):
                    schema = _merged(schema, self._flat(part, depth))
            elif branches := schema.pop("anyOf", None) or schema.pop("oneOf", None):
                schema = _merged(schema, self._branch(branches, depth))
            else:
                return schema
        raise _Unfillable("the schema refers to itself without end")

    def _branch(self, branches: list[Schema], depth: int) -> Schema:
        def is_null(branch: Schema) -> bool:
            return isinstance(branch, dict) and branch.get("type") == "null"

        wanted = [b for b in branches if is_null(b) == (depth > _DEEP)]
        return self._flat((wanted or branches)[0], depth)

    def _chosen(self, options: list[Any]) -> Any:
        named = [o for o in options if isinstance(o, str) and o and o.lower() in self.prompt.lower()]
        return (named or [self.rng.choice(options)])[0]

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = dict.fromkeys(schema.get("required", []))
        names = [name for name in properties if name in required or depth <= _DEEP]
        names += [name for name in required if name not in properties]
        made = {name: self.value(properties.get(name, {}), depth + 1) for name in names}
        missing = int(schema.get("minProperties", 0)) - len(made)
        self._spend(max(0, missing))
        for i in range(missing):
            made[f"key_{i + 1}"] = self.value(schema.get("additionalProperties", {}), depth + 1)
        return made

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        prefix = schema.get("prefixItems", [])
        least = int(schema.get("minItems", 1 if depth <= _DEEP else 0))
        self._spend(least)
        if schema.get("items") is False:
            least = min(least, len(prefix))
        size = min(max(least, len(prefix)), schema.get("maxItems", math.inf))
        items = [*prefix, *[schema.get("items", {})] * max(0, least - len(prefix))]
        return [self.value(item, depth + 1) for item in items[: int(size)]]

    def _string(self, schema: Schema, depth: int) -> str:
        if "pattern" in schema:
            pattern = schema["pattern"]
            dice = _Dice(self.rng, lambda times: self._spend(times * len(pattern) / _CHARACTERS**2))
            return str(rstr.Rstr(dice).xeger(pattern))
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        least = int(schema.get("minLength", 0))
        most = int(schema.get("maxLength", _MAX_VALUES))
        self._spend(least / _CHARACTERS)
        for i, name in enumerate(self.names):
            if least <= len(name) <= most:
                return self.names.pop(i)
        word = self.rng.choice(_WORDS)
        return str((word * (least // len(word) + 1))[: max(least, min(len(word), most))])

    def _number(self, schema: Schema, depth: int) -> int | float:
        whole = schema.get("type") == "integer" or "integer" in schema.get("type", ())
        fits = _fitting(schema, whole)
        for i, number in enumerate(self.numbers):
            if fits(number):
                return _plain(self.numbers.pop(i))
        candidates = _numbers(schema, self.rng.randint(1, 100), whole)
        made = next((n for n in candidates if fits(n)), None)
        if made is None:
            raise _Unfillable("no number is within the bounds")
        return _plain(made)


class _Dice:
    """Throw for rstr: counted, since a short pattern may ask for more than a machine holds."""

    def __init__(self, rng: random.Random, spend: Callable[[int], None]) -> None:
        self._rng = rng
        self._spend = spend

    def choice(self, options: Any) -> Any:
        self._spend(1)
        # rstr 3.2.2 takes what `[^...]` allows from a set, whose order is another one in each process.
        characters = isinstance(options, list) and all(isinstance(option, str) for option in options)
        return self._rng.choice(sorted(options) if characters else options)

    def randint(self, low: int, high: int) -> int:
        times = self._rng.randint(low, high)
        self._spend(times)
        return times

    def shuffle(self, items: list[Any]) -> None:
        self._rng.shuffle(items)


def _type(schema: Schema, deep: bool) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        return str(next((t for t in declared if (t == "null") == deep), declared[0]))
    if declared is not None:
        return str(declared)
    hints = {"properties": "object", "required": "object", "items": "array", "prefixItems": "array"}
    hints |= {"minimum": "number", "maximum": "number", "multipleOf": "number"}
    return next((kind for key, kind in hints.items() if key in schema), "string")


def _numbers(schema: Schema, usual: int, whole: bool) -> Iterator[float]:
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf", 1)
    base = usual if low <= usual <= high else low if math.isfinite(low) else high
    yield base
    yield from (math.ceil(base / step) * step + k * step for k in range(-1, 2))
    if not whole and math.isfinite(low) and math.isfinite(high):
        yield (low + high) / 2
        return
    if not whole:
        yield from (base + 0.5, base - 0.5)


def _fitting(schema: Schema, whole: bool) -> Callable[[float], bool]:
    bounds = jsonschema_rs.Draft202012Validator({key: schema[key] for key in _BOUNDS if key in schema})
    return lambda number: (not whole or number == int(number)) and bounds.is_valid(_plain(number))


_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number


def _merged(first: Schema, second: Schema) -> Schema:
    """Return what both schemas ask for; where they name the same keyword, the second wins."""
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        merged["required"] = [*dict.fromkeys([*first["required"], *second["required"]])]
    return merged


def _resolve(root: Schema, reference: str) -> Schema:
    """Follow a JSON pointer (RFC 6901) inside `root`; nothing outside it is ever fetched."""
    if not reference.startswith("#"):
        raise _Unfillable(f"$ref {reference!r} leaves the schema")
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or part not in found:
            raise _Unfillable(f"$ref {reference!r} leads nowhere")
        found = found[part]
    if not isinstance(found, dict):
        raise _Unfillable(f"$ref {reference!r} leads to no schema")
    return found
