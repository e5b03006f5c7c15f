"""A picture -> the texts beside its pixels, and its pixels alone."""

import io
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT = 1_000_000  # bytes of one that is compressed; more is no caption
_MAX_PIXELS = 25_000_000  # of a picture that is decoded: some 100 MB


class HiddenText(ValueError):
    """A picture holds a compressed text that cannot be read whole."""


def texts(picture: bytes) -> dict[str, str]:
    """Return the compressed texts of a PNG image; what other formats say stands in their bytes as it is.

    No pixel is decoded. Raises HiddenText where a text is too large, or is not compressed as it claims.
    Source: the PNG specification, 11.3.2 and 11.3.3.
    """
    return {f"{kind} {name}": text for kind, name, text in _texts(picture)}


def pixels(picture: bytes) -> bytes:
    """Return the picture as PNG without anything beside its pixels; a single black one where it cannot be decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            bare = _bare(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        bare = Image.new("L", (1, 1))
    file = io.BytesIO()
    bare.save(file, "PNG")
    return file.getvalue()


def _bare(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError("too many pixels")
        image.load()
        bare = Image.frombytes(image.mode, image.size, image.tobytes())
        if image.mode == "P":
            bare.putpalette(image.getpalette("RGB") or [])
        return bare


def _texts(picture: bytes) -> Iterator[tuple[str, str, str]]:
    for kind, data in _chunks(picture):
        name, _, rest = data.partition(b"\0")
        if kind == b"iTXt":
            _, _, text = [*rest[2:].split(b"\0", 2), b"", b""][:3]  # after a language and a translated name
            text = _decompressed(text) if rest.startswith(b"\1") else text
        elif kind in (b"zTXt", b"iCCP"):
            text = _decompressed(rest[1:])
        else:
            continue
        yield kind.decode(), name.decode("latin-1"), text.decode("utf-8", "replace")


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and the data of each chunk of a PNG image, and nothing of another one."""
    at = len(_SIGNATURE) if picture.startswith(_SIGNATURE) else len(picture)
    while at + 8 <= len(picture):
        length = int.from_bytes(picture[at : at + 4], "big")
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += length + 12


def _decompressed(data: bytes) -> bytes:
    decoder = zlib.decompressobj()
    try:
        text = decoder.decompress(data, _MAX_TEXT + 1)
    except zlib.error as error:
        raise HiddenText(str(error)) from error
    if len(text) > _MAX_TEXT:
        raise HiddenText(f"more than {_MAX_TEXT} bytes")
    return text
