"""What is wrong with a folder of images, in one call. data/check/ looks at the files. Trained models, which are opened
here, say which labels are probably wrong. `cnn check` shows it.
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
from ..runs import marks, samples
from ..runs.opened import AnyModel, open_model
from ..values import as_hinted


@as_hinted
def check(folder: str | os.PathLike[str], *, models: Sequence[AnyModel] = (),
          judges: Sequence[Judge] = (), seed: int = 0, exclude: str | os.PathLike[str] | Collection[str] = (),
          ignore: Sequence[str] = (), labels: str | os.PathLike[str] | Labels | None = None, group_by: Any = None,
          threads: int | None = None, progress: looking.Progress | None = None,
          range: str | Sequence[float] | None = None) -> Report:
    """Look for everything that is wrong with a folder of images, before a training. Images are only read.

    The folder is read exactly as ``train`` reads it. docs/checking.md lists what is looked for.

    Args:
        folder: The folder, as ``train`` takes it.
        models: Models that are asked which labels are probably wrong: each a Model, a model file, a run or its folder.
            What a model was trained on, it does not judge alone.
        judges: The same, if you say yourself what they were trained on.
        seed: The seed of the split, if the folder has no parts for validation and test.
        exclude: Images to leave out: their paths inside the folder, or a file that lists them.
        ignore: Kinds of findings that are not looked for.
        labels: A CSV file with the labels, as ``train`` takes it. None: the folders are the classes.
        group_by: Which images stay together, as in ``train``. None: each image is on its own.
        threads: How many threads to use. None: one for each CPU, or what was set before.
        progress: Is called with (what, done, total). What it raises ends the check. None: nobody is told.
        range: The values that become black and white in images of more than 8 bits, as in ``train``. None: found from
            the images.

    Returns:
        The findings, with their levels and files. Of several processes (``mpiexec``) the first one gets them.

    Raises:
        DataError: There is no folder, or it is no data folder.
        UsageError: The list to exclude, or another option, makes no sense.
        ModelError: A model cannot be used.

    Example::

        report = cnncli.check("photos/", models=["runs/latest"])
        cnncli.train("photos/", exclude=report.as_json()["exclude"])
    """
    left_out = frozenset(names_of(exclude))
    table, groups = within(folder, labels_of(labels), groups_of(group_by))
    asked = [*judges, *(judge(model, folder, table, progress) for model in models)]
    return looking.check(folder, seed=seed, exclude=left_out, ignore=ignore, judges=asked, labels=table, groups=groups,
                         threads=threads or kernels.threads(), progress=progress,
                         range_=None if range is None else parse_range(range))


def judge(model: AnyModel, folder: str | os.PathLike[str], labels: Labels | None = None,
          progress: looking.Progress | None = None) -> Judge:
    """Open a model, and find out which images of the folder it was trained on."""
    opened = open_model(model)
    watch = (lambda done, total: progress("finding images it was trained on", done, total)) if progress else None
    decoded: dict[str, Array] = {}
    seen = samples.seen_in(opened.model, opened.run, os.fspath(folder), labels, watch, decoded)
    return Judge(opened.model, os.fspath(opened.path), seen, decoded, marks.taught(opened.run))
