"""Models as each release wrote them, with an image and what they said of it: test_golden.py loads them all, for ever.

    python -m tests.golden    writes those of this version; once, when it is released
"""
