"""Which of some images, as they come to a network, a model was trained on: by the marks of their pixels
(data/marks.py), which the model's file has. predict.py, features.py and explain/ say it of images that somebody hands
over; runs/samples.py knows it of whole folders.
"""

import numpy as np

from ..data.marks import of_images
from ..kernels import Array


def trained_on(seen: Array | None, images: Array) -> Array | None:
    """Return which of prepared images, uint8 (n, h, w, c), are among those with these marks, bool (n,). None if the
    marks are not known. seen is sorted, as ``marks.union`` returns it: nobody waits for one image of a large run.
    """
    if seen is None:
        return None
    if not len(seen):
        return np.zeros(len(images), bool)
    marks = of_images(images)
    return np.asarray(seen[np.minimum(np.searchsorted(seen, marks), len(seen) - 1)] == marks)


def in_words(learnt: int, images: int, unused: bool = False) -> list[str]:
    """Return a sentence that says how many of so many images a model was trained on; none if it was not. unused says
    whether there were others, which could not be used."""
    if not learnt:
        return []
    good = " that can be used" if unused else ""
    which = (f"The image{good} is" if images == 1 else f"All {images:,} images{good} are" if learnt == images
             else f"{learnt:,} of the {images:,} images{good} {'is' if learnt == 1 else 'are'}")
    return [f"{which} among those that the model was trained on. What the model says of "
            f"{'it' if learnt == 1 else 'them'} tells little about new images."]
