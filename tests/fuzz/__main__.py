"""``python -m tests.fuzz SECONDS [TARGET …]``: damages files until the time is over, other ones each time (the seed is
printed), and keeps in corpus/ what goes wrong, once for each kind of fault. A crash of the process leaves its input
behind as well: it is written down before it is read. `make fuzz` is this for ten minutes.
"""

import hashlib
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from .mutate import mutated
from .targets import CORPUS, TARGETS, attempt, kept


def fuzz(name: str, seconds: float, seed: str, folder: Path) -> dict[str, bytes]:
    """Return the faults found in that time, by what they look like, each with an input; ends early after ten."""
    warnings.simplefilter("error")
    rng, seeds = random.Random(f"{name} {seed}"), [*TARGETS[name].seeds(), *kept(name)]
    found: dict[str, bytes] = {}
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and len(found) < 10:
        data = mutated(rng.choice(seeds), seeds, rng)
        tried += 1
        try:
            attempt(name, data, folder)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            if (look := f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}") not in found:
                found[look] = data
                print(f"{name}: {look}: {str(error)[:300]!r}", flush=True)
    print(f"{name}: {tried:,} files, {len(found)} kinds of faults", flush=True)
    return found


def keep(name: str, data: bytes) -> None:
    """Put an input into the corpus."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    print(f"  kept as {path}")


def in_a_child(name: str, seconds: float, seed: str) -> int:
    """Fuzz in a process of its own, which may crash; return how many kinds of faults there were."""
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            faults = fuzz(name, seconds, seed, Path(folder))
            for data in faults.values():
                keep(name, data)
            sys.stdout.flush()
            os._exit(len(faults))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code < 0:
            print(f"{name}: signal {-code} ended the process")
            keep(name, (Path(folder) / f"input{TARGETS[name].suffix}").read_bytes())
            return 1
        return code


def main() -> int:
    """Return 1 where something was found."""
    seconds, names = float(sys.argv[1]), sys.argv[2:] or list(TARGETS)
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"seed {seed}: SEED={seed} finds the same again")
    # Images are most of what comes from outside, and Pillow's decoders most of the code that reads it.
    shares = {name: 4.0 if name == "image" else 1.0 for name in names}
    faults = [in_a_child(name, seconds * share / sum(shares.values()), seed) for name, share in shares.items()]
    return int(any(faults))


if __name__ == "__main__":
    sys.exit(main())
