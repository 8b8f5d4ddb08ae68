"""Draws every picture of docs/images, as the program draws it today: `make pictures`. All of them show the sample
images that come with the package, so nothing else is needed but Chromium for the pictures of pages. The networks are
the same bytes each time on CPUs of one instruction set; docs/images/drawn_with.txt says which set drew the pictures,
and with which programs. tests/test_pictures.py draws them again and says which one is older than what it shows.
"""

import base64
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cnncli import kernels  # noqa: E402
from tests.report.browser import started  # noqa: E402

IMAGES = ROOT / "docs" / "images"
DRAWN_WITH = IMAGES / "drawn_with.txt"
BAG, MISTAKEN = "images/test/bag/00801.png", "images/test/sneaker/00772.png"
# Each command in its turn. `demo` is the network that `make demo` trains; `resnet8` has layers of several sizes.
COMMANDS = f"""
sample images
train images --arch lenet5 --epochs 12 --name demo
test images -m runs/demo
visualize-filters {BAG} -m runs/demo --out pictures
explain {BAG} -m runs/demo --out pictures
explain {MISTAKEN} -m runs/demo --out pictures
explain -m runs/demo --units relu2:0-2 --out pictures
page images -m runs/demo
train images --arch resnet8 --epochs 8 --name resnet8
explain {BAG} -m runs/resnet8 --out coarse
explain {BAG} -m runs/resnet8 --method layercam --layer layer2.0.relu --out fine
"""
# Where the commands leave each picture.
DRAWINGS = {
    "curves.png": "runs/demo/curves.png",
    "confusion.png": "runs/demo/confusion.png",
    "mistakes.png": "runs/demo/mistakes.png",
    "filters.png": "pictures/filters-conv1.png",
    "activations.png": "pictures/activations-00801.png",
    "explained.png": "pictures/explained-00801.png",
    "explained-wrong.png": "pictures/explained-00772.png",
    "explained-coarse.png": "coarse/explained-00801.png",
    "explained-fine.png": "fine/explained-00801.png",
    "units.png": "pictures/units-relu2.png",
}


@dataclass(frozen=True)
class Screen:
    """What a picture shows of a page: columns of parts, each from the top of one element to the end of another."""

    page: str
    width: int  # of the window
    columns: list[list[tuple[str, str]]]
    script: str = ""  # JavaScript that brings the page to what is shown; it may await
    scale: float = 1.0  # pixels of the picture for each of the window


# A page says how long it computed: not the same each time, so the pictures say what docs/page.md does.
# A page is quiet when its worker has owed it nothing for half a second.
QUIET = """
        for (let still = 0; still < 10; still = waiting.size ? 0 : still + 1) {
            await new Promise((done) => setTimeout(done, 50));
        }"""
TIMED = f"""await ready; {QUIET}
        byId('time').textContent = 'Computed in 0.4 ms.';"""
SCREENS = {
    "report.png": Screen("runs/demo/report.html", 660, [
        [("h1", "#accuracy > .faint"), ("#matrix h2", "#matrix h2"), ("#around", "#around")],
        [("#worst h2", "#worst figure:nth-of-type(4)")]]),
    "page.png": Screen("runs/demo/page.html", 800, [[("h1", "#samples")]], TIMED, 1.5),
    "page-number.png": Screen("runs/demo/page.html", 1000, [[("#number", "#number")]], TIMED + """
        document.querySelector("#samples button:nth-of-type(4)").click();""" + QUIET + """
        await showNumber(layerOf.get("conv2"), (9 * 10 + 9) * 16 + 4);""" + QUIET + """
        document.activeElement.blur();""", 1.5),
}


def draw(folder: Path) -> dict[str, Image.Image]:
    """Draw everything, with what belongs to it in a folder; return the pictures by their names in docs/images."""
    for line in COMMANDS.strip().splitlines():
        print("$ cnn", line, flush=True)
        subprocess.run([sys.executable, "-m", "cnncli", *line.split()], cwd=folder, check=True, env={
            "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)})
    pictures = {name: Image.open(folder / path) for name, path in DRAWINGS.items()}
    for picture in pictures.values():
        picture.load()
    with started() as browser:
        for name, screen in SCREENS.items():
            print(name, flush=True)
            pictures[name] = small(photograph(browser, folder, screen))
    return pictures


def photograph(browser: Any, folder: Path, screen: Screen) -> Image.Image:
    """Return what a browser shows of a page."""
    browser.open(folder / screen.page, (screen.width, 900))
    height = browser.run("return document.documentElement.scrollHeight")  # all of it, so that nothing has to scroll
    browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": screen.width, "height": height, "deviceScaleFactor": screen.scale, "mobile": False})
    browser.run(f"return (async () => {{ {screen.script} }})().then(() => document.fonts.ready).then(() => true)")
    columns = [list(shots(browser, parts)) for parts in screen.columns]
    heights = [sum(shot.height for shot in shots) for shots in columns]
    sheet = Image.new("RGB", (sum(shots[0].width for shots in columns), max(heights)), "white")
    left = 0
    for column in columns:
        top = 0
        for shot in column:
            sheet.paste(shot, (left, top))
            top += shot.height
        left += column[0].width
    return sheet


def shots(browser: Any, parts: list[tuple[str, str]]) -> Iterator[Image.Image]:
    """Yield a picture of each part, as wide as the window or as the dialog that the part is."""
    margin = 12
    for first, last in parts:
        left, top, right, bottom = browser.run("""
            const [first, last] = [arguments[0], arguments[1]].map((name) => document.querySelector(name));
            const begin = first.getBoundingClientRect(), end = last.getBoundingClientRect();
            return first.tagName === "DIALOG" ? [begin.left, begin.top, begin.right, begin.bottom]
                : [0, begin.top - arguments[2], innerWidth, end.bottom + arguments[2]]""", first, last, margin)
        shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": {
            "x": left, "y": top, "width": right - left, "height": bottom - top, "scale": 1}})
        yield Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


def small(image: Image.Image) -> Image.Image:
    """Return an image with 256 colours, chosen so that rare ones, such as that of a word, are among them."""
    colours, counts = np.unique(np.asarray(image).reshape(-1, 3), axis=0, return_counts=True)
    chosen = np.repeat(colours, np.minimum(counts, 3000), axis=0)[None]
    return image.quantize(palette=Image.fromarray(chosen).quantize(256), dither=Image.Dither.NONE)


def drawn_with() -> str:
    """Return what the pictures depend on beside the package."""
    chromium = subprocess.run(["chromium", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return "".join(f"{name} {value}\n" for name, value in {
        "instructions": kernels.active_isa(), "chromium": chromium,
        **{package: version(package) for package in ("matplotlib", "pillow")}}.items())


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory() as name:
        pictures = draw(Path(name))
        for path in IMAGES.glob("*.png"):
            path.unlink()
        for picture, image in pictures.items():
            image.save(IMAGES / picture, optimize=True)
    DRAWN_WITH.write_text(drawn_with(), encoding="utf-8")


if __name__ == "__main__":
    main()
