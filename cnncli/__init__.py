"""Convolutional image classifiers over folders of images, on an ordinary CPU."""
