"""Damaged input for everything that reads files of others: pixels or a sentence, never anything else. targets.py says
what is read, mutate.py damages it, corpus/ keeps what went wrong once; `make fuzz` goes on for minutes.
"""
