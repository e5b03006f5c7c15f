"""Text <-> tokens, with a real byte-pair encoding (cl100k_base)."""

import functools
import os
from importlib.util import find_spec
from pathlib import Path

import tiktoken


@functools.cache
def encoding() -> tiktoken.Encoding:
    """Load the encoding from the copy that LiteLLM ships, so that nothing is downloaded."""
    litellm = find_spec("litellm")
    if litellm is not None and litellm.origin is not None:
        tokenizers = Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"
        # LiteLLM sets the same variable to the same folder when it is imported.
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(tokenizers))
    return tiktoken.get_encoding("cl100k_base")


def count(text: str) -> int:
    """Return how many tokens `text` is."""
    return len(encode(text))


def encode(text: str) -> list[int]:
    """Return the tokens of `text`; what looks like a special token is text too."""
    return list(encoding().encode(text, disallowed_special=()))


def pieces(text: str) -> list[str]:
    """Cut `text` into the strings of its tokens.

    A character that spans several tokens stays whole, in the last of them, so that joining
    any first part of the list gives valid text. The list has one entry a token.
    """
    parts: list[str] = []
    held = b""
    for token in encode(text):
        held += encoding().decode_single_token_bytes(token)
        try:
            parts.append(held.decode())
            held = b""
        except UnicodeDecodeError:
            parts.append("")
    return parts
