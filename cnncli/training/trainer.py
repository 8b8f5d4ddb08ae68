"""One step of training: forward, loss, backward, update. fit.py calls it for every batch of every epoch. It is also the
way to train with a loop of your own from Python.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

import numpy as np

from .. import kernels
from ..errors import DataError, TrainingError, UsageError, brief
from ..kernels import Array, Call, Mixed, aligned_empty
from ..loss import CrossEntropy, Loss, as_labels
from ..model.precision import AUTO, Precision, Wanted, decide, in_precision, wanted
from ..network import Network
from ..network.blocks import blocks
from ..network.plan import Plan
from ..optim import SGD, Optimiser, Schedule, clip_scale, gradient_norm
from ..ranks.world import ALONE, World
from ..values import as_hinted
from .precision import HARDLY, Step, step_speeds
from .shards import Shards

_NETWORKS: WeakKeyDictionary[Optimiser, "ref[Network]"] = WeakKeyDictionary()  # which network an optimiser changes


class Trainer:
    """Trains a network, one batch at a time, in a training loop of your own.

    Args:
        network: The network, which is changed in place. Its output is (classes,).
        optimiser: What changes the weights. It is bound to the network's parameters here, and cannot be given to the
            trainer of another network; its lr may be set before each step.
        loss: The loss to minimise. None: softmax cross-entropy.
        threads: How many threads to use, in the whole process. None: one for each CPU, or what was set before.
        clip_norm: The largest norm that all gradients together may have; larger ones are scaled down. None: any.
        seed: The seed of dropout. The initial weights have their own, the network's.
        rates: Multiples of the learning rate for some parameters, by name (``Optimiser.bind``). None: all learn alike.
        schedule: The learning rate of each step: an ``optim.Schedule`` with its total_steps, whose lr may be left out
            (the optimiser's), or any function of the step's number, counted from 0. None: the optimiser's lr.
        precision: What the network computes in from now on: "float32", "bfloat16", or "auto", which measures both
            before the first step, with batches of its size. None: as the environment variable CNN_PRECISION says, else
            as the network is set (``Network.precision``).
        shards: How many parts each batch is computed in, one after the other, in the memory of one. Each part has
            batch-norm statistics of its own, and at least two images. The gradients of all are averaged before the
            update.
        world: The processes that compute the parts together: ``cnncli.ranks.current.world()``. Each has a trainer like
            this one, and a network with the same weights. shards is a multiple of their number. None: this process
            alone.

    Attributes:
        logits: After a step, the network's outputs for its batch, float32 (n, classes). The next step overwrites them.

    Raises:
        UsageError: These make no sense together.

    Example::

        trainer = cnncli.Trainer(network, cnncli.optim.SGD(lr=0.1, momentum=0.9))
        loss = trainer.step(images, labels)
    """

    @as_hinted
    def __init__(
        self, network: Network, optimiser: Optimiser, loss: Loss | None = None, threads: int | None = None,
        clip_norm: float | None = None, seed: int = 0, rates: Mapping[str, float] | None = None,
        schedule: Schedule | Callable[[int], float] | None = None, precision: Wanted | None = None, shards: int = 1,
        world: World | None = None,
    ) -> None:
        _check(network, optimiser, loss, clip_norm, schedule, shards)
        if threads is not None:
            kernels.set_threads(threads)
        if network.quantisation:
            raise UsageError("a quantised network does not learn; train the network that it was made of.")
        asked = wanted(precision)
        self._measures = asked == AUTO
        if asked is not None and asked != AUTO:
            network.precision = asked
        self.network = network
        self.optimiser = optimiser
        self.loss = loss or CrossEntropy()
        self.shards = shards
        self.clip_norm = clip_norm
        self.schedule = schedule.filled(optimiser.lr) if isinstance(schedule, Schedule) else schedule
        if self.schedule:
            self.schedule(0)  # says what is missing, if anything is
        self.logits: Array = np.empty((0, *network.output_shape), np.float32)
        self._logits: dict[int, Array] = {}  # of batches in parts, by their size
        self._calls: dict[tuple[int, bool], _Prepared] = {}
        network.clock[:] = seed, 0
        self._parts = Shards(network, shards, world or ALONE) if shards > 1 or world else None
        self._norm = gradient_norm(network.gradients())
        gradients, parameters = network.gradients(), network.parameters()  # what is frozen has no gradient
        optimiser.bind({name: parameters[name] for name in gradients}, gradients, rates)
        _NETWORKS[optimiser] = ref(network)

    @property
    def steps_done(self) -> int:
        """How many steps were made. Set it when training resumes, because dropout depends on it."""
        return int(self.network.clock[1])

    @steps_done.setter
    def steps_done(self, steps: int) -> None:
        self.network.clock[1] = steps

    @as_hinted
    def span(self, count: int) -> tuple[int, int]:
        """Return which images of a batch of so many this process needs: the first one, and the one behind the last.

        Args:
            count: The images of the batch.
        """
        return self._parts.span(count) if self._parts else (0, count)

    def step(self, images: Array, labels: Array, mixed: Mixed | None = None) -> float:
        """Learn from one batch, and return its loss.

        Args:
            images: The images, normalised, float32 (n, h, w, c). If several processes train together: those of the
                batch's ``span`` alone; the labels are of the whole batch.
            labels: The number of each image's class, int (n,).
            mixed: For images that are blends of two: (the second labels, int (n,); the shares of the first, float (n,),
                0 to 1). None: images are of one class each.

        Returns:
            The mean loss over the images, before the update.

        Raises:
            DataError: Images or labels have the wrong shape or type. Nothing was changed.
            TrainingError: The loss or a gradient is not finite. No weight was changed.
        """
        images, classes = self._checked(images), self.network.output_shape[0]
        count = len(images) if self._parts is None or self._parts.world.size == 1 else len(labels)
        first, end = self.span(count)
        if end - first != len(images):
            raise DataError(f"of this batch the process needs the images {first:,} to {end:,}, not {len(images):,} of "
                            "them; give those of span().")
        labels = as_labels(labels, count, classes)
        if mixed is not None:
            mixed = as_labels(mixed[0], count, classes, "other labels"), _checked_shares(mixed[1], count)
        if self._measures:
            self._choose_precision(count)
        if self.schedule:
            self.optimiser.lr = self.schedule(self.steps_done)
        self.network.clock[1] += np.uint64(1)
        loss = self._in_parts(self._parts, images, labels, mixed) if self._parts else self._learn(images, labels, mixed)
        norm = self._norm()
        if not math.isfinite(norm):
            names = self._norm.not_finite()
            raise TrainingError(f"the gradient of {names[-1]} became infinite or NaN; use a lower learning rate.")
        self.optimiser.step(clip_scale(norm, self.clip_norm))
        self.network.changed()
        return loss

    def _learn(self, images: Array, labels: Array, mixed: Mixed | None, done: Callable[[str], None] | None = None,
               alone: bool = True) -> float:
        """Go forward and backward; return the mean loss. Leaves the gradients in the network, and ``logits``. Raises
        TrainingError where the loss is not finite, unless others wait for the gradients.
        """
        prepared = self._prepared(len(images), mixed is not None)
        plan = prepared.plan
        if mixed is not None and prepared.mixed is not None:
            np.copyto(prepared.mixed[0], mixed[0])
            np.copyto(prepared.mixed[1], mixed[1])
        np.copyto(plan.input, images)
        np.copyto(prepared.labels, labels)
        plan.forward()
        for call in prepared.loss_calls:
            call()
        self.logits = plan.output
        loss = float(prepared.losses.sum())
        if alone and not math.isfinite(loss):
            raise _not_finite(loss, bool(np.isfinite(images).all()))
        plan.backward(done)
        return loss

    def _in_parts(self, parts: Shards, images: Array, labels: Array, mixed: Mixed | None) -> float:
        """Do the same for each part of a batch, and leave the mean of their gradients."""
        count, own, alone = len(labels), parts.of_rank(len(labels), parts.world.rank), parts.world.size == 1
        start, losses = parts.span(count)[0], list[float]()
        if len(images) not in self._logits:
            self._logits[len(images)] = np.empty((len(images), *self.network.output_shape), np.float32)
        logits = self._logits[len(images)]
        parts.start(count)
        try:
            for part, first, end in own:
                share, mine = (end - first) / count, slice(first - start, end - start)
                parts.begin(part, share)
                others = mixed and (mixed[0][first:end], mixed[1][first:end])
                losses.append(share * self._learn(images[mine], labels[first:end], others, parts.layer_done, alone))
                logits[mine] = self.logits
                parts.end()
            parts.finish()
            loss = 0.0
            for of_part in parts.together(losses):
                loss += of_part
            if not math.isfinite(loss):
                raise _not_finite(loss, not parts.world.largest(not np.isfinite(images).all()))
        except BaseException:
            parts.undo()
            raise
        spans = [parts.span(count, rank) for rank in range(parts.world.size)]
        self.logits = parts.world.rows(logits, [end - first for first, end in spans])
        return loss

    def _checked(self, images: Array) -> Array:
        """Return the images of a batch. Raises DataError where the network does not take them."""
        images, shape = np.asarray(images), self.network.input_shape
        few = self._parts is not None and self._parts.world.size > 1  # a small batch may have no part for this process
        if images.dtype.kind != "f" or images.shape[1:] != shape or not (images.size or few):
            raise DataError(f"a batch must be floats of the shape (n, {', '.join(map(str, shape))}), n at least 1, not "
                            f"{images.dtype} of the shape {images.shape}.")
        return images

    def _choose_precision(self, batch: int) -> None:
        """Measure steps of such batches, and compute in the precision that is faster from now on."""

        def step_in(precision: Precision) -> Step:
            return Trainer(in_precision(self.network, precision), SGD(lr=HARDLY), self.loss, precision=precision,
                           shards=self.shards).step

        world = self._parts.world if self._parts else ALONE
        measured = world.agreed(lambda: decide(AUTO, lambda: step_speeds(self.network, batch, step_in)))
        self.network.precision = measured.precision
        self._measures = False

    def _prepared(self, batch: int, with_mixed: bool) -> "_Prepared":
        """Return the plan for this batch size with the calls of the loss. It is kept as long as the plan is."""
        plan = self.network.plan(batch, training=True)
        known = self._calls.get((batch, with_mixed))
        if known is None or known.plan is not plan:
            labels, losses = aligned_empty((batch,), np.int64), aligned_empty((batch,), np.float64)
            mixed = (aligned_empty((batch,), np.int64), aligned_empty((batch,))) if with_mixed else None
            calls = self.loss.calls(plan.output, labels, losses, plan.output_gradient, mixed)
            known = self._calls[batch, with_mixed] = _Prepared(plan, labels, losses, mixed, calls)
        return known


class PartTrainer(Trainer):
    """Trains a network without its first blocks: these behave as in evaluation, and keep their weights and statistics.
    """

    def __init__(self, network: Network, frozen: int, optimiser: Optimiser, loss: Loss, threads: int | None = None,
                 seed: int = 0, rates: Mapping[str, float] | None = None, shards: int = 1,
                 world: World | None = None) -> None:
        self._body, rest = network.split(blocks(network)[frozen - 1].last)
        self._features: dict[int, Array] = {}  # what the frozen part makes of a batch, by its size
        learning = rest.gradients()
        super().__init__(rest, optimiser, loss, threads, seed=seed, precision=wanted(network.precision),
                         rates=rates and {name: rate for name, rate in rates.items() if name in learning},
                         shards=shards, world=world)

    def step(self, images: Array, labels: Array, mixed: Mixed | None = None) -> float:
        count = len(images)
        if count not in self._features:
            self._features[count] = aligned_empty((count, *self._body.output_shape))
        features = self._body.forward(images, out=self._features[count]) if count else self._features[count]
        return super().step(features, labels, mixed)


class _Prepared(NamedTuple):
    """What a step of one batch size runs, and the arrays that it reads and fills."""

    plan: Plan
    labels: Array
    losses: Array
    mixed: Mixed | None
    loss_calls: list[Call]


def _not_finite(loss: float, good_images: bool) -> TrainingError:
    """Return what to raise for such a loss."""
    if not good_images:
        return TrainingError(f"the loss became {loss}, because images hold infinities or NaN; leave these out.")
    return TrainingError(f"the loss became {loss}; use a lower learning rate.")


def _check(network: Network, optimiser: Optimiser, loss: Loss | None, clip_norm: float | None,
           schedule: Callable[[int], float] | None, shards: int) -> None:
    """Raise UsageError where something is not what a trainer takes."""
    for what, given, kind in (("network", network, Network), ("optimiser", optimiser, Optimiser), ("loss", loss, Loss)):
        if given is not None and not isinstance(given, kind):
            raise UsageError(f"the {what} of a trainer must be of the class {kind.__name__}, not {brief(given)}.")
    other = _NETWORKS[optimiser]() if optimiser in _NETWORKS else None
    if other is not None and other is not network:  # which would not learn any more
        raise UsageError("this optimiser changes another network already; give each trainer an optimiser of its own.")
    if len(network.output_shape) != 1:
        raise UsageError(f"a network to train must return (classes,), not {network.output_shape}; end it with Flatten "
                         "or GlobalAvgPool2d and a Linear.")
    if schedule is not None and not callable(schedule):
        raise UsageError("the schedule of a trainer must be a Schedule or a function of the step, not "
                         f"{brief(schedule)}.")
    if isinstance(shards, bool) or shards < 1:
        raise UsageError(f"the number of parts of a batch must be at least 1, not {brief(shards)}.")
    if clip_norm is not None and not (isinstance(clip_norm, int | float) and clip_norm > 0):
        raise UsageError(f"the norm that gradients are clipped to must be above 0, not {brief(clip_norm)}.")


def _checked_shares(shares: Array, count: int) -> Array:
    """Return the shares of mixed images. Raises DataError where they are none."""
    shares = np.asarray(shares)
    if shares.shape not in ((count,), ()) or shares.dtype.kind != "f" or not (0 <= shares.min() <= shares.max() <= 1):
        raise DataError(f"the shares must be one number from 0 to 1 for each of {count} images.")
    return np.broadcast_to(shares, (count,))
