"""Draws the guide's pictures of the sample images anew, as the program draws them today: `make pictures` trains the
network of `make demo`, which is the same bytes each time on CPUs of one instruction set, runs the commands that the
pages show, and writes docs/images. Screens of pages need Chromium. Pictures of photographs and of CIFAR-10
(explained-boots*.png, explained-deer*.png) need images that do not come with the package; docs/explaining.md says of
each which command made it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
BAG = "images/test/bag"
SCREENS = {"report.png": ("report.html", 900, 1180), "page.png": ("page.html", 804, 1180)}
SECONDS = 6  # until a page has computed what it shows


def cnn(folder: Path, *words: str) -> None:
    """Run a command of the program there."""
    print("$ cnn", *words, flush=True)
    subprocess.run([sys.executable, "-m", "cnncli", *words], cwd=folder, check=True, env={
        "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)})


def drawn(folder: Path) -> dict[str, Path]:
    """Draw everything; return where each picture lies."""
    cnn(folder, "sample", "images")
    cnn(folder, "train", "images", "--arch", "lenet5", "--epochs", "12", "--name", "demo")
    cnn(folder, "test", "images")
    bag = sorted((folder / BAG).glob("*.png"))[0]
    cnn(folder, "inspect", "--out", "filters")
    cnn(folder, "visualize-filters", str(bag), "--out", "pictures")
    cnn(folder, "explain", str(bag), "--out", "pictures")
    cnn(folder, "explain", "--units", "relu2:0-2", "--out", "units")
    cnn(folder, "page", "images")
    run = folder / "runs" / "demo"
    return {**{name: run / name for name in ("curves.png", "confusion.png", "mistakes.png")},
            "filters.png": folder / "pictures" / "filters-conv1.png",
            "activations.png": folder / "pictures" / f"activations-{bag.name}",
            "explained.png": folder / "pictures" / f"explained-{bag.name}",
            "units.png": folder / "units" / "units-relu2.png"}


def screen(page: Path, width: int, height: int, to: Path) -> None:
    """Write what a browser shows of a page's beginning."""
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{height}",
                    f"--timeout={1000 * SECONDS}", f"--screenshot={to}", page.as_uri()],
                   check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for picture, path in drawn(folder).items():
            shutil.copyfile(path, IMAGES / picture)
        for picture, (page, width, height) in SCREENS.items():
            screen(folder / "runs" / "demo" / page, width, height, IMAGES / picture)


if __name__ == "__main__":
    main()
