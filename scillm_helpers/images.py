"""A file, URL or array -> an image message part."""

import base64
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ImageError

if TYPE_CHECKING:
    import numpy
    from PIL.Image import Image

DEMO_IMAGE = Path(__file__).parent / "demo.png"
MAX_BYTES = 10 * 1024 * 1024

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
# Pillow calls a JPEG with further pictures behind the first one MPO: phones write such files.
_MIME_TYPES = {"MPO": "image/jpeg", **{name: f"image/{name.lower()}" for name in _FORMATS}}


def image_part(
    source: "str | Path | bytes | numpy.ndarray[Any, Any] | Image", max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Return the message part that sends an image: `{"type": "image_url", ...}`.

    `source` is a path, an http(s) URL (which the provider fetches), a data URL, the bytes of an
    encoded picture, an array of shape (height, width) or (height, width, 3 or 4) and type uint8,
    or a PIL image. The last two are sent as PNG.

    Raises ImageError for a missing or empty file, for data that is no PNG, JPEG, WebP or GIF,
    and for a picture of more than `max_bytes` bytes once encoded.
    """
    return {"type": "image_url", "image_url": {"url": _url(source, max_bytes)}}


def _url(source: Any, max_bytes: int) -> str:
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return source
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _data_url(_decoded(source), "The data URL", max_bytes)
    if isinstance(source, (str, Path)):
        return _data_url(_read(Path(source), max_bytes), str(source), max_bytes)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _data_url(bytes(source), "The image", max_bytes)
    return _data_url(_png(source), "The image", max_bytes)


def _read(path: Path, max_bytes: int) -> bytes:
    """Return a file's content; no more than a byte beyond the limit is read, since a device has no end."""
    try:
        with path.expanduser().open("rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > max_bytes:
                raise _too_large(str(path), size, max_bytes)
            return file.read(max(max_bytes, 0) + 1)
    except (OSError, ValueError, RuntimeError) as error:  # also: a null byte, no home folder
        why = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be read ({why}); check the path.") from error


def _decoded(data_url: str) -> bytes:
    head, _, data = data_url.partition(",")
    if not head.endswith(";base64"):
        raise ImageError("The data URL is not base64; write it as data:image/png;base64,...")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise ImageError("The data URL holds invalid base64; encode the picture again.") from error


def _png(source: Any) -> bytes:
    from PIL import Image

    image = source if isinstance(source, Image.Image) else _from_array(source)
    if 0 in image.size:
        raise ImageError("The image has no pixels; send a picture.")
    buffer = io.BytesIO()
    image.convert("RGBA" if image.has_transparency_data else "RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _from_array(array: Any) -> "Image":
    from PIL import Image

    shape, dtype = getattr(array, "shape", None), str(getattr(array, "dtype", ""))
    if shape is None:
        raise ImageError(f"A {type(array).__name__} is no image; pass a path, URL, bytes, array or PIL image.")
    right_shape = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    if dtype != "uint8" or not right_shape or 0 in shape:
        raise ImageError(
            f"The array has shape {shape} and type {dtype}; it must be uint8, (height, width) or (height, width, 3 or 4)."
        )
    return Image.fromarray(array)


def _data_url(data: bytes, name: str, max_bytes: int) -> str:
    if not data:
        raise ImageError(f"{name} is empty; send a picture.")
    if len(data) > max_bytes:
        raise _too_large(name, len(data), max_bytes)
    return f"data:{_mime_type(data, name)};base64,{base64.b64encode(data).decode()}"


def _too_large(name: str, size: int, max_bytes: int) -> ImageError:
    return ImageError(f"{name} has {size} bytes, and the limit is {max_bytes}; make it smaller.")


def _mime_type(data: bytes, name: str) -> str:
    """Return the type by the data itself: a file's ending may lie. No pixel is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return _MIME_TYPES[str(image.format)]
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(f"{name} has more than {Image.MAX_IMAGE_PIXELS} pixels; make it smaller.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{name} is no PNG, JPEG, WebP or GIF picture; convert it to one of them.") from error
