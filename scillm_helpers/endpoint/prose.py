"""A prompt -> what a model might say to it."""

import json
import random
import re

_NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_LENGTH = re.compile(rf"\b(\d{{1,3}}|{'|'.join(_NUMBERS)})[- ]words?\b", re.IGNORECASE)
_SAY = re.compile(r"\bsay\s+(?:[\"'“](?P<quoted>[^\"'”]+)[\"'”]|(?P<word>\w+))", re.IGNORECASE)
_ONLY = re.compile(
    r"\b(?:return|reply|respond|answer|output)\b[^{\[]{0,40}\bonly\b|\bonly\b[^{\[]{0,40}\breturn\b", re.I
)
_ONE_OF = re.compile(r"\bone of:? (\w+(?:, \w+)*,? or \w+)", re.IGNORECASE)
_SUBJECT = re.compile(r"\b(?:about|explain|describe|define|what (?:is|are)|why|how)\s+(.{3,60}?)(?:[.?!,;:\n]|$)", re.I)
_STORY = [
    "The",
    "old",
    "lighthouse",
    "keeper",
    "lit",
    "the",
    "lamp",
    "and",
    "smiled",
    "softly.",
    "Far",
    "below",
    "a",
    "small",
    "red",
    "boat",
    "turned",
    "gladly",
    "for",
    "home.",
    "Nobody",
    "else",
    "had",
    "seen",
    "it",
    "through",
    "the",
    "rain",
    "that",
    "night.",
    "She",
    "wrote",
    "its",
    "name",
    "down",
    "and",
    "made",
    "some",
    "strong",
    "tea.",
]
_ANSWERS = (
    "In short, {subject} is easiest to understand one small step at a time.",
    "Start with the simplest case of {subject}, look at the result, and go on from there.",
    "Most questions about {subject} are settled by one example that can be run again.",
    "Two things matter with {subject}: what goes in, and what is checked when it comes out.",
)


def answer(prompt: str, colours: list[str], rng: random.Random) -> str:
    """Return what a model might say to `prompt`, which came with pictures of these dominant colours."""
    if (literal := literal_json(prompt)) is not None:
        return literal
    if said := _SAY.search(prompt):
        return ", ".join([said["quoted"] or said["word"], *_named(prompt, colours)])
    if options := _ONE_OF.search(prompt):
        return rng.choice(re.split(r",? or |, ", options[1]))
    if colours:
        return f"The picture is mostly {' and then '.join(colours)}."
    if length := _LENGTH.search(prompt):
        return _story(_count(length[1]))
    return _plausible(prompt, rng)


def told(results: list[str]) -> str:
    """Return an answer that passes on what tools have answered."""
    return f"The {'tools' if len(results) > 1 else 'tool'} answered: {'; '.join(results)}"


def is_error(result: str) -> bool:
    """Tell whether a tool's answer says that it could not do what it was asked."""
    return result.lower().startswith("error")


def literal_json(prompt: str) -> str | None:
    """Return the JSON object that `prompt` asks to get back, as in `Return only {"ok": true}`."""
    asked = _ONLY.search(prompt)
    start = prompt.find("{", asked.start()) if asked else -1
    if start < 0:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(prompt, start)
    except (ValueError, RecursionError):
        return None
    return prompt[start:end]


def _named(prompt: str, colours: list[str]) -> list[str]:
    return colours if re.search(r"\bcolou?rs?\b", prompt, re.IGNORECASE) else []


def _count(number: str) -> int:
    return int(number) if number.isdigit() else _NUMBERS.index(number.lower()) + 1


def _story(words: int) -> str:
    told = (_STORY * (words // len(_STORY) + 1))[:words]
    return " ".join(told).rstrip(".") + "." if told else ""


def _plausible(prompt: str, rng: random.Random) -> str:
    found = _SUBJECT.search(prompt)
    subject = found[1].strip() if found else "this"
    return " ".join(rng.sample(_ANSWERS, 2)).format(subject=subject)
