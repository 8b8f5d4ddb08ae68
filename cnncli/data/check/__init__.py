"""What is wrong with a folder of images, found before a training. ``check`` looks at every file as the training would
(survey and splits of folder.py, decoder of decode.py) and returns a Report. facts.py measures single images, rules.py
judges them, duplicates.py and near.py compare them, labels.py asks a model, findings.py is the result.
"""

import os
from collections.abc import Callable, Collection, Sequence

from ... import kernels
from ...ranks.current import world
from .. import depth
from .. import files as files_of
from ..division import FRACTIONS, divide, few_groups, groups_by_split, notes_on_groups
from ..folder import other_files, survey
from ..groups import Groups
from ..labels import Labels
from ..splits import Splits, few_tested_notes
from . import names_of_groups, rules
from .duplicates import of_copies
from .facts import Facts, Measured, measure
from .findings import DUPLICATES, KINDS, LEVELS, NEVER, File, Finding, Kind, Report, words
from .labels import Judge, of_labels, sentences

__all__ = ["DUPLICATES", "KINDS", "LEVELS", "NEVER", "File", "Finding", "Judge", "Kind", "Report", "check", "words"]

Progress = Callable[[str, int, int], None]  # what is being done, how many are done, of how many
_NEAR = tuple(kind for kind in DUPLICATES if kind.startswith("near"))


def check(root: str | os.PathLike[str], *, seed: int = 0, exclude: Collection[str] = (), ignore: Sequence[str] = (),
          judges: Sequence[Judge] = (), labels: Labels | None = None, groups: Groups | None = None,
          threads: int | None = None, progress: Progress | None = None, range_: depth.Range | None = None) -> Report:
    """Look for everything that is wrong with a data folder, as ``cnncli.train`` would read it. Images are only read.

    Parts of the split that the folder lacks are drawn as a training with this seed draws them. exclude has paths inside
    the folder that are left out; ignore has kinds of findings that are not looked for. judges are models that are asked
    which labels are wrong. labels, brought within the folder, are of images in no class folders. groups stay together
    in the split that is drawn. progress(what, done, total) is called from the calling thread; what it raises ends the
    check. range_ is what is black and white in images of more than 8 bits; None: found from the training images. Raises
    DataError if there is no folder, or it can be no data folder.
    """
    looked = survey(root, labels)
    looked.groups = groups
    if exclude:
        looked.exclude(exclude)
    names = sorted({name for found in looked.found.values() for name in found.classes})
    splits = divide(looked, names, FRACTIONS, seed)
    files = [File(sample.path, sample.relative, split, names[sample.label], sample.group)
             for split, samples in splits.items() for sample in samples]
    measured = _measured(files, threads or kernels.available_cpus(), progress, range_)
    if not world().leads:  # which has what all have found
        return Report(os.fspath(root), seed, {}, [], [], None, [], measured.scales, sorted(exclude))
    items = [rules.Looked(file, facts) for file, facts in zip(files, measured.facts, strict=True)]
    counts = {name: dict.fromkeys(splits, 0) for name in names}
    for file in files:
        counts[names[0] if file.label is None else file.label][file.split or "train"] += 1
    drawn = [split for split, samples in splits.items() if split not in looked.folders and samples]
    archives = files_of.notes(looked.root)
    notes = [note for note in looked.notes if note not in archives] + [note for part, found in looked.found.items()
                            for note in other_files(looked.folders[part], found)]
    findings = [Finding("archive", (), sentence) for sentence in archives]
    findings += [*rules.of_images(items), *rules.of_layout(looked), *rules.of_classes(looked, counts)]
    if groups:
        divided = Splits(names, splits["train"], splits["val"], splits["test"])
        missing = [split for split in ("val", "test") if split not in looked.folders]
        notes += notes_on_groups(groups, divided, missing) + groups_by_split(divided)
        findings += [Finding("few-groups", (), sentence)
                     for sentence in [few_groups(groups, divided, FRACTIONS, missing)] if sentence]
    else:
        findings += names_of_groups.of_files(files)
    near = any(kind not in ignore for kind in _NEAR)
    findings += of_copies(items, measured.thumbs, near, _named("comparing images", progress))
    judged = None
    if judges and "label-error" not in ignore:
        usable = [item.file for item in items if isinstance(item.facts, Facts)]
        wrong, judged = of_labels(usable, judges, _named("asking the model", progress))
        findings += wrong
    notes += depth.sentences(measured.seen, measured.scales, "training images", range_ is not None)
    notes += sentences(judged) if judged else []
    notes += few_tested_notes({name: each.get("test", 0) for name, each in counts.items()})
    return Report(os.fspath(root), seed, counts, drawn, [f for f in findings if f.kind not in ignore], judged,
                  notes, measured.scales, sorted(exclude))


def _measured(files: Sequence[File], threads: int, progress: Progress | None, range_: depth.Range | None) -> Measured:
    scales = None if range_ is None else depth.Scales(range_, range_)
    trained_on = frozenset(i for i, file in enumerate(files) if file.split == "train")
    return measure([file.path for file in files], threads, _named("looking at images", progress), scales, trained_on)


def _named(what: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)
