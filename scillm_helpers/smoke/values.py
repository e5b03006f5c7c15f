"""A text of the command line -> its value. Each raises ArgumentTypeError, with what it may be."""

import argparse
from pathlib import Path


def jobs(text: str) -> int:
    """Return how many notebooks run at a time."""
    if not _is_number(text) or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text} is not a number of notebooks at a time: 1 to 64")
    return int(text)


def folder(text: str) -> Path:
    """Return the path of a folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text is not a folder")
    return Path(text)


def path(text: str) -> Path:
    """Return a path."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text is not a path")
    return Path(text)


def retries(text: str) -> int:
    """Return how often a case is tried again."""
    if not _is_number(text) or int(text) > 5:
        raise argparse.ArgumentTypeError(f"{text} is not a number of retries: 0 to 5")
    return int(text)


def seconds(text: str) -> float:
    """Return a time in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds: more than 0, up to 86400")
    return seconds


def tokens(text: str) -> int:
    """Return a number of tokens."""
    if not _is_number(text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of tokens: 1 or more")
    return int(text)


def dollars(text: str) -> float:
    """Return an amount of US dollars."""
    try:
        dollars = float(text)
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of US dollars: 0 or more")
    return dollars


def cost(text: str) -> float:
    """Return a budget in US dollars."""
    if not (cost := dollars(text)):
        raise argparse.ArgumentTypeError("0 US dollars are no budget: more than 0")
    return cost


def port(text: str) -> int:
    """Return a port; 0 is a free one."""
    if not _is_number(text) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
