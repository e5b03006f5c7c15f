"""A picture whose file is small costs the endpoint little, whatever it decodes to."""

import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scillm_helpers.endpoint.pictures import Picture, look
from scillm_helpers.endpoint.problems import Problem

MOST = 300  # MB that looking at one picture, or at several at once, may take

# In a process of its own: what Linux counts as a process's peak never falls.
PEAK = """
import resource, sys, threading
from scillm_helpers.endpoint import pictures
from scillm_helpers.endpoint.problems import Problem
def look(url):
    try:
        print(pictures.look(url, "image"))
    except Problem as problem:
        print(problem)
url = sys.stdin.read()
pictures.look("data:image/png;base64," + sys.argv[2], "image")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
threads = [threading.Thread(target=look, args=[url]) for _ in range(int(sys.argv[1]))]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

# What a file's pixels may be: its format, how it is saved, and its side in pixels.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png-1": ("1", "PNG", {}),
    "png-p": ("P", "PNG", {}),
    "png-rgba": ("RGBA", "PNG", {}),
    "jpeg": ("RGB", "JPEG", {}),
    "jpeg-progressive": ("CMYK", "JPEG", {"progressive": True}),
    "gif": ("P", "GIF", {}),
    "webp": ("RGB", "WEBP", {"lossless": True, "method": 0}),
}


def _saved(kind: str, side: int, **more: Any) -> bytes:
    mode, format, options = KINDS[kind]
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, format, **options, **more)
    return file.getvalue()


def _url(data: bytes, kind: str) -> str:
    return f"data:image/{kind.partition('-')[0]};base64,{base64.b64encode(data).decode()}"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts a process's peak in KiB")
@pytest.mark.parametrize(("kind", "side"), [(kind, side) for kind in KINDS for side in (3500, 5000, 6300)])
def test_small_file_costs_little(kind: str, side: int) -> None:
    """One below the limit, one at that of most formats, and one beyond."""
    assert _peak(_url(_saved(kind, side), kind), 1) < MOST


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts a process's peak in KiB")
def test_pictures_are_decoded_one_at_a_time() -> None:
    """Eight requests at once cost no more than one."""
    assert _peak(_url(_saved("png-rgba", 3500), "png"), 8) < MOST


def _peak(url: str, count: int) -> int:
    """Return the MB that looking at a picture in so many threads takes."""
    small = base64.b64encode(_saved("png-p", 8)).decode()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(count), small], input=url, capture_output=True, text=True, check=True
    )
    *looked, peak = done.stdout.splitlines()
    assert len(looked) == count
    return int(peak)


@pytest.mark.parametrize("side", [6300, 20_000, 65_535])
def test_too_many_pixels_are_refused_unseen(side: int) -> None:
    """By the head of the file, before any pixel of it is decoded: this one has none."""
    data = _saved("gif", 8)
    data = data[:6] + side.to_bytes(2, "little") * 2 + data[10:]
    with pytest.raises(Problem) as refused:
        look(_url(data, "gif"), "image")
    assert refused.value.status == 400
    assert refused.value.body["error"]["code"] == "invalid_image"


@pytest.mark.parametrize("kind", KINDS)
def test_size_is_that_of_the_whole_picture(kind: str) -> None:
    """Though a JPEG is decoded at a part of it."""
    seen = look(_url(_saved(kind, 1000), kind), "image")
    assert (seen.width, seen.height) == (1000, 1000)


def test_only_the_first_picture_of_several_is_looked_at(tmp_path: Path) -> None:
    """An animation, and a JPEG as phones write it."""
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    for format, mime in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png"), ("MPO", "jpeg")):
        file = io.BytesIO()
        red.save(file, format, save_all=True, append_images=[blue])
        assert look(_url(file.getvalue(), mime), "image") == Picture(8, 8, "red")
