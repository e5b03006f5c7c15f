"""Image data URLs -> what the endpoint sees in them."""

import base64
import colorsys
import functools
import io
import math
import re
import warnings
from collections import Counter
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from .problems import Problem, bad_request

_DATA_URL = re.compile(r"data:image/(?:png|jpe?g|webp|gif);base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_MAX_PIXELS = 40_000_000
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
    return _describe(_decode(data, param))


def _decode(data: bytes, param: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > _MAX_PIXELS:
                raise _broken(f"has more than {_MAX_PIXELS} pixels", param)
            image.load()
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
    return image


def _broken(state: str, param: str) -> Problem:
    return bad_request(f"The image {state}.", param, "invalid_image")


def _describe(image: Image.Image) -> Picture:
    opaque = Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    small = opaque.convert("RGB").resize((_SAMPLE, _SAMPLE), Image.Resampling.NEAREST)
    data = small.tobytes()
    colours = Counter(_name(*data[i : i + 3]) for i in range(0, len(data), 3))
    return Picture(image.width, image.height, colours.most_common(1)[0][0])


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
