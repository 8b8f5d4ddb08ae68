"""Quantising a trained model: its network is given int8 weights and activations of one byte, which CPUs multiply
several times as fast, and its weights take a quarter of the room. folding.py puts batch norms into the weights before
them, observing.py watches the activations of validation images, ranges.py says what their bytes can stand for,
choosing.py tries that, and quantise.py does the whole and measures what it costs. network/int8_plan.py runs the result.

What may not be here: training.
"""
