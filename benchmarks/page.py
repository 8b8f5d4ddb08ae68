"""How fast and how large the pages of `cnn page` are, in headless Chromium, driven by its chromedriver and selenium:

    python -m benchmarks.page [--images 30]

For each network, with weights drawn anew: the page's size, how long it takes until it can judge, and the median time of
an image. docs/page.md has the outcome.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from cnncli import Model, architecture, write_page
from cnncli.data import Preprocessing

NETWORKS = {"lenet5": (28, 28, 1), "resnet20": (32, 32, 3), "efficientnet_lite0": (224, 224, 3)}
JUDGE = """const [height, width, count] = arguments, times = [];
    const bytes = Uint8Array.from({ length: 4 * height * width }, (_, i) => i * 37 % 256);
    const turn = () => ask('judge', bytes, height, width).then((found) => {
        times.push(found.milliseconds);
        return times.length < count ? turn() : times; });
    return turn();"""


def browser() -> Any:
    """Return a headless Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def measure(driver: Any, folder: Path, name: str, images: int) -> None:
    """Print a network's row."""
    shape = NETWORKS[name]
    model = Model(architecture(name, shape, 10), [str(i) for i in range(10)], Preprocessing(shape[:2], shape[2] == 1))
    path = folder / f"{name}.html"
    made = write_page(model, (), path)
    begun = time.perf_counter()
    driver.get(path.as_uri())
    driver.execute_script("return ready.then(() => 1)")
    ready = time.perf_counter() - begun
    times = driver.execute_script(JUDGE, *shape[:2], images)
    network = driver.execute_script("return byId('given').textContent.length + byId('weights').textContent.length")
    print(f"{name:20} {made.bytes / 1e6:6.2f} MB, {(made.bytes - network) / 1000:.1f} kB of it engine, script and "
          f"style; ready after {ready:4.2f} s; an image {statistics.median(times):6.1f} ms (of {images}; fastest "
          f"{min(times):.1f})")


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=30)
    options = parser.parse_args()
    engine = (Path(__file__).parents[1] / "cnncli/page/engine.wasm").stat().st_size
    print(f"engine {engine / 1000:.1f} kB, in the page {engine * 4 / 3000:.1f}")
    driver = browser()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in NETWORKS:
                measure(driver, Path(folder), name, options.images)
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
