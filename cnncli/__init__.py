"""Convolutional image classifiers over folders of images, on an ordinary CPU."""

__version__ = "0.1.0"
