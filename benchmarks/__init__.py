"""Measurements, each a module with ``main(arguments)``: speed as a share of what the machine can do, accuracy on
official test images. Nothing here is part of the package or of the tests."""
