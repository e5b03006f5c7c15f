"""Image data URLs -> what the endpoint sees in them."""

import base64
import colorsys
import functools
import io
import math
import re
import threading
import warnings
from collections import Counter
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from .problems import Problem, bad_request

_DATA_URL = re.compile(r"data:image/(?:png|jpe?g|webp|gif);base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
# The pixels of a picture whose decoding takes at most some 200 MB, however small its file is: libwebp has four copies,
# and libjpeg keeps all coefficients of a progressive picture.
# (Pillow calls a JPEG with further pictures behind the first one MPO.)
_MAX_PIXELS = {"PNG": 25_000_000, "JPEG": 25_000_000, "MPO": 25_000_000, "WEBP": 12_500_000, "GIF": 25_000_000}
_DECODING = threading.Lock()  # so that as many requests as there are threads take no more than one
_SAMPLE = 64  # the side, in pixels, of the thumbnail whose colours are counted

# Where one basic hue ends and the next begins, in degrees of the HSV colour wheel.
_HUES = ((15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (260, "blue"), (320, "purple"), (345, "pink"))


@dataclass(frozen=True)
class Picture:
    """Describe a decoded picture: width and height in pixels, and its dominant colour's name."""

    width: int
    height: int
    colour: str

    @property
    def tokens(self) -> int:
        """Return what the picture costs: 85 tokens, and 170 for each tile of 512 x 512 pixels.

        Source: OpenAI's vision guide, "high detail": fit into 2048 x 2048 pixels, then scale
        the shorter side down to 768.
        """
        scale = min(1, 2048 / max(self.width, self.height))
        scale = min(scale, 768 / min(self.width, self.height))
        tiles = math.ceil(self.width * scale / 512) * math.ceil(self.height * scale / 512)
        return 85 + 170 * tiles


def look(url: str, param: str) -> Picture:
    """Decode the data URL `url` and describe it; `param` names its place in the request.

    Raises Problem (400) for anything that is not a PNG, JPEG, WebP or GIF that decodes.
    Only the first frame of an animation is looked at.
    """
    if re.match(r"https?:|file:|ftp:", url, re.IGNORECASE):
        raise bad_request(
            "The embedded endpoint never fetches a URL. Send the image as a data URL (data:image/png;base64,...).",
            param,
            "invalid_image_url",
        )
    match = _DATA_URL.fullmatch(url)
    if match is None:
        raise _broken("is not a base64 data URL of type image/png, image/jpeg, image/webp or image/gif", param)
    try:
        data = base64.b64decode(match["data"], validate=True)
    except ValueError as error:  # not base64, or not even ASCII
        raise _broken("is not valid base64", param) from error
    return _describe(*_decode(data, param))


def _decode(data: bytes, param: str) -> tuple[tuple[int, int], Image.Image]:
    """Return the size of a picture, and a thumbnail of it; the whole picture is in memory once, and no other is."""
    try:
        with _DECODING, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            size, limit = image.size, _MAX_PIXELS[str(image.format)]
            if size[0] * size[1] > limit:
                raise _broken(f"has more than {limit} pixels", param)
            image.draft(None, (_SAMPLE, _SAMPLE))  # a JPEG is decoded at an eighth of its size
            return size, image.resize((_SAMPLE, _SAMPLE), Image.Resampling.NEAREST)
    except UnidentifiedImageError as error:
        raise _broken("is not a PNG, JPEG, WebP or GIF picture", param) from error
    # Pillow's decoders raise these, and no common base, for data that is cut or corrupt.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise _broken("is broken: it does not decode", param) from error


def _broken(state: str, param: str) -> Problem:
    return bad_request(f"The image {state}.", param, "invalid_image")


def _describe(size: tuple[int, int], thumbnail: Image.Image) -> Picture:
    opaque = Image.new("RGBA", thumbnail.size, "white")
    opaque.alpha_composite(thumbnail.convert("RGBA"))
    data = opaque.convert("RGB").tobytes()
    colours = Counter(_name(*data[i : i + 3]) for i in range(0, len(data), 3))
    return Picture(*size, colours.most_common(1)[0][0])


@functools.lru_cache(maxsize=4096)
def _name(red: int, green: int, blue: int) -> str:
    """Name an RGB colour (0 to 255 each) with one of the basic colour terms."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.2:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.85 else "gray"
    degrees = hue * 360
    name = next((name for end, name in _HUES if degrees < end), "red")
    return "brown" if name == "orange" and value < 0.65 else name
