#!/bin/sh
# Makes cnncli/page/engine.wasm, the engine of pages, from cnncli/page/engine/ and cnncli/export/runtime.c: `sh
# scripts/build_engine.sh [OUT]`. The bytes depend on the compiler: they are those of clang and lld 14, as Debian 12 has them.
# Loops of unknown length are not unrolled: that makes a fifth of the bytes, and saves no time.
set -eu
cd "$(dirname "$0")/../cnncli/page"
clang --target=wasm32 -std=c99 -O3 -mllvm -unroll-runtime=false -msimd128 -mbulk-memory -ffp-contract=off -fvisibility=hidden -fno-builtin-malloc -fno-builtin-free -nostdlib -nostdlibinc \
    -isystem engine -Wall -Wextra -Werror -Wl,--no-entry -Wl,--export-dynamic -Wl,--strip-all -Wl,-z,stack-size=65536 \
    -o "${1:-engine.wasm}" engine/engine.c
