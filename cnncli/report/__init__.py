"""Numbers out of a run: curves, the confusion matrix, the sheet of mistakes, tables for the terminal."""
