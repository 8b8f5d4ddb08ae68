"""``python -m benchmarks`` runs all parts, or those that --only names, prints tables in Markdown and writes JSON.

    python -m benchmarks --quick                                   all of it, roughly, in a few minutes
    python -m benchmarks --only training --networks lenet5 --threads 2 --rounds 5 --seconds 2 --json training.json
    python -m benchmarks --only conv --layers 3x3 --isa avx2       one part may have options of its own
    python -m benchmarks --only accuracy --help                    on official test images: hours, never part of "all"

The peers (PyTorch, ONNX Runtime, OpenVINO, ncnn) run under the interpreter of --peers-python, by default
.venv-bench/bin/python, which `make bench` fills; without one ours is measured alone.
"""

import argparse
import importlib
import json
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks import cases
from benchmarks.contest import ROOT
from benchmarks.options import Options

# In the order of running. Each is a module with measure(options) -> rows and show(rows) -> text.
PARTS = {
    "training": "steps of training against PyTorch's best mode",
    "inference": "time of one image and images a second on one core, against ONNX Runtime, OpenVINO, ncnn and PyTorch",
    "int8": "inference in int8 on one core, against our float32, OpenVINO and ONNX Runtime",
    "bfloat16": "training and inference in bfloat16, against our float32, PyTorch's autocast and OpenVINO",
    "explain": "HiResCAM and Grad-CAM, maps a second on one core, against captum and grad-cam",
    "conv": "convolutions, all passes, as a share of the peak of multiply-adds",
    "layers": "every layer by itself, beside a copy of as many bytes",
    "threads": "all threads against one in training, and training beside busy processes",
    "memory": "peak resident memory in training, libraries included",
    "start": "cold start of `cnn predict image.png` and `cnn --help`, and of importing PyTorch",
    "pipeline": "training from PNG files, decoding JPEGs, predicting a folder",
}
ACCURACY = "accuracy"
ROUNDS, SECONDS = 5, 2.0
PEERS_PYTHON = ROOT / ".venv-bench/bin/python"
QUICK_ROUNDS, QUICK_SECONDS = 2, 0.3


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = "\n".join(f"  {name:13} {what}" for name, what in PARTS.items())
    result.epilog = f"parts:\n{parts}\n  {ACCURACY} on the official test images of Fashion-MNIST and CIFAR-10"
    result.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help="these parts")
    result.add_argument("--networks", nargs="+", metavar="NAME", choices=[case.name for case in cases.CASES],
                        help=f"these of {', '.join(case.name for case in cases.CASES)}")
    result.add_argument("--threads", type=int, nargs="+", metavar="N", help="instead of each part's own choice")
    result.add_argument("--rounds", type=int, help=f"turns of each contender ({ROUNDS})")
    result.add_argument("--seconds", type=float, help=f"of each turn ({SECONDS:g})")
    result.add_argument("--quick", action="store_true", help="two short rounds, nothing compiled by PyTorch")
    result.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, after each part")
    result.add_argument("--peers-python", type=Path, metavar="PATH",
                        help="an interpreter that has the peers (.venv-bench/bin/python)")
    result.add_argument("--no-peers", action="store_true", help="measure ours alone")
    result.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    result.add_argument("--isa", help="instruction set of the parts conv and layers")
    result.add_argument("--images", type=Path, metavar="FOLDER",
                        help="class folders of 28x28 images that the part pipeline trains on, instead of its own")
    result.add_argument("--layers", default="", help="layers of the parts conv and layers whose name holds this")
    return result


def options(given: argparse.Namespace) -> Options:
    """Return what the parts need to know. Exits where the peers' interpreter that was named is not there."""
    python = None if given.no_peers else given.peers_python or PEERS_PYTHON
    if python is not None and not python.exists():
        if given.peers_python:
            sys.exit(f"{python} is not there; name the Python that has the peers, or measure ours alone: --no-peers.")
        print("Ours alone is measured; `make bench` installs the peers.", file=sys.stderr)
        python = None
    return Options(
        cases=cases.named(given.networks), threads=given.threads or [], quick=given.quick, isa=given.isa,
        rounds=given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS),
        seconds=given.seconds or (QUICK_SECONDS if given.quick else SECONDS),
        peers_python=str(python.absolute()) if python else None, compiled=not (given.no_compile or given.quick),
        layers=given.layers, images=given.images, given_seconds=given.seconds)


def main(arguments: list[str]) -> int:
    if arguments[:2] == ["--only", ACCURACY]:
        importlib.import_module(f"benchmarks.{ACCURACY}").main(arguments[2:])
        return 0
    given = parser().parse_args(arguments)
    settled = options(given)
    # As an exception, so that whoever is stopped when it comes is ended, and not left so for ever.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from benchmarks.machine import describe

    results: dict[str, Any] = {"machine": describe(), "arguments": arguments, "parts": {}}
    failed = []
    for name in given.only:
        part = importlib.import_module(f"benchmarks.{name}")
        start = time.monotonic()
        try:
            rows = part.measure(settled)
        except Exception:  # the other parts are worth having all the same
            traceback.print_exc()
            failed.append(name)
            continue
        results["parts"][name] = {"seconds": round(time.monotonic() - start), "rows": rows}
        print(f"\n## {name}: {PARTS[name]}\n\n{part.show(rows)}", flush=True)
        if given.json:
            given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if failed:
        print(f"Not measured: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
