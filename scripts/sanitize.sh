#!/bin/sh
# What no kernel may do: `sh scripts/sanitize.sh PYTHON [pytest arguments]`. PARTS="pages addresses threads" chooses parts;
# QUICK=1 leaves out what Python runs (.ci/run), five minutes on two processors instead of half an hour.
#   pages      the kernels' tests between guard pages (tests/kernels/pages.py), on every instruction set of this machine
#   addresses  under AddressSanitizer and UndefinedBehaviorSanitizer: every kernel, from C; the kernels' and layers' tests
#   threads    under ThreadSanitizer: the pool of threads, from C; every kernel on four threads, from C, with work cut so
#              small, and threads so patient, that they do share it; the kernels' and layers' quick tests. Before that a
#              race that was put in must be seen
# The sanitizers work on copies that they build; they need GCC and setuptools.
set -eu

case $1 in # it is called from other folders
*/*) python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") ;;
*) python=$1 ;;
esac
shift
cd "$(dirname "$0")/.."
here=$PWD
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
# As many processes as there are processors, where pytest-xdist is there.
if "$python" -c 'import xdist' 2>/dev/null; then set -- --numprocesses auto "$@"; fi
# Compilers and disassemblers, which nothing here is about.
others='--ignore tests/kernels/test_emulated.py --ignore tests/kernels/test_disassembly.py
    --ignore tests/kernels/test_pages.py --deselect tests/kernels/test_threads.py::test_stress_from_c'

# Copy what the extension and its tests need, and go there: copy NAME.
copy() {
    mkdir "$copies/$1"
    cd "$here"
    cp -R cnncli csrc tests docs benchmarks build.py setup.py pyproject.toml README.md LICENSE "$copies/$1"
    cd "$copies/$1"
    rm -f cnncli/_kernels*
}

# Build it there, and run every kernel from C, with each instruction set and as plain loops: build FLAGS [THREADS].
build() {
    "$python" -c 'import setuptools' 2>/dev/null || "$python" -m pip install --quiet setuptools
    CC=gcc CFLAGS=$1 LDFLAGS=$1 "$python" setup.py --quiet build_ext --inplace
    gcc -std=gnu11 $1 -Icsrc tests/kernels/against_reference*.c build/objects/*/csrc/*.o -pthread -lm -o every
    for isa in baseline avx2 avx512; do
        code=0
        ./every $isa ${2:-} || code=$?
        [ $code = 0 ] || [ $code = 2 ] # 2: this processor has none
    done
}

# The tests under sanitizers whose libraries are loaded first: watched LIBRARIES [pytest arguments]. Python never frees
# what it keeps, so leaks are not looked for; the interpreter itself is not instrumented.
watched() {
    preloaded=$1
    shift
    [ "${QUICK:-}" ] || PYTHONMALLOC=malloc OPENBLAS_NUM_THREADS=1 LD_PRELOAD="$preloaded" \
        "$python" -m pytest tests/kernels tests/layers $others "$@"
}

export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS="halt_on_error=1 die_after_fork=0"
for part in ${PARTS:-pages addresses threads}; do
    case $part in
    pages)
        cd "$here"
        # What stands between guard pages is a copy, so that its pointer is not the array's.
        for pages in end start; do
            [ "${QUICK:-}" ] || CNN_PAGES=$pages "$python" -X faulthandler -m pytest -p tests.kernels.pages \
                -m 'not alone' tests/kernels $others \
                --deselect tests/kernels/test_door.py::test_a_pointer_is_that_of_an_array_as_it_should_be "$@"
        done
        ;;
    addresses)
        copy addresses
        # Of what C alone runs, compiling takes longer than running.
        build "-g -O${QUICK:+0} -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
        # Where no more addresses are to be had, the sanitizer itself ends: each thread has memory of its.
        watched "$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
            --deselect tests/kernels/test_threads.py::test_threads_that_the_system_refuses_are_done_without "$@"
        ;;
    threads)
        copy threads
        gcc -g -O2 -std=gnu11 -fsanitize=thread -Icsrc tests/kernels/threads_stress.c csrc/threads.c csrc/isa.c \
            -pthread -lm -o stress
        ./stress 1000 10
        if ./stress 20 0 race >raced 2>&1 || ! grep -q 'data race' raced; then
            echo "ThreadSanitizer sees no race where there is one" >&2
            exit 1
        fi
        sed -i 's/^#define CNN_PIECE .*/#define CNN_PIECE 64/' csrc/internal.h
        grep -q 'CNN_PIECE 64' csrc/internal.h
        build '-g -O1 -fsanitize=thread -fno-omit-frame-pointer -DCNN_PATIENT' 4
        # It has a thread of its own, which is one too many for tests that count them.
        watched "$(gcc -print-file-name=libtsan.so)" -m 'not slow and not other_isa' \
            --deselect tests/kernels/test_threads.py::test_a_fork_after_a_parallel_region_gets_threads_of_its_own \
            --deselect tests/kernels/test_threads.py::test_workers_take_no_signals "$@"
        ;;
    *)
        echo "PARTS are pages, addresses and threads, not $part" >&2
        exit 2
        ;;
    esac
done
