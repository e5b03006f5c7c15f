"""Names that come from outside -> labels, which are safe to show, and the names of files."""

import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

_LONGEST = 200  # bytes of a file's name: most file systems take 255, with what is added to it

# What a terminal or a page would obey (control characters, line separators, bidirectional controls), and what
# neither UTF-8 nor XML can hold.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_LIKE_AN_ATTEMPT = re.compile(r"\.(?=attempt-\d+$)")


def label(name: str) -> str:
    """Return a name on one line, with U+FFFD in place of what is unsafe to show."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"[\t\r\n]+", " ", name))


def writable(text: str) -> str:
    """Return a text that UTF-8 can hold: half a character (a lone surrogate) becomes a question mark."""
    return text.encode(errors="replace").decode()


def label_of(path: str | Path) -> str:
    """Return the label of a path; its bytes are UTF-8 wherever they can be, whatever the locale says."""
    try:
        return label(os.fsencode(path).decode())
    except UnicodeError:
        return label(str(path))


def path_of(name: str) -> Path:
    """Return the path of a name, its bytes UTF-8 whatever the locale says."""
    return Path(os.fsdecode(name.encode(errors="replace")))


def distinct(names: Iterable[str], key: Callable[[str], str] = str) -> list[str]:
    """Return the names in order, with a number behind one whose `key` is taken already."""
    taken: set[str] = set()
    found = []
    for name in names:
        numbered = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        free = next(candidate for candidate in numbered if key(candidate) not in taken)
        taken.add(key(free))
        found.append(free)
    return found


def file_names(labels: Iterable[str]) -> list[str]:
    """Return the name of a file, without suffix, for each label; each has its own on every file system."""
    return distinct(map(_file_name, labels), _same_file)


def _file_name(name: str) -> str:
    plain = _LIKE_AN_ATTEMPT.sub("_", name.replace("/", "_"))
    return plain.encode()[:_LONGEST].decode(errors="ignore")


def _same_file(name: str) -> str:
    """Return what is equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()
