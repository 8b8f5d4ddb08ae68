"""data/encoded.py and finding.py: images in memory that are no arrays. Each gives the numbers that its file gives."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.finding import Encoded, Missing, image_files
from cnncli.data.pixels import as_pictures
from cnncli.errors import DataError, ImageError, UsageError

from ..small_model import small_model

COLOUR = Image.fromarray(np.random.default_rng(3).integers(0, 256, (24, 20, 3), np.uint8))
GREY = COLOUR.convert("L")
TURNED = Image.Exif()
TURNED[274] = 6
SEEN_THROUGH = COLOUR.copy()
SEEN_THROUGH.putalpha(GREY)
DEEP = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
FLOATS = Image.fromarray(np.asarray(GREY).astype(np.float32) / 255)
FILES: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "palette.png": (COLOUR.quantize(16), {}), "holes.gif": (COLOUR.quantize(16), {"transparency": 3}),
    "holes.png": (COLOUR, {"transparency": COLOUR.getpixel((0, 0))}), "rgba.png": (SEEN_THROUGH, {}),
    "la.png": (SEEN_THROUGH.convert("LA"), {}), "bits.png": (GREY.convert("1"), {}), "grey.jpg": (GREY, {}),
    "turned.jpg": (COLOUR, {"exif": TURNED}), "turned.png": (SEEN_THROUGH, {"exif": TURNED}),
    "inks.jpg": (COLOUR.convert("CMYK"), {}), "lab.tif": (Image.merge("LAB", COLOUR.split()), {}),
    "turned.tif": (COLOUR, {"exif": TURNED}), "deep.png": (DEEP, {}), "deep.tif": (DEEP, {}), "float.tif": (FLOATS, {}),
    "rgba.webp": (SEEN_THROUGH, {"lossless": True}), "large.jpg": (COLOUR.resize((300, 240)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_bytes_open_files_and_images_of_pillow_give_what_their_file_gives(tmp_path: Path, name: str) -> None:
    image, options = FILES[name]
    path = tmp_path / name
    image.save(path, **options)
    model, data = small_model(), path.read_bytes()
    [expected] = model.predict(path)
    assert expected.error is None
    with open(path, "rb") as file:
        file.read(10)  # who looked into it has not moved its beginning
        given = [data, bytearray(data), memoryview(data), io.BytesIO(data), file]
        if name != "large.jpg":  # of which Pillow has no smaller copy
            given.append(Image.open(io.BytesIO(data)))
        answers = [*model.predict(given), *(model.predict(each)[0] for each in given)]
    assert [answer.top for answer in answers] == [expected.top] * len(answers)
    assert [answer.path for answer in answers] == [f"images[{i}]" for i in range(len(given))] + ["images[0]"] * len(
        given)


def test_what_is_none_is_told_in_its_place() -> None:
    cut = io.BytesIO()
    COLOUR.save(cut, "PNG")
    torn = Image.open(io.BytesIO(cut.getvalue()[:200]))
    answers = small_model().predict([b"", b"no image", COLOUR, torn, COLOUR.crop((0, 0, 0, 5))])
    assert [answer.error for answer in answers[:2]] == [
        "images[0] cannot be used: it is empty.",
        "images[1] cannot be used: its content is not PNG, JPEG, BMP, GIF, TIFF or WebP."]
    assert answers[2].error is None
    assert str(answers[3].error).startswith("images[3] cannot be used: it is damaged or cut short (")
    assert answers[4].error == "images[4] cannot be used: it has no pixels."
    with pytest.raises(UsageError, match=r"opened as text; open it with open\(path, 'rb'\)"):
        image_files(io.StringIO("text"))  # type: ignore[arg-type]
    closed = io.BytesIO(b"")
    closed.close()
    [gone] = image_files(closed)
    assert isinstance(gone, Missing)


def test_the_image_itself_is_not_changed_and_is_one_of_arrays_too() -> None:
    image = COLOUR.quantize(16)
    before = image.tobytes(), image.mode, dict(image.info)
    [found] = image_files(image)
    assert isinstance(found, Encoded)
    assert np.array_equal(found.pixels, image.convert("RGB"))
    assert np.array_equal(as_pictures([image], "x")[0], found.pixels)
    assert before == (image.tobytes(), image.mode, dict(image.info))
    with pytest.raises(ImageError, match=r"^x\[0\] cannot be used: its content is not PNG"):
        as_pictures([b"no image"], "x")


@pytest.mark.parametrize("channels", [2, 4])
def test_an_image_with_transparency_is_no_stack_of_grey_images(channels: int) -> None:
    given = np.zeros((40, 40, channels), np.uint8)
    [found] = image_files([given])
    assert isinstance(found, Missing)
    assert "looks like an image with transparency; convert it" in found.error
    for images in (given, given[None]):
        with pytest.raises(DataError, match=rf"40, {channels}\).*looks like an image with transparency; convert it"):
            image_files(images)
    assert len(image_files(given[..., None])) == 40  # as the message advises
    assert len(image_files(np.zeros((40, 4, 4), np.uint8))) == 40
