"""Files that are given to a page: the same answer as `cnn predict` for every kind that a browser reads, and a sentence
for what is no picture, too large a picture, or one of a kind that it does not read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.page import write_page

from .test_page_browser import model_of, opened, waited

pytestmark = pytest.mark.slow
HEARD = "window.heard = null; onAnswer((found) => { heard = found; }); byId('said').textContent = ''"
SAID = """return new Promise((done) => { const look = () => { const words = byId('said').textContent;
    if (words) done([words, heard && [...heard.probabilities]]); else setTimeout(look, 20); }; look(); })"""
ORIENTATION = 0x0112
NO_PICTURE = " is no image that this browser can read; choose a PNG, JPEG, WebP or GIF file."


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """A smooth picture with some noise, 64 x 90, with no symmetry."""
    rows, columns = np.mgrid[0:90, 0:64]
    tones = [128 + 60 * np.sin(rows / 5 + k) + 40 * np.cos(columns / (3 + k)) + rows / 3 for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 5, (90, 64, 3))
    return Image.fromarray((np.stack(tones, axis=2) + noise).clip(0, 255).astype(np.uint8))


def rotated(image: Image.Image, orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return {"exif": exif, "quality": 92}


def translucent(image: Image.Image) -> Image.Image:
    alpha = np.add.outer(np.arange(90), np.arange(64)) * 255 // 152
    return Image.fromarray(np.dstack([np.asarray(image), alpha.astype(np.uint8)]))


def of_16_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)


KINDS: dict[str, Any] = {
    "plain.jpg": lambda i, path: i.save(path, quality=92),
    "progressive.jpg": lambda i, path: i.save(path, quality=92, progressive=True),
    "cmyk.jpg": lambda i, path: i.convert("CMYK").save(path, quality=95),
    "grey.jpg": lambda i, path: i.convert("L").save(path),
    **{f"exif{n}.jpg": lambda i, path, n=n: i.save(path, **rotated(i, n)) for n in range(2, 9)},
    "exif6.png": lambda i, path: i.save(path, exif=rotated(i, 6)["exif"]),
    "alpha.png": lambda i, path: translucent(i).save(path),
    "alpha.webp": lambda i, path: translucent(i).save(path, lossless=True),
    "grey and alpha.png": lambda i, path: translucent(i).convert("LA").save(path),
    "palette.png": lambda i, path: i.quantize(60).save(path, transparency=3),
    "one transparent colour.png": lambda i, path: i.save(path, transparency=i.getpixel((5, 5))),
    "bits.png": lambda i, path: i.convert("1").save(path),
    "deep.png": lambda i, path: of_16_bits(i).save(path),
    "moving.gif": lambda i, path: i.quantize(50).save(path, save_all=True, append_images=[i.rotate(180).quantize(50)]),
    "moving.webp": lambda i, path: i.save(path, save_all=True, append_images=[i.rotate(180)], lossless=True),
    "moving.png": lambda i, path: i.save(path, save_all=True, append_images=[i.rotate(180)]),
    "a.bmp": lambda i, path: i.save(path),
    "very wide.png": lambda i, path: Image.fromarray(np.tile(np.asarray(i), (1, 300, 1))).save(path),
}


@pytest.mark.parametrize("name", ["resnet8", "lenet5"])
def test_every_kind_of_file_has_the_answer_of_predict(name: str, image: Image.Image, browser: Any, tmp_path: Path
                                                      ) -> None:
    model = model_of(name)
    write_page(model, (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    for kind, save in KINDS.items():
        save(image, tmp_path / kind)
        [wanted] = cnncli.predict(model, [str(tmp_path / kind)])
        waited(browser, HEARD, 0)
        browser.find("#chooser").send_keys(str(tmp_path / kind))
        words, probabilities = browser.run(SAID)
        width, height = (64, 90) if not kind.startswith(("exif5", "exif6", "exif7", "exif8")) else (90, 64)
        assert words == f"{kind}, {19200 if kind.startswith('very') else width} x {height} pixels.", kind
        assert model.classes[int(np.argmax(probabilities))] == wanted.label, kind
        assert max(probabilities) == pytest.approx(wanted.probability, abs=1e-5), kind
    assert browser.errors() == []


def test_what_cannot_be_judged_is_said_and_changes_nothing(image: Image.Image, browser: Any, tmp_path: Path) -> None:
    write_page(model_of("lenet5"), (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    image.save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    bad = {"letter.png": b"Dear all", "empty.png": b"", "cut.jpg": whole[:1000]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    image.save(tmp_path / "a.tif")
    Image.fromarray(np.zeros((9000, 12000), np.uint8)).save(tmp_path / "huge.png")
    sentences = {**{name: f"{name}{NO_PICTURE}" for name in [*bad, "a.tif"]},
                 "huge.png": "huge.png cannot be judged: its 12000 x 9000 pixels are more than 100 megapixels."}
    for name, sentence in sentences.items():
        waited(browser, HEARD, 0)
        browser.find("#chooser").send_keys(str(tmp_path / name))
        assert browser.run(SAID) == [sentence, None]
    assert browser.errors() == []


DROP = """const [kind, name, type, content] = arguments, transfer = new DataTransfer();
    if (name) transfer.items.add(new File([content], name, { type }));
    else transfer.setData('text/plain', content);
    const event = kind === 'drop' ? new DragEvent('drop', { dataTransfer: transfer, cancelable: true, bubbles: true })
        : new ClipboardEvent('paste', { clipboardData: transfer, cancelable: true, bubbles: true });
    document.querySelector('main').dispatchEvent(event);
    return event.defaultPrevented"""


def test_what_is_dropped_or_pasted_and_no_picture(browser: Any, tmp_path: Path) -> None:
    """The browser does not open it instead of the page, either."""
    write_page(model_of("lenet5"), (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    waited(browser, HEARD, 0)
    assert browser.run(DROP, "drop", "notes <b>.txt", "text/plain", "Dear all") is True
    assert browser.run(SAID) == [f"notes <b>.txt{NO_PICTURE}", None]
    waited(browser, HEARD, 0)
    browser.run(DROP, "paste", "a.html", "text/html", "<p>")
    assert browser.run(SAID) == [f"the pasted image{NO_PICTURE}", None]
    waited(browser, HEARD, 0)
    browser.run(DROP, "paste", "", "", "words alone")  # as into the field for a class's name
    assert waited(browser, "return byId('said').textContent") == ""
    browser.run(DROP, "drop", "", "", "words alone")
    assert waited(browser, "return byId('said').textContent") == "This is no image file. Drop an image file."
    assert browser.errors() == []
