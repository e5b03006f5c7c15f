import base64
import io
import zlib
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from scillm_helpers.errors import ImageError
from scillm_helpers.images import DEMO_IMAGE, image_part


def _encoded(kind: str = "PNG", colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, kind)
    return buffer.getvalue()


def _url(source: Any, **options: Any) -> str:
    part = image_part(source, **options)
    assert part["type"] == "image_url"
    return str(part["image_url"]["url"])


def _sent(source: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(_url(source).partition(",")[2])))


@pytest.mark.parametrize(
    ("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
def test_file_and_bytes_keep_their_bytes_and_their_type(tmp_path: Path, kind: str, mime: str) -> None:
    """The type is told from the data: this file's ending lies."""
    (tmp_path / "picture.txt").write_bytes(_encoded(kind))
    expected = f"data:{mime};base64,{base64.b64encode(_encoded(kind)).decode()}"
    assert _url(tmp_path / "picture.txt") == _url(str(tmp_path / "picture.txt")) == _url(_encoded(kind)) == expected
    assert _url(expected) == expected


def test_url_is_passed_on() -> None:
    """The provider fetches it, not this process."""
    assert _url("https://example.com/a.png") == "https://example.com/a.png"


def test_array_and_pil_image_are_sent_as_png() -> None:
    """Gray, colour and transparent pictures arrive as what they show."""
    colour = numpy.zeros((4, 6, 3), dtype="uint8")
    colour[..., 1] = 200
    assert _sent(colour).size == (6, 4)
    assert _sent(colour).getpixel((0, 0)) == (0, 200, 0)
    assert _sent(numpy.full((4, 6), 9, dtype="uint8")).getpixel((0, 0)) == (9, 9, 9)
    assert _sent(Image.new("RGBA", (2, 2), (1, 2, 3, 0))).getpixel((0, 0)) == (1, 2, 3, 0)
    assert _sent(Image.new("CMYK", (2, 2))).mode == "RGB"


def test_demo_image_can_be_sent() -> None:
    """The project ships a picture."""
    assert _url(DEMO_IMAGE).startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.png", r"missing\.png cannot be read \(No such file or directory\); check the path"),
        (Path("."), r"cannot be read \(Is a directory\)"),
        (b"", "The image is empty; send a picture"),
        (b"%PDF-1.7", "no PNG, JPEG, WebP or GIF picture; convert it"),
        ("data:image/png;base64,@@", "invalid base64; encode the picture again"),
        ("data:image/png,abc", "is not base64"),
        (numpy.zeros((4, 4), dtype="float64"), r"shape \(4, 4\) and type float64; it must be uint8"),
        (numpy.zeros((4, 4, 2), dtype="uint8"), r"shape \(4, 4, 2\)"),
        (numpy.zeros((0, 4), dtype="uint8"), r"shape \(0, 4\)"),
        ("x\0y", "cannot be read"),
        (Image.new("RGB", (0, 0)), "has no pixels"),
        (42, "A int is no image; pass a path, URL, bytes, array or PIL image"),
    ],
)
def test_what_cannot_be_sent_is_one_line(source: Any, message: str) -> None:
    """Each wrong source says what it is and what to do."""
    with pytest.raises(ImageError, match=message) as caught:
        image_part(source)
    assert "\n" not in str(caught.value)


def test_empty_and_wrong_files_are_named(tmp_path: Path) -> None:
    """A file that is no picture is named in the message."""
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ImageError, match=r"empty\.png is empty"):
        image_part(tmp_path / "empty.png")
    with pytest.raises(ImageError, match=r"text\.png is no PNG"):
        image_part(tmp_path / "text.png")


def test_size_limit_holds() -> None:
    """A picture over the limit is refused, one at the limit is not."""
    data = _encoded()
    assert _url(data, max_bytes=len(data))
    with pytest.raises(ImageError, match=rf"has {len(data)} bytes, and the limit is 10; make it smaller"):
        image_part(data, max_bytes=10)


def _claiming(side: int) -> bytes:
    """Return a PNG image whose head claims `side` x `side` pixels."""
    encoded = bytearray(_encoded())
    encoded[16:24] = side.to_bytes(4, "big") * 2
    encoded[29:33] = zlib.crc32(encoded[12:29]).to_bytes(4, "big")
    return bytes(encoded)


@pytest.mark.parametrize("side", [10_000, 20_000, 60_000])
def test_decompression_bomb_is_refused(side: int) -> None:
    """Pillow warns of the first, and raises what is no error of ours for the others."""
    with pytest.raises(ImageError, match=r"^The image has more than \d+ pixels; make it smaller\.$"):
        _url(_claiming(side))


def test_several_pictures_in_a_jpeg_are_one(tmp_path: Path) -> None:
    """Phones write them; Pillow has another name for the format."""
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    assert _url(tmp_path / "a.jpg").startswith("data:image/jpeg;base64,")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_file_without_end_is_refused() -> None:
    """No more of it is read than is needed to see that."""
    with pytest.raises(ImageError, match="and the limit is 10;"):
        _url("/dev/zero", max_bytes=10)
