"""A picture -> what it says beside its pixels, and its pixels alone."""

import io
from typing import Any

from PIL import Image

# Without one of these a picture says nothing that its bytes do not show as they are.
_COMPRESSED = (b"zTXt", b"iTXt", b"iCCP")


def metadata(picture: bytes) -> dict[str, Any]:
    """Return the texts of a picture that are compressed in its file; none where it is no picture."""
    if not any(mark in picture for mark in _COMPRESSED):
        return {}
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.load()  # some follow the pixels
            return {str(name): _text(value) for name, value in image.info.items()}
    except (OSError, ValueError, SyntaxError):
        return {}


def pixels(picture: bytes) -> bytes:
    """Return the picture as PNG without anything beside its pixels; a single black one where it is no picture."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.load()
            bare = Image.frombytes(image.mode, image.size, image.tobytes())
            if image.mode == "P":
                bare.putpalette(image.getpalette("RGB") or [])
    except (OSError, ValueError, SyntaxError):
        bare = Image.new("L", (1, 1))
    file = io.BytesIO()
    bare.save(file, "PNG")
    return file.getvalue()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
