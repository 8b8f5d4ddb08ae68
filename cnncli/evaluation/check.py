"""What is wrong with a folder of images, in one call: data/check/ looks at the files, and trained models, opened here,
say which labels are probably wrong. `cnn check` shows it.
"""

import os
from collections.abc import Collection, Sequence
from typing import Any

from .. import kernels
from ..data import check as looking
from ..data.check import Judge, Report
from ..data.depth import parse as parse_range
from ..data.exclude import names_of
from ..data.groups import groups_of
from ..data.labels import Labels, labels_of
from ..data.sources import within
from ..kernels import Array
from ..runs import samples
from ..runs.opened import AnyModel, open_model


def check(folder: str | os.PathLike[str], *, models: Sequence[AnyModel] = (),
          judges: Sequence[Judge] = (), seed: int = 0, exclude: str | os.PathLike[str] | Collection[str] = (),
          ignore: Sequence[str] = (), labels: str | os.PathLike[str] | Labels | None = None, group_by: Any = None,
          threads: int | None = None, progress: looking.Progress | None = None,
          range: str | Sequence[float] | None = None) -> Report:
    """Look for whatever is wrong with a data folder, as ``cnncli.train`` would read it. Images are only read.

    models are asked which labels are wrong: each a Model, a model file, a run or its folder; what a model was trained
    on, it does not judge alone. judges are such models of which the caller says what they were trained on. Splits that
    the folder lacks are drawn as a training with this seed draws them. exclude has the paths inside the folder that are
    passed over, or is a file that lists them; ignore has kinds of findings that are left out. labels and group_by are
    what ``cnncli.train`` takes, and so is range: what is black and what is white in images deeper than 8 bits.

    progress(what, done, total) is called from the calling thread; what it raises ends the check. Raises DataError where
    there is no folder, or none that could be a data folder, UsageError and ModelError for a list or a model that cannot
    be used.
    """
    left_out = frozenset(names_of(exclude))
    table, groups = within(folder, labels_of(labels), groups_of(group_by))
    asked = [*judges, *(judge(model, folder, table, progress) for model in models)]
    return looking.check(folder, seed=seed, exclude=left_out, ignore=ignore, judges=asked, labels=table, groups=groups,
                         threads=threads or kernels.threads(), progress=progress,
                         range_=None if range is None else parse_range(range))


def judge(model: AnyModel, folder: str | os.PathLike[str], labels: Labels | None = None,
          progress: looking.Progress | None = None) -> Judge:
    """Open a model, and find out which of the folder's images it was trained on."""
    opened = open_model(model)
    watch = (lambda done, total: progress("finding images it was trained on", done, total)) if progress else None
    decoded: dict[str, Array] = {}
    seen = samples.seen_in(opened.model, opened.run, os.fspath(folder), labels, watch, decoded)
    return Judge(opened.model, os.fspath(opened.path), seen, decoded)
