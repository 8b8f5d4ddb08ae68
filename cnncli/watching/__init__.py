"""What carries to somewhere else what a training tells: lines in the run's folder (recorder.py, of what look.py sees,
in the words of lines.py), and a page that shows them while they come, or afterwards (source.py, server.py and
rendering.py, which live.py and watch.py put to use).

What may not be here: anything that decides what a training does. Whoever only watches changes no bit of it.
"""
