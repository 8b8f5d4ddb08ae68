"""C without floats on the kind of machine that it is for: a Cortex-M3 under QEMU, with the memory that was named and no
library at all. It yields the very numbers that it yields here.

What is not installed is not asked for: these tests are skipped, and say what is missing."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.export.calls_int8 import UNIT
from cnncli.export.csource_int8 import IntegerC, to_integer_c
from cnncli.network import Network

from .cases import network_of
from .quantised import noise, quantised
from .test_csource_int8 import BLOCK, MIXED

MISSING = [name for name in ("clang", "ld.lld", "qemu-system-arm") if shutil.which(name) is None]
REASON = f"{', '.join(MISSING)} not installed: no Cortex-M"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=REASON)]
STACK = 1024  # bytes, of which an overflow would be a fault: nothing lies below
FLAGS = ["--target=thumbv7m-none-eabi", "-mcpu=cortex-m3", "-mfloat-abi=soft", "-ffreestanding", "-std=c99", "-O2",
         "-Wall", "-Wextra", "-Werror"]
# As QEMU's mps2-an385 has them, the memory only as large as it need be.
LAYOUT = """ENTRY(reset)
MEMORY {{ FLASH (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rw) : ORIGIN = 0x20000000, LENGTH = {ram} }}
stack_top = 0x20000000 + {stack};
SECTIONS {{
    .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }} > FLASH
    /DISCARD/ : {{ *(.ARM.exidx*) *(.comment) *(.ARM.attributes) }}
    .bss 0x20000000 + {stack} (NOLOAD) : {{ bss_start = .; *(.bss*) *(COMMON) . = ALIGN(4); bss_end = .; }} > RAM
    .data : {{ *(.data*) }} > RAM
    ASSERT(SIZEOF(.data) == 0, "there is data that is no constant")
}}
"""


def built(made: IntegerC, images: Any, folder: Path) -> Path:
    """Return the program for the images, linked for as much memory as was named, a stack, and 8 bytes to align."""
    pixels = ",".join(map(str, images.ravel()))
    (folder / "images.h").write_text(f"enum {{ IMAGES = {len(images)}, IMAGE_BYTES = {images[0].size} }};\n"
                                     f"static const uint8_t images[] = {{{pixels}}};\n")
    (folder / "classifier.c").write_text(made.source, encoding="ascii")
    (folder / "layout.ld").write_text(LAYOUT.format(ram=made.ram + STACK + 8, stack=STACK))
    main = Path(__file__).with_name("cortex_m.c")
    for file in ("classifier.c", str(main)):
        command("clang", *FLAGS, "-I.", "-c", file, "-o", f"{Path(file).stem}.o", folder=folder)
    command("ld.lld", "-T", "layout.ld", "classifier.o", "cortex_m.o", "-o", "program.elf", folder=folder)
    return folder / "program.elf"


def command(*words: str | Path, folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def network(name: str) -> Network:
    if name == "resnet8":
        return architecture("resnet8", (32, 32, 3), 10, seed=1)
    return network_of({"mixed": MIXED, "depthwise": BLOCK}[name], (14, 13, 3))


@pytest.mark.parametrize("name", ["resnet8", "mixed", "depthwise"])
def test_the_same_numbers_on_a_cortex_m3(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """The link itself shows that no library is called, neither for floats (__aeabi_fmul …) nor for memory."""
    model = quantised(network(name), rng)
    images = noise(model, 3, rng)
    program = built(to_integer_c(model), images, tmp_path)
    said = command("qemu-system-arm", "-machine", "mps2-an385", "-nographic", "-monitor", "none", "-serial", "none",
                   "-chardev", "stdio,id=out", "-semihosting-config", "enable=on,target=native,chardev=out", "-kernel",
                   program, folder=tmp_path)
    wanted = np.rint(model.logits(images).astype(np.float64) * 2**UNIT).astype(np.int64)
    lines = [line.split(" ") for line in said.splitlines()]
    assert lines == [[str(row.argmax()), *map(str, row), *model.classes[0].split(" ")] for row in wanted]
