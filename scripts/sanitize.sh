#!/bin/sh
# The kernel and layer tests under AddressSanitizer and UndefinedBehaviorSanitizer, and the pool of threads under
# ThreadSanitizer: `sh scripts/sanitize.sh PYTHON [pytest arguments]`. Works on a copy; needs GCC and setuptools. Before
# that the kernels' tests run between guard pages (tests/kernels/pages.py), on every instruction set of this machine.
set -eu

python=$1
shift
cd "$(dirname "$0")/.."
for pages in end start; do
    CNN_PAGES=$pages "$python" -X faulthandler -m pytest -p tests.kernels.pages -m 'not alone' tests/kernels \
        --ignore tests/kernels/test_pages.py "$@"
done

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R cnncli csrc tests build.py setup.py pyproject.toml README.md LICENSE "$copy"
cd "$copy"
rm -f cnncli/_kernels*

gcc -g -O2 -std=gnu11 -fsanitize=thread -Icsrc tests/kernels/threads_stress.c csrc/threads.c csrc/isa.c -pthread -lm \
    -o stress
./stress 1000 0

"$python" -c 'import setuptools' 2>/dev/null || "$python" -m pip install --quiet setuptools
SANITIZE='-g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer'
CC=gcc CFLAGS=$SANITIZE LDFLAGS=$SANITIZE "$python" setup.py --quiet build_ext --inplace
# Python never frees what it keeps, so leaks are not looked for; the interpreter itself is not instrumented.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export LD_PRELOAD
"$python" -m pytest tests/kernels tests/layers --ignore tests/kernels/test_pages.py "$@"
