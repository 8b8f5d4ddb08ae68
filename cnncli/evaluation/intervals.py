"""How certain a figure is: the interval that holds an accuracy, a recall or a precision. scores.py and baselines.py
ask, report/page.py shows them.
"""

from math import sqrt

Z = 1.959963984540054  # of the normal distribution: 95 %


def wilson(right: int, images: int, z: float = Z) -> tuple[float, float]:
    """Return the interval that holds a share with 95 % confidence, if this many of this many images were right (Wilson
    1927). Without images it is 0 to 1.
    """
    if not images:
        return 0.0, 1.0
    share, square = right / images, z * z / images
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * sqrt(share * (1 - share) / images + square / (4 * images))
    return middle - half if right else 0.0, middle + half if images - right else 1.0
