"""From a folder on disk to float batches: folder.py finds the samples, decode.py reads one file, preprocessing.py
brings it to one size, images.py does so for all of them (in threads: ahead.py), batches.py serves them to training, in
the order that order.py draws. folds.py divides samples anew for cross-validation. importing.py and sample/ make
folders out of other things.

What may not be here: networks and models (what asks one, as data/check/ does, is handed it), and what is usual for
which training.
"""

from .augmentation import Augmentation
from .batches import Batch, Batches
from .decode import decode
from .folder import Sample, Splits, scan, scan_flat, scan_labelled
from .folds import check_fold, fold_of
from .images import Images, load_images
from .naming import describe
from .order import SAMPLINGS
from .preprocessing import Preprocessing, choose_size, typical_side

__all__ = [
    "SAMPLINGS",
    "Augmentation",
    "Batch",
    "Batches",
    "Images",
    "Preprocessing",
    "Sample",
    "Splits",
    "check_fold",
    "choose_size",
    "decode",
    "describe",
    "fold_of",
    "load_images",
    "scan",
    "scan_flat",
    "scan_labelled",
    "typical_side",
]
