"""From a folder on disk to float batches: folder.py finds the samples, decode.py reads one file, preprocessing.py
brings it to one size, images.py does so for all of them (in threads: ahead.py), batches.py serves them to training.
importing.py and sample/ make folders out of other things.
"""

from .batches import Augmentation, Batch, Batches
from .decode import decode
from .folder import Sample, Splits, scan, scan_flat, scan_labelled
from .images import Images, load_images
from .preprocessing import Preprocessing, choose_size

__all__ = [
    "Augmentation",
    "Batch",
    "Batches",
    "Images",
    "Preprocessing",
    "Sample",
    "Splits",
    "choose_size",
    "decode",
    "load_images",
    "scan",
    "scan_flat",
    "scan_labelled",
]
