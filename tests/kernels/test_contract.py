"""csrc/cnn*.h, the contract, against both its sides: every prototype has its definition in C, its door in
Python and a test that names that door; every vector version has a plain-loop reference; files call downwards only; and
the sources compile without a warning with the other compilers that people have."""

import ast
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from ..compilers import cached

ROOT = Path(__file__).parents[2]
CONTRACT = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "csrc").glob("cnn*.h")))
CODE = re.sub(r"/\*.*?\*/", "", CONTRACT, flags=re.DOTALL)
PROTOTYPES = re.findall(r"^\w[\w ]*[ *](cnn_\w+)\(", CODE, flags=re.MULTILINE)
C_FILES = sorted(p for p in (ROOT / "csrc").glob("*.c") if not p.name.endswith("_tmpl.c"))
FLAGS = ["-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-O1", "-c",
         "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unused-function"]  # fmt: skip


@cache
def doors() -> dict[str, set[str]]:
    """C function -> the Python functions that call it: all names of cnncli/kernels/ around its mention."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "cnncli/kernels").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.ClassDef):
                continue
            for node in ast.walk(function):
                name = node.value if isinstance(node, ast.Constant) else getattr(node, "attr", None)
                names = [name]
                if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "name":  # of a Convolution
                    names = [f"{kind}_{ast.literal_eval(node.args[0])}" for kind in ("cnn_conv2d", "cnn_bf16_conv2d")]
                for each in set(names) & set(PROTOTYPES):
                    found.setdefault(each, set()).add(function.name)
    return found


def code_of(path: Path) -> str:
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@cache
def other_tests() -> str:
    """All tests but this one."""
    return "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__))


def test_no_line_of_the_contract_is_the_preprocessors():
    assert [line for line in CONTRACT.splitlines() if line.lstrip().startswith("#")] == []
    assert len(PROTOTYPES) == CODE.count("(") == len(set(PROTOTYPES)), "a prototype that this test does not see"


@pytest.mark.parametrize("name", PROTOTYPES)
def test_every_prototype_is_defined_once_and_says_what_it_does(name):
    definition = re.compile(rf"^\w[\w ]*[ *]{name}\([^;]*?\) \{{", re.MULTILINE)
    assert sum(len(definition.findall(path.read_text(encoding="utf-8"))) for path in C_FILES) == 1
    paragraphs = re.split(r"\n\s*\n", CONTRACT)  # a comment may speak for the prototypes of its paragraph
    paragraph = next(p for p in paragraphs if re.search(rf"\b{name}\(", p))
    assert "/*" in paragraph[: paragraph.index(f"{name}(")]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOTYPES)
def test_every_prototype_has_a_door_that_a_test_opens(name):
    assert name in doors(), "no function of cnncli/kernels/ calls it"
    known = {name, *doors()[name]}
    assert any(re.search(rf"\b{word}\b", other_tests()) for word in known), f"no test names {' or '.join(known)}"


@pytest.mark.parametrize("template", sorted((ROOT / "csrc").glob("*_tmpl.c")), ids=lambda p: p.name)
def test_every_vector_version_belongs_to_a_file_that_dispatches_it(template):
    operation = template.with_name(template.name.replace("_tmpl", ""))
    apart = {isa: operation.with_stem(f"{operation.stem}_{isa}") for isa in ("baseline", "avx2", "avx512", "bf16")}
    if apart["bf16"].exists() and not apart["baseline"].exists():  # for words alone: no other instruction set has it
        files, choice = [apart["avx512"], apart["bf16"]], r"\bCNN_WORD_BF16\b"
    else:
        files, choice = [apart[isa] for isa in ("baseline", "avx2", "avx512")], r"\bCNN_TABLES\(\w+\)"
    for path in files if files[0].exists() else [operation]:
        assert f'#define CNN_TEMPLATE "{template.name}"' in path.read_text(encoding="utf-8")
    assert re.search(choice, operation.read_text(encoding="utf-8"))


DEFINED = re.compile(r"^(?!static|extern|typedef)\w[\w ]*[ *](cnn_\w+)(?:\([^;]*?\) \{| = )", re.MULTILINE)


def calls() -> dict[str, set[str]]:
    """File -> the files whose functions and tables it names. A template is its operation's, the table conv.c's, and so
    are the files that compile a template for one instruction set each."""
    texts = {path.name: code_of(path) for path in C_FILES}
    home = {name: file for file, text in texts.items() for name in DEFINED.findall(text)}
    for file in texts:
        texts[file] += "".join(code_of(ROOT / "csrc" / t) for t in re.findall(r'CNN_TEMPLATE "(.*)"', texts[file]))
        operation = re.sub("_(baseline|avx2|avx512|avx_vnni|vnni|bf16)[.]c$", ".c", file)
        texts[operation] += texts[file] if operation != file else ""
    texts["conv.c"] += code_of(ROOT / "csrc/conv_family.h")
    texts["bf16_conv.c"] += code_of(ROOT / "csrc/bf16_conv.h")
    return {file: {home[name] for name in re.findall(r"\bcnn_\w+", text) if home.get(name, file) != file}
            for file, text in texts.items()}


def includes() -> dict[str, set[str]]:
    """Header -> the headers that it includes."""
    return {path.name: set(re.findall(r'^#include "(.*)"', path.read_text(encoding="utf-8"), re.MULTILINE))
            for path in (ROOT / "csrc").glob("*.h")}


def circle(arrows: dict[str, set[str]]) -> str:
    """The first circle that is found, "" for none."""
    done: set[str] = set()

    def walk(file: str, way: list[str]) -> str:
        if file in way:
            return " -> ".join([*way[way.index(file) :], file])
        if file in done:
            return ""
        found = next(filter(None, (walk(to, [*way, file]) for to in sorted(arrows.get(file, ())))), "")
        done.add(file)
        return found

    return next(filter(None, (walk(file, []) for file in sorted(arrows))), "")


def test_no_file_calls_back_into_one_that_calls_it():
    arrows = calls()
    assert {"winograd.c", "conv_reference.c"} <= arrows["conv.c"]
    assert "threads.c" in arrows["pool.c"]
    assert circle(arrows) == ""
    assert circle(includes()) == ""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == "b -> c -> b"


@pytest.mark.parametrize(("header", "kind", "last", "others"), [
    ("conv_family.h", "conv_family", "cnn_dense", ["cnn_conv_reference"]),
    ("bf16_conv.h", "bf16_family", "cnn_bf16_staged", []),
])
def test_every_family_of_convolutions_is_in_the_table(header, kind, last, others):
    table = re.findall(r"FAMILY\((\w+)\)", code_of(ROOT / "csrc" / header))
    found = re.findall(rf"^const struct {kind} (\w+) = ", "\n".join(map(code_of, C_FILES)), re.MULTILINE)
    assert sorted(found) == sorted([*table, *others])
    assert table[-1] == last, "it takes whatever is left"


def test_no_file_of_c_is_longer_than_a_reader_bears():
    files = [*(ROOT / "csrc").glob("*.[ch]"), *(ROOT / "tests/kernels").glob("*.c")]
    lengths = {path.name: path.read_text(encoding="utf-8").count("\n") for path in files}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.slow
@pytest.mark.parametrize("path", C_FILES, ids=lambda p: p.name)
def test_every_operation_has_a_plain_loop_reference(path):
    """A file that defines a prototype which computes (takes arrays of float) asks whether the reference is wanted, or
    one does that it calls for its kernels."""
    text = path.read_text(encoding="utf-8")
    takes_floats = r"\([^;{]*float \*[^;{]*\) \{"
    computes = [n for n in PROTOTYPES if re.search(rf"^cnn_status {n}{takes_floats}", text, re.MULTILINE)]
    asking = [path.name, *calls()[path.name]]
    assert not computes or any("cnn_use_reference()" in code_of(ROOT / "csrc" / name) for name in asking), computes


@pytest.mark.slow
@pytest.mark.parametrize("path", C_FILES, ids=lambda p: p.name)
@pytest.mark.parametrize("compiler", ["clang", "aarch64-linux-gnu-gcc"])
def test_other_compilers_take_it_without_a_warning(compiler, path, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    # What needs optimising to be seen on AArch64, test_emulated.py sees, which compiles all of it to run it.
    least = ["-fsyntax-only"] if compiler.endswith("gcc") else []
    done = subprocess.run([*cached(compiler), *FLAGS, *least, f"-I{ROOT / 'csrc'}", path, "-o", tmp_path / "it.o"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("function", ["fopen", "printf", "fprintf", "exit", "abort", "rand", "srand", "time", "malloc",
                                      "calloc", "realloc"])  # fmt: skip
def test_kernels_neither_print_nor_exit_nor_allocate(function):
    for path in (ROOT / "csrc").glob("*.[ch]"):
        code = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(rf"\b{function}\s*\(", code), path.name
