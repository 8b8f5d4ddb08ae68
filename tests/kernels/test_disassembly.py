"""What the compiler made of the kernels, read from objdump: in the innermost loops of multiply-adds, where the time
goes, no vector takes the way over the stack; and no function holds instructions that its processors may lack.

Skipped where there is no objdump; AArch64's part also where there is no cross compiler."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from cnncli import _kernels

from ..compilers import cached

ROOT = Path(__file__).parents[2]
TEMPLATES = [path for path in sorted((ROOT / "csrc").glob("*.c")) if "CNN_TEMPLATE" in path.read_text(encoding="utf-8")]
CROSS = "aarch64-linux-gnu-"
# What must be found, or the search itself is broken: how the names of functions with such loops begin.
FAMILIES = ("product", "outer", "peak_run", "rows_3", "weights_3")
BF16_FAMILIES = ("half_product", "half_outer", "half_first_row", "half_first_gradient", "half_rows_3")
# Loops that may use the stack, and why: "function on instruction set".
EXCEPTIONS = {
    r"((half_)?activation_\w+|softmax|cross_entropy|squared_error) on":
        "exponentials need more constants than there are registers, and the ends of rows are filled up in memory",
    r"pool_forward on": "roots and powers are the C library's, lane by lane",
    r"(input|input_columns|output|gradient|weights|inverse) on":
        "Winograd's transforms hold the 36 values of a tile, half transformed, which is more than there are registers",
    r"wide_(transform|results|pack) on":
        "the same of tiles of 9 x 9 values, which go through memory between their two directions",
    r"wide_forward_few on":
        "sums fill the registers, so that factors of the weights' transform are read from the stack",
    r"normalise on": "one pass over a batch's bytes, whose channels' factors are read from the stack",
    r"(recolour|finish) on (SSE2|AVX2)|finish on NEON":
        "twelve factors of a matrix of colours, and the limits or the normalisation, are more than 16 registers hold; "
        "what finish writes are three channels in turn, each of which NEON has a constant for",
    r"half_\w+ on AVX-512$": "pairs of bfloat16 without the instruction for them, which only tests ask for",
    r"(half_)?general_\w+ on": "depthwise kernels of uncommon sizes fill up the ends of rows in memory",
    r"(half_)?weights_[35]\w* on (SSE2|NEON|AVX2)":
        "gradients of 9 or 25 taps, and the pixels that they are summed of, are more than 16 registers hold; NEON's 32 "
        "are taken by the sums of 25",
    r"(tile|weights)_7_stride\w* on (SSE2|NEON|AVX2)":
        "first layers 7 wide: seven taps, eight results and a pixel are as many as 16 registers, or 21 sums",
    r"((tile|rows)_5\w*|norm_\w+) on (SSE2|NEON)":
        "SSE2 has 16 registers and overwrites one in each operation; the ends of rows are filled up in memory",
    r"half_rows_5\w* on (SSE2|NEON)":
        "as on SSE2 above; on NEON sixteen results and ten taps leave six registers, and GCC 12 loads pixels ahead",
    r"rows_5_spread on AVX2": "16 registers are full, and GCC 12 stores one source pixel that it never reads again",
    r"half_(norm_\w+|dropout) on (SSE2|NEON|AVX2)":
        "bfloat16 is rounded by seven operations where there is no instruction for it, whose constants take registers",
    r"store_others on SSE2":
        "what is added to a sum of bytes takes more constants than 16 registers hold; only tests ask for it",
    r"norm_(apply|products) on AVX2": "a channel's factors, four vectors at a time: one is read from the stack",
}


class Instruction(NamedTuple):
    address: int
    name: str
    operands: str


class Function(NamedTuple):
    name: str
    code: list[Instruction]


class Processor(NamedTuple):
    """How one architecture's listings are read."""

    vector: re.Pattern[str]          # an operand that is a vector register
    multiply: re.Pattern[str]        # the name and operands of a multiply-add of vectors, or of its multiplication
    jump: re.Pattern[str]            # the name of an instruction that may go on elsewhere in its function …
    ends: re.Pattern[str]            # … and of one that never goes on with the next
    stack: re.Pattern[str]           # an operand in memory, on the stack
    frame: tuple[re.Pattern[str], re.Pattern[str]]  # … and where an instruction like the first is in the function

    def branches(self, instruction: Instruction) -> bool:
        return bool(self.jump.match(instruction.name) or self.ends.match(instruction.name))


