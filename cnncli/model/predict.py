"""A model's answers about images that somebody names, withheld where it is not sure enough to be right as often as was
asked for. How one image is judged is in model.py; report/predictions.py has the forms for other programs.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..data.dealing import Shard, check_shard, dealt
from ..data.depth import Seen, doubts
from ..data.finding import Images, Missing, Picture, images_of
from ..errors import UsageError
from ..ranks.current import world
from ..ranks.turns import in_turns
from .calibration import withholding
from .flips import with_flips
from .learnt import in_words
from .model import Model, Prediction

LATEST = os.path.join("runs", "latest")
UNKNOWN = "unknown"  # what is answered where the model is not sure enough
AT_ONCE = 128  # images that one of several processes judges before it hands the answers in
UNSURE, STRANGE = "unsure", "strange"  # why: its probability is too low; by its features it belongs to no class


def predict(model: Model, images: Images, *, top: int | None = None, reject: float | None = None,
            tta: bool | None = None, note: Callable[[str], None] | None = None, shard: Shard | None = None
            ) -> Iterator[Prediction]:
    """Classify images as ``cnncli.predict`` (runs/answering.py), with a model that is open."""
    seen, own = Seen(), check_shard(shard) if shard is not None else (1, 1)
    chosen: list[str | Missing | Picture] | Iterator[str | Missing | Picture] = dealt(images_of(images), own)
    judged = _judged(with_flips(model, tta, note), chosen, top, reject is not None, seen)
    answers = _doubted(judged, model, seen, note)
    if reject is None:
        return answers
    threshold, sentence = rejection(model, reject)
    if sentence and note:
        note(sentence)
    return withhold(answers, threshold)


def _judged(model: Model, images: Images, top: int | None, strangeness: bool, seen: Seen) -> Iterator[Prediction]:
    """Yield the answers for all images. If several processes work together, they share a list of images, and the
    leading one gets all answers.
    """
    together = world()
    if together.size == 1 or not isinstance(images, list):
        yield from model.predictions(images, top, strangeness, seen)
        return

    def judge(some: Sequence[Any]) -> tuple[list[Prediction], Seen]:
        own = Seen()
        return list(model.predictions(list(some), top, strangeness, own)), own

    for answers, values in in_turns(together, images, AT_ONCE, judge):
        seen.add(values)
        yield from answers


def _doubted(answers: Iterator[Prediction], model: Model, seen: Seen, note: Callable[[str], None] | None
             ) -> Iterator[Prediction]:
    """Pass answers on; afterwards tell if images are on another scale of values than the model takes, and how many it
    was trained on."""
    learnt = images = unused = 0
    for answer in answers:
        learnt += answer.trained_on is True
        images += answer.error is None
        unused += answer.error is not None
        yield answer
    if note:
        for sentence in [*doubts(seen, model.preprocessing.scales), *in_words(learnt, images, unused > 0)]:
            note(sentence)


def check_reject(accuracy: float) -> None:
    """Raise UsageError if it is no share of right answers that can be asked for."""
    if not 0 < accuracy < 1:
        raise UsageError(f"--reject {accuracy:g}: the accuracy must be between 0 and 1; --reject 0.95 asks for 95 % of "
                         "right answers.")


def rejection(model: Model, accuracy: float) -> tuple[float, str]:
    """Return the lowest probability of answers that are right in this share of cases. Also sentences: if no validation
    images show that, what is done instead (calibration.withholding); and if the model cannot tell images that belong to
    no class.
    """
    check_reject(accuracy)
    threshold, doubt = withholding(model.calibration, accuracy)
    blind = "" if model.strangeness else ("The model has no measure of images that belong to no class, so the "
                                          "probability alone decides.")
    return threshold, " ".join(filter(None, (doubt, blind)))


def withhold(predictions: Iterable[Prediction], threshold: float) -> Iterator[Prediction]:
    """Pass predictions on. The label becomes "unknown" if the probability is below the threshold ("unsure") or the
    image belongs to no class ("strange").
    """
    for prediction in predictions:
        unsure = prediction.probability is not None and prediction.probability < threshold
        strange = prediction.strangeness is not None and prediction.strangeness > 0
        why = tuple(word for word, holds in ((UNSURE, unsure), (STRANGE, strange)) if holds)
        yield replace(prediction, label=UNKNOWN, rejected=True, withheld=why) if why else prediction
