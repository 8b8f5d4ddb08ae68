"""Classes with almost the same name: "Cat" and "cat", "cat" and "cats", "sneaker" and "snaeker". Names are looked up by
a reduced form, never compared with all others, so ten times as many classes take only ten times as long. rules.py asks.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

_LEAST_TYPO = 6  # letters of names in which one letter more, less or swapped is likelier a slip than another word


def similar(names: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield names that hardly differ, together, and in what they differ; in order."""
    left = sorted(names)
    for key, why in _KEYS:
        groups: dict[str, list[str]] = defaultdict(list)
        for name in left:
            groups[key(name)].append(name)
        for group in groups.values():
            if len(group) > 1:
                yield tuple(group), why
        left = [group[0] for group in groups.values()]
    for one, other in _slips(left):
        yield (one, other), "the same but for one letter more, or two swapped."


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _letters(name: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", _folded(name)) if c.isalnum())
    return bare or _folded(name)


def _singular(name: str) -> str:
    letters = _letters(name)
    return letters.rstrip("s") if len(letters) > 2 and letters.rstrip("s") else letters


_KEYS: tuple[tuple[Callable[[str], str], str], ...] = (
    (_folded, "the same but for capitals or the way its letters are encoded."),
    (_letters, "the same but for blanks, punctuation or accents."),
    (_singular, "the same but for an s."),
)


def _slips(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of which one has a letter more, or two neighbours swapped. Each name is looked up without each of its
    letters, and with each pair of neighbours swapped."""
    known = {letters: name for name in names
             if len(letters := _letters(name)) >= _LEAST_TYPO and not any(c.isdigit() for c in letters)}
    for letters, name in known.items():
        near = {letters[:i] + letters[i + 1 :] for i in range(len(letters))}
        near |= {swapped for i in range(len(letters) - 1)
                 if (swapped := letters[:i] + letters[i + 1] + letters[i] + letters[i + 2 :]) > letters}
        for other in sorted(near & known.keys()):
            yield (known[other], name) if known[other] < name else (name, known[other])