X86 = Processor(
    re.compile(r"%[xyz]mm\d"),
    re.compile(r"(vfn?m(add|sub)\d*|mul|vdpbf16)ps .*%[xyz]mm"),
    re.compile(r"j\w+$"),
    re.compile(r"(jmp|ret|ud2|hlt)"),
    re.compile(r"\(%rsp\b"),
    (re.compile(r"mov +%rsp,%rbp"), re.compile(r"\(%rbp\b")),
)
ARM = Processor(
    re.compile(r"\b[vqds]\d"),
    re.compile(r"fml[as] +v\d+\.4s"),
    re.compile(r"(b|b\.\w+|cbn?z|tbn?z)$"),
    re.compile(r"(b|br|ret|brk|udf)$"),
    re.compile(r"\[sp\b"),
    (re.compile(r"(mov|add) +x29, *sp"), re.compile(r"\[x29\b")),
)
_START = re.compile(r"[0-9a-f]+ <(?P<name>[^>]+)>:$")
_LINE = re.compile(r" +(?P<address>[0-9a-f]+):\t(?P<name>\S+) *(?P<operands>.*)$")
_TARGET = re.compile(r"\b(?P<address>[0-9a-f]+) <")
_PREFIXES = re.compile(r"(bnd|notrack|data16|cs|ds|lock|rep\w*) +")



def functions(text: str) -> list[Function]:
    """Return the functions of objdump's output."""
    found: list[Function] = []
    for line in text.splitlines():
        if start := _START.match(line):
            found.append(Function(start["name"], []))
        elif (code := _LINE.match(line)) and found:
            words = _PREFIXES.sub("", f"{code['name']} {code['operands']}", count=1).split(None, 1)
            operands = words[1] if len(words) > 1 else ""
            found[-1].code.append(Instruction(int(code["address"], 16), words[0], operands))
    return found


def blocks(function: Function, processor: Processor) -> tuple[list[list[Instruction]], list[list[int]]]:
    """Cut a function into basic blocks; return them and, for each, the numbers of those that it may go on to."""
    inside = {i.address for i in function.code}
    targets = [_target(i, processor, inside) for i in function.code]
    starts = {t for t in targets if t is not None} | {function.code[0].address}
    found: list[list[Instruction]] = []
    for i, previous in zip(function.code, [None, *function.code], strict=False):
        if i.address in starts or (previous and processor.branches(previous)):
            found.append([])
        found[-1].append(i)
    number = {block[0].address: n for n, block in enumerate(found)}
    next_ones: list[list[int]] = []
    for n, block in enumerate(found):
        target = _target(block[-1], processor, inside)
        after = [] if target is None else [number[target]]
        if not processor.ends.match(block[-1].name) and n + 1 < len(found):
            after.append(n + 1)
        next_ones.append(after)
    _enter_unreached(next_ones)
    return found, next_ones


def _enter_unreached(after: list[list[int]]) -> None:
    """Let the first block lead to those that no jump here leads to: the cases of a switch, by a table."""
    reached: set[int] = set()
    for block in range(len(after)):
        if block in reached:
            continue
        if block:
            after[0].append(block)
        waiting = [block]
        while waiting:
            last = waiting.pop()
            if last not in reached:
                reached.add(last)
                waiting += after[last]


def _target(instruction: Instruction, processor: Processor, inside: set[int]) -> int | None:
    """Where in its function a jump may lead, None for what is no jump."""
    found = _TARGET.search(instruction.operands) if processor.jump.match(instruction.name) else None
    return int(found["address"], 16) if found and int(found["address"], 16) in inside else None


def dominators(after: list[list[int]]) -> list[int]:
    """Return for each block, as bits, the blocks that every way from the first one to it passes through."""
    everything = (1 << len(after)) - 1
    before: list[list[int]] = [[] for _ in after]
    for block, others in enumerate(after):
        for other in others:
            before[other].append(block)
    found = [1] + [everything] * (len(after) - 1)
    changed = True
    while changed:
        changed = False
        for block in range(1, len(after)):
            common = everything
            for other in before[block]:
                common &= found[other]
            if found[block] != common | 1 << block:
                found[block] = common | 1 << block
                changed = True
    return found


def innermost_loops(function: Function, processor: Processor) -> Iterator[list[Instruction]]:
    """Yield the code of each loop that holds no other.

    A jump back to a block through which it must have come closes a loop; mere backward jumps do not, because compilers
    put rare blocks at a function's end."""
    code, after = blocks(function, processor)
    above = dominators(after)
    bodies: dict[int, set[int]] = {}
    for block, others in enumerate(after):
        for head in others:
            if above[block] >> head & 1:
                bodies.setdefault(head, {head}).update(_way_back(after, block, head))
    for head, body in bodies.items():
        if not any(other in body for other in bodies if other != head):
            yield [i for block in sorted(body) for i in code[block]]


