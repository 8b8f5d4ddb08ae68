"""Whether the accuracies of runs can be compared: they can where the runs have the same classes and were validated on
the same images. `cnn runs compare` and the page of several runs (watching/server.py) say where they cannot."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from ..errors import printable
from ..runs import marks
from ..runs.run import Run

_NAMES, _GROUPS = 6, 6  # runs of a group, and groups, that a sentence names


class Grounds(NamedTuple):
    """What a run's accuracy rests on: its classes, and a hash of its validation images; None where that is not known.
    """

    classes: tuple[str, ...] | None
    images: str | None


def grounds(run: Run) -> Grounds:
    """Return what a run's accuracy rests on. Raises UsageError where its config.json is damaged."""
    classes, images = run.config.get("classes"), marks.validated(run)
    told = None if images is None else blake2b(repr(sorted(images.items())).encode(), digest_size=16).hexdigest()
    return Grounds(tuple(map(str, classes)) if isinstance(classes, list) else None, told)


def unlike(known: Iterable[tuple[str, Grounds]]) -> str | None:
    """Return the sentence that says which runs have other classes or validation images than which, of pairs of a run's
    name and its grounds; None where all have the same. What is not known of a run is no difference."""
    groups = list[tuple[Grounds, list[str]]]()
    for name, each in known:
        alike = next((names for first, names in groups if not _differ(first, each)), None)
        if alike is None:
            groups.append((each, [name]))
        else:
            alike.append(name)
    if len(groups) < 2:
        return None
    named = [names for _, names in groups]
    what = " and ".join(_different([first for first, _ in groups]))
    if all(len(names) == 1 for names in named):
        return (f"{_listed([name for [name] in named])} have different {what}, so their accuracies cannot be compared "
                "directly.")
    told = "; ".join(map(_listed, named[:_GROUPS])) + (
        f"; and {len(named) - _GROUPS} more groups" if len(named) > _GROUPS + 1 else
        f"; {_listed(named[_GROUPS])}" if len(named) > _GROUPS else "")
    return f"The runs have different {what}, so accuracies can be compared only within each of these groups: {told}."


def _differ(one: Grounds, other: Grounds) -> list[str]:
    pairs = {"classes": (one.classes, other.classes), "validation images": (one.images, other.images)}
    return [what for what, (mine, its) in pairs.items() if mine is not None and its is not None and mine != its]


def _different(firsts: Sequence[Grounds]) -> list[str]:
    """Return what is not the same in all of them."""
    found = {what for one in firsts for other in firsts for what in _differ(one, other)}
    return sorted(found)


def _listed(names: Sequence[str]) -> str:
    """Return names as a list in words, of very many the first ones."""
    told = [*map(printable, names)]
    if len(told) > _NAMES + 1:
        told[_NAMES:] = [f"{len(told) - _NAMES} more"]
    return " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)
