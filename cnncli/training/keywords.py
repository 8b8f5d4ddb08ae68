"""The keyword options that ``cross_validate``, ``sweep`` and ``find_lr`` hand on to a training, each with its type.
So type checkers and editors know them; ``checked`` refuses others. ``cnncli.train`` describes each, options.py checks
values.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict

from ..architectures import ArchName
from ..data import Augmentation
from ..data.images import Cache
from ..data.labels import Labels
from ..data.order import Sampling
from ..data.preprocessing import Resize
from ..errors import UsageError, no_such
from ..loss import LossName
from ..model.precision import Wanted
from ..optim import OptimiserName, Schedule
from ..optim.schedule import Kind
from ..values import taken
from .observer import Observer
from .options import Freeze, RecipeName

_Path = str | os.PathLike[str]


class _Shared(TypedDict, total=False):
    arch: ArchName | _Path | None
    epochs: int | None
    batch_size: int | None
    optimizer: OptimiserName | None
    schedule: Kind | Schedule | None
    warmup: float | None
    weight_decay: float | None
    loss: LossName | None
    label_smoothing: float | None
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None
    augment: str | bool | Augmentation | None
    size: int | tuple[int, int] | None
    fit: Resize | None
    grey: bool | None
    seed: int | None
    split_seed: int | None
    patience: int | None
    ema: float | None
    exact: bool | None
    sampling: Sampling | None
    exclude: _Path | Collection[str] | None
    labels: _Path | Labels | None
    group_by: Any
    recipe: RecipeName | None
    init: _Path | None
    freeze: Freeze | int | None
    range: str | Sequence[float] | None
    precision: Wanted | None
    shards: int | None


class FoldsOptions(_Shared, total=False):
    """Options of ``train`` that ``cross_validate`` takes."""

    lr: float | None
    probe: bool
    threads: int | None
    cache: Cache
    strict: bool
    preview: bool
    observer: Observer | None


class SweepOptions(_Shared, total=False):
    """Options of ``train`` that ``sweep`` takes for all of its runs."""

    lr: float | None
    probe: bool
    time: str | float | timedelta | None


class RateOptions(_Shared, total=False):
    """Options of ``train`` that ``find_lr`` takes."""

    time: str | float | timedelta | None
    fold: tuple[int, int] | None


def checked(options: Mapping[str, Any], table: type, *refused: str) -> dict[str, Any]:
    """Return the options that were given. Raises UsageError for a value that is none (values.py), and for a name that
    is not in the table; for those that are refused the caller has a sentence of its own.
    """
    for name in options:
        if name not in table.__annotations__ and name not in refused:
            raise UsageError(no_such("option", name, table.__annotations__))
    return {name: taken(name, value, table.__annotations__.get(name, Any)) for name, value in options.items()}
