import pytest
from pydantic import BaseModel

from scillm_helpers.client import Client
from scillm_helpers.errors import JsonReplyError
from scillm_helpers.json_mode import JSON_OBJECT, json_schema, parse_json


class Person(BaseModel):
    name: str
    born: int


ASK = [{"role": "user", "content": "Extract the person: Ada Lovelace, born in 1815."}]


def test_json_object_through_the_endpoint(llm: Client) -> None:
    """A real reply in JSON mode is parsed as it came."""
    messages = [{"role": "user", "content": 'Return only {"ok":true} as JSON.'}]
    parsed = parse_json(llm.completion(messages=messages, response_format=JSON_OBJECT))
    assert (parsed.value, parsed.mended, parsed.raw) == ({"ok": True}, False, '{"ok":true}')


@pytest.mark.parametrize("response_format", [json_schema(Person), Person])
def test_json_schema_through_the_endpoint(llm: Client, response_format: object) -> None:
    """The schema of a model gives that model, whether written out or left to LiteLLM."""
    parsed = parse_json(llm.completion(messages=ASK, response_format=response_format), Person)
    assert parsed.value == Person(name="Ada Lovelace", born=1815)


def test_schema_is_strict() -> None:
    """Strict mode wants every field required and no other allowed."""
    asked = json_schema(Person)["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["required"] == ["name", "born"]
    assert asked["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "raw",
    [
        '```json\n{"name": "Ada", "born": 1815, "note": "x```y"}\n```',
        '```json\n{"name": "Ada", "born": 1815}\n```',
        'Here you are:\n```\n{"name": "Ada", "born": 1815,}\n```\nAnything else?',
        "{'name': 'Ada', 'born': 1815}",
        '{"name": "Ada", "born": 1815,}',
        'Sure! {"name": "Ada", "born": 1815}',
    ],
)
def test_fenced_and_broken_json_is_mended_and_marked(raw: str) -> None:
    """What a model commonly wraps around JSON, or gets wrong in it, is mended."""
    parsed = parse_json(raw, Person)
    assert parsed.value == Person(name="Ada", born=1815)
    assert parsed.mended
    assert parsed.raw == raw


@pytest.mark.parametrize(
    "raw", ['{"name": "Ada", "born"', '{"name": "Ada", "born": 1815', '```json\n[{"name": "A', "Sure! [1, 2"]
)
def test_json_that_ends_early_is_not_mended(raw: str) -> None:
    """Whatever cut it: to mend it would be to invent its end."""
    with pytest.raises(JsonReplyError, match="in the middle of its JSON") as caught:
        parse_json(raw)
    assert caught.value.raw == raw


@pytest.mark.parametrize("raw", ["", "I cannot do that.", "{}[", "```json\n```", "{" * 3000, "[" * 100_000])
def test_text_that_is_no_json_is_raised_with_the_text(raw: str) -> None:
    """There is nothing to mend, and the text is kept."""
    with pytest.raises(JsonReplyError) as caught:
        parse_json(raw, Person)
    assert caught.value.raw == raw


def test_wrong_fields_are_named() -> None:
    """JSON that does not fit the model says where."""
    with pytest.raises(JsonReplyError, match=r"no Person \(born: Field required\)"):
        parse_json('{"name": "Ada"}', Person)


def test_cut_reply_is_not_mended(llm: Client) -> None:
    """A reply that max_tokens cut would be mended into an invention."""
    with pytest.raises(JsonReplyError, match="cut at max_tokens") as caught:
        parse_json(llm.completion(messages=ASK, response_format=json_schema(Person), max_tokens=4), Person)
    assert caught.value.raw.startswith('{"name"')
