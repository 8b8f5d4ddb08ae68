"""From a folder on disk, or arrays in memory, to batches of floats. sources.py finds the samples (folder.py, memory.py)
and splits.py divides them. decode.py reads one file, preprocessing.py brings it to one size, images.py does this for
all of them (in threads: prefetch.py). batches.py serves them to training, in the order that order.py draws. folds.py
divides samples again for cross-validation. finding.py has the images that the user names one by one. importing.py and
sample/ make folders out of other things.

What may not be here: networks and models (data/check/, which asks one, is given it), and what is usual for which
training.
"""

from .augmentation import Augmentation
from .batches import Batch, Batches
from .decode import decode
from .folder import scan_flat
from .folds import check_fold, fold_of
from .images import Images, load_images
from .naming import describe
from .order import SAMPLINGS
from .preprocessing import Preprocessing
from .sizes import choose_size, typical_side
from .sources import Data, folder_of, name_of, scan, scan_labelled, scan_part
from .splits import Sample, Splits

__all__ = [
    "SAMPLINGS",
    "Augmentation",
    "Batch",
    "Batches",
    "Data",
    "Images",
    "Preprocessing",
    "Sample",
    "Splits",
    "check_fold",
    "choose_size",
    "decode",
    "describe",
    "fold_of",
    "folder_of",
    "load_images",
    "name_of",
    "scan",
    "scan_flat",
    "scan_labelled",
    "scan_part",
    "typical_side",
]