def _way_back(after: list[list[int]], last: int, head: int) -> set[int]:
    """Return the blocks from which `last` can be reached without passing `head`."""
    found, waiting = {head, last}, [last]
    while waiting:
        block = waiting.pop()
        new = [b for b, others in enumerate(after) if block in others and b not in found] if block != head else []
        found.update(new)
        waiting += new
    return found


def hot_loops(function: Function, processor: Processor) -> list[list[Instruction]]:
    """Return the innermost loops that multiply and add vectors."""
    return [loop for loop in innermost_loops(function, processor)
            if any(processor.multiply.match(f"{i.name} {i.operands}") for i in loop)]


def spills(function: Function, processor: Processor) -> list[str]:
    """Return the instructions of hot loops that move vectors to or from the stack."""
    sets_frame, frame = processor.frame
    framed = any(sets_frame.match(f"{i.name} {i.operands}") for i in function.code)
    return [f"{function.name} at {i.address:x}: {i.name} {i.operands}"
            for loop in hot_loops(function, processor) for i in loop if processor.vector.search(i.operands)
            and (processor.stack.search(i.operands) or (framed and frame.search(i.operands)))]


# ---- the extension as it was built ----


def _listing(objdump: str, file: Path) -> list[Function]:
    done = subprocess.run([objdump, "-d", "--no-show-raw-insn", file], capture_output=True, text=True, check=True)
    return functions(done.stdout)


@pytest.fixture(scope="module")
def extension() -> list[Function]:
    """The functions of cnncli._kernels."""
    if shutil.which("objdump") is None:
        pytest.skip("the kernels were not disassembled: objdump is not installed")
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the kernels were not disassembled: this is no x86-64")
    return _listing("objdump", Path(_kernels.__file__))


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512", "bf16"])
def test_hot_loops_keep_to_the_registers(extension, isa):
    own = [function for function in extension if re.search(rf"_{isa}\b", function.name)]
    if b"clang version" in Path(_kernels.__file__).read_bytes():
        pytest.skip("hot loops are held to the registers as GCC compiles them, and this is another compiler's work")
    name = {"baseline": "SSE2", "avx2": "AVX2", "avx512": "AVX-512", "bf16": "AVX-512 with bfloat16"}[isa]
    assert_in_registers(own, X86, name, BF16_FAMILIES if isa == "bf16" else FAMILIES)


def assert_in_registers(found: list[Function], processor: Processor, isa: str,
                        families: tuple[str, ...] = FAMILIES) -> None:
    hot = [function.name for function in found if hot_loops(function, processor)]
    assert [name for name in families if not any(f.startswith(name) for f in hot)] == []
    wrong = [spill for function in found for spill in spills(function, processor)
             if not any(re.match(pattern, f"{_stem(function.name)} on {isa}") for pattern in EXCEPTIONS)]
    assert wrong == []


def _stem(name: str) -> str:
    """A function's name without its instruction set, and without what the compiler adds to copies of it."""
    return re.sub(r"_(baseline|avx2|avx512|(avx_)?vnni|bf16)\b.*", "", name)


# What the instruction sets before this one lack; a function's name ends with its instruction set, or it is for all.
BEYOND = {
    "": re.compile(r"v\w+ .*%[xyz]mm|v\w+$|.*%k[0-7]|\{vex\}"),
    "avx2": re.compile(AVX512 := r".*(%zmm|%[xy]mm(1[6-9]|2\d|3[01])|%k[0-7]|\{1to)|\{vex\}"),
    "avx_vnni_plain": re.compile(AVX512),
    "avx_vnni": re.compile(AVX512.removesuffix(r"|\{vex\}") + r"|vpdp"),  # not encoded for AVX-512 VNNI
}
# Instructions that this machine may lack, and the families of functions whose work they do, by instruction set.
WORDS = [
    ("vnni", r"vpdpbusd .*%zmm", ("multiply", "rows")),
    ("avx_vnni", r"\{vex\} vpdpbusd .*%ymm", ("multiply", "rows")),
    ("amx", r"tdpbusd %tmm6,%tmm4,%tmm0", ("multiply",)),  # weights, images, sums
    ("amx", r"tdpbf16ps %tmm6,%tmm4,%tmm0", ("multiply", "gradients")),
]


