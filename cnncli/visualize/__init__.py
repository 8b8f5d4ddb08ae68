"""Pictures out of a model: its filters, and what an image lights up in it."""
