"""``cnncli.predict``, ``cnncli.features`` and ``cnncli.summarise``, for a model in any of its forms (opened.py). The
work is done in model/: predict.py, features.py and summary.py.
"""

from collections.abc import Callable, Iterator

from ..data.finding import Images
from ..model import Model, Prediction, summary
from ..model import features as of_features
from ..model import predict as of_predictions
from ..model.summary import Summary
from ..values import as_hinted
from .opened import AnyModel, open_model


@as_hinted
def predict(model: AnyModel, images: Images, *, top: int | None = None, reject: float | None = None,
            tta: bool | None = None, note: Callable[[str], None] | None = None,
            shard: tuple[int, int] | None = None) -> Iterator[Prediction]:
    """Classify images: yield one Prediction for each, in order, as soon as it is known.

    An image that cannot be read has a Prediction with an error, and so has whatever else in a list is no image. Of a
    generator no more images are taken than come at once, so it may be slow, or never end.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        images: A file, a folder, a pattern like "new/*.png", an array or the bytes of a file as ``Model.predict``
            takes them, a list of these, such as ``find_images`` returns, or a generator.
        top: How many labels each Prediction lists. None: all.
        reject: The share of answers that should be right, between 0 and 1. Less sure answers, and images that seem to
            belong to no class, get the label "unknown". None: every answer is given.
        tta: True judges each image together with its mirror image. None: as the model is set.
        note: Is called with a sentence if no validation images support the rejection, if the model was trained without
            mirror images, or if images are on another scale of values. None: nobody is told.
        shard: A part of the images and how many parts there are, for several processes: (3, 8) judges the images 3, 11,
            19 and so on. All have to be given the same images in the same order. None: all images are judged.

    Raises:
        ModelError: There is no model, or its file cannot be trusted.
        UsageError: reject is not between 0 and 1, there is no such part, or images is nothing that could be images.
        DataError: images is a folder without images, or an array of another shape than images have.

    Example::

        for answer in cnncli.predict("runs/latest", "new/", reject=0.95):
            print(answer.path, answer.error or answer.label, answer.probability)
    """
    return of_predictions.predict(_open(model, note), images, top=top, reject=reject, tta=tta, note=note,
                                  shard=shard)


@as_hinted
def features(model: AnyModel, images: Images, progress: Callable[[int, int], None] | None = None,
             note: Callable[[str], None] | None = None) -> of_features.Features:
    """Return the features of images: the numbers that the network's last layer gets.

    They can be searched and clustered. If they are maps, the mean over the positions is taken. An image's features are
    the same bits whatever other images are given. All are held in memory; a generator is read to its end first.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        images: A file, a folder, a pattern, an array or the bytes of a file as ``Model.predict`` takes them, or a
            list of these, such as ``find_images`` returns.
        progress: Is called with (done, total), in images, after each batch. None: nobody is told.
        note: Is called with sentences on images that are damaged although no pixel is missing, hold several pages, or
            are on another scale of values. None: nobody is told.

    Returns:
        The paths and features of the images that could be read, and the others with reasons.

    Raises:
        ModelError: There is no model, or its file cannot be trusted.
        NetworkError: The network has no layer before its last one.
        UsageError: images is nothing that could be images.
        DataError: images is a folder without images, or an array of another shape than images have.
    """
    return of_features.features(_open(model, note), images, progress, note)


@as_hinted
def summarise(model: AnyModel) -> Summary:
    """Return a model in figures: its layers with shapes, parameters and cost.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.

    Raises:
        ModelError: There is no model, or its file cannot be trusted.
    """
    return summary.summarise(open_model(model).model)


def _open(model: AnyModel, note: Callable[[str], None] | None) -> Model:
    """Open a model; note gets why it is this one, if none was named."""
    opened = open_model(model)
    if note:
        for sentence in opened.notes:
            note(sentence)
    return opened.model
