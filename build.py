"""How the extension ``cnncli._kernels`` is built: csrc/*.c compiled by the C compiler and wrapped by cffi in API
mode, from the contract, csrc/cnn*.h. setup.py hands ``ffi`` to setuptools; nothing here runs after the install.

The flags are few and safe for every CPU: no -march (csrc/foreach_isa.h sets the instruction set in the source) and
no -ffast-math (which would switch denormals off for the whole process that loads the library). Contraction is
asked for because ISO modes turn it off, and with it every fused multiply-add.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cffi import FFI

FLAGS = ["-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi", "-Wno-unused-function"]
# Debugging information is more than a third of the time that compiling takes, and five sixths of the extension; it is
# made where CFLAGS asks for something of its own (scripts/sanitize.sh does), and optimised is what CFLAGS leaves open.
CFLAGS = os.environ.get("CFLAGS", "")
OPTIMISE, LEAN = [] if "-O" in CFLAGS else ["-O3"], [] if CFLAGS else ["-g0"]
# The extension says what it was built from; setup.py defines it, tests/conftest.py asks it.
BUILT_FROM = "extern const char *const cnn_built_from;\n"


def ffi() -> FFI:
    """Describe the extension to cffi, in the folder that holds csrc/."""
    from cffi import FFI

    files = sorted(path.as_posix() for path in Path("csrc").glob("*.[ch]"))
    own = [path for path in files if path.endswith(".c") and not path.endswith("_tmpl.c")]
    builder = FFI()
    contract = sorted(Path("csrc").glob("cnn*.h"))  # cnn.h comes first
    builder.cdef("".join(path.read_text(encoding="utf-8") for path in contract) + BUILT_FROM)
    builder.set_source(
        "cnncli._kernels",
        "#include <stddef.h>\n#include <stdint.h>\n"
        + "".join(f"#include <{path.name}>\n" for path in contract) + BUILT_FROM,
        sources=own,
        depends=sorted(set(files) - set(own)),
        include_dirs=["csrc"],
        extra_compile_args=OPTIMISE + FLAGS + WARNINGS + LEAN,
        extra_link_args=["-pthread"],
        libraries=["m"],
    )
    return builder


def digest(root: Path) -> str:
    """Return the SHA-256 of what the extension is built from: this file, and the names and bytes of csrc/."""
    files = [root / "build.py", *sorted(root.glob("csrc/*.[ch]"))]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