@pytest.mark.slow
@pytest.mark.parametrize("isa", BEYOND)
def test_functions_use_what_their_processors_have(extension, isa):
    wide = re.compile(rf"_{isa}\b" if isa else r"_(avx2|avx512|(avx_)?vnni(_plain)?|bf16|amx)\b")
    own = [function for function in extension if bool(wide.search(function.name)) == bool(isa)]
    assert len(own) > (20 if isa in ("", "avx2") else 5)
    assert [f"{f.name} at {i.address:x}: {i.name} {i.operands}" for f in own for i in f.code
            if BEYOND[isa].match(f"{i.name} {i.operands}".strip())] == []


@pytest.mark.slow
@pytest.mark.parametrize(("isa", "word", "families"), WORDS)
def test_words_are_the_instructions_that_they_are_named_after(extension, isa, word, families):
    found = [f.name for f in extension if re.search(rf"_{isa}\b", f.name)
             and any(re.match(word, f"{i.name} {i.operands}") for i in f.code)]
    assert [family for family in families if not any(name.startswith(family) for name in found)] == []


@pytest.mark.slow
def test_tiles_are_named_in_functions_for_them_alone(extension):
    found = {f.name for f in extension if any(re.match("ldtilecfg|tile|tdp", i.name) for i in f.code)}
    assert found
    assert [name for name in found if not re.search(r"_amx\b", name)] == []


# ---- AArch64, cross-compiled ----


def cross_compiled(sources: list[Path], folder: Path) -> list[Function]:
    """The functions of sources, compiled as build.py does."""
    for tool in ("gcc", "objdump"):
        if shutil.which(CROSS + tool) is None:
            pytest.skip(f"NEON's code was not looked at: {CROSS}{tool} is not installed")

    def one(source: Path) -> list[Function]:
        compile_with(f"{CROSS}gcc", source, folder / f"{source.stem}.o")
        return _listing(f"{CROSS}objdump", folder / f"{source.stem}.o")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [function for found in pool.map(one, sources) for function in found]


def compile_with(compiler: str, source: Path, target: Path, *flags: str) -> None:
    own = ["-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-Wno-psabi"]
    command = [*cached(compiler), *own, *flags, f"-I{ROOT / 'csrc'}", "-c", source, "-o", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="NEON's code is looked at on x86-64 only")
def test_hot_loops_of_neon_keep_to_the_registers(tmp_path):
    assert_in_registers(cross_compiled(TEMPLATES, tmp_path), ARM, "NEON")


# ---- the search itself ----

SUMS = """
typedef float vf __attribute__((vector_size({bytes})));
void sums_(long n, const float *a, const vf *b, vf *out) {{
    vf sum[{count}];
    for (int i = 0; i < {count}; i++) sum[i] = out[i];
    for (long k = 0; k < n; k++)
#pragma GCC unroll 64
        for (int i = 0; i < {count}; i++) sum[i] += a[k * {count} + i] * b[k];
    for (int i = 0; i < {count}; i++) out[i] = sum[i];
}}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc to provoke a spill with")
@pytest.mark.parametrize(("bytes_", "count", "flags", "fits"), [
    (16, 8, [], True), (16, 24, [], False), (32, 12, ["-mavx2", "-mfma"], True), (32, 24, ["-mavx2", "-mfma"], False),
    (64, 24, ["-mavx512f"], True), (64, 40, ["-mavx512f"], False),
])  # fmt: skip
def test_more_sums_than_registers_are_found(extension, tmp_path, bytes_, count, flags, fits):
    source = tmp_path / "sums.c"
    source.write_text(SUMS.format(bytes=bytes_, count=count))
    compile_with("gcc", source, tmp_path / "sums.o", *flags)
    (sums,) = [f for f in _listing("objdump", tmp_path / "sums.o") if f.name == "sums_"]
    assert len(hot_loops(sums, X86)) == 1
    assert bool(spills(sums, X86)) != fits


@pytest.mark.parametrize(("count", "fits"), [(12, True), (40, False)])
def test_more_sums_than_neon_has_registers_are_found(tmp_path, count, fits):
    source = tmp_path / "sums.c"
    source.write_text(SUMS.format(bytes=16, count=count))
    (sums,) = [f for f in cross_compiled([source], tmp_path) if f.name == "sums_"]
    assert len(hot_loops(sums, ARM)) == 1
    assert bool(spills(sums, ARM)) != fits
