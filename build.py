"""How the extension ``cnncli._kernels`` is built: csrc/*.c compiled by the C compiler and wrapped by cffi in API
mode, from the one contract csrc/cnn.h. setup.py hands ``ffi`` to setuptools; nothing here runs after the install.

The flags are few and safe for every CPU: no -march (csrc/foreach_isa.h sets the instruction set in the source) and
no -ffast-math (which would switch denormals off for the whole process that loads the library). Contraction is
asked for because ISO modes turn it off, and with it every fused multiply-add.
"""

from glob import glob

from cffi import FFI

FLAGS = ["-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi", "-Wno-unused-function"]

ffi = FFI()
with open("csrc/cnn.h", encoding="utf-8") as contract:
    ffi.cdef(contract.read())
ffi.set_source(
    "cnncli._kernels",
    "#include <stddef.h>\n#include <stdint.h>\n#include <cnn.h>\n",
    sources=sorted(path for path in glob("csrc/*.c") if not path.endswith("_tmpl.c")),
    depends=sorted(glob("csrc/*.h") + glob("csrc/*_tmpl.c")),
    include_dirs=["csrc"],
    extra_compile_args=FLAGS + WARNINGS,
    extra_link_args=["-pthread"],
    libraries=["m"],
)

if __name__ == "__main__":
    ffi.compile(verbose=True)
