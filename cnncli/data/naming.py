"""Augmentation in words: the names and lists that ``--augment`` takes, and the sentence that says what is done.
augmentation.py says what the strengths mean, and checks them.
"""

from typing import Any

from ..errors import UsageError, no_such, printable
from .augmentation import ALTERNATE, LIMITS, Augmentation
from .preprocessing import Preprocessing

Strengths = dict[str, Any]

NAMES = ("auto", "none", "digits", "photo", "strong")
# What a word of a list means where no strength is given; shift and cutout follow the images' size.
_USUAL: dict[str, float] = {"rotate": 15, "scale": 0.2, "shear": 10, "brightness": 0.2, "contrast": 0.2,
                            "saturation": 0.2, "colour": 0.2, "hue": 0.05, "randaugment": 2, "erase": 0.25,
                            "mixup": 0.2, "cutmix": 1}
_WORDS = ("shift", "flip", "cutout", *_USUAL)
_OFF = ("0", "no", "off", "false")


def default(preprocessing: Preprocessing) -> Augmentation:
    """Return what suits the images: in colour, shifts of an eighth of the shorter side and flips (4 pixels at 32, as
    usual for CIFAR); in grey, shifts of a fourteenth (2 at 28) and no flips, which would turn digits and letters into
    others.
    """
    return Augmentation(**_auto(preprocessing))


def named(name: str, preprocessing: Preprocessing) -> Augmentation | None:
    """Return what suits images of a kind: "auto" (``default``), "digits", "photo" or "strong"; None for "none".
    Raises UsageError where there is no such name."""
    strengths = _named(name, preprocessing)
    return None if strengths is None else Augmentation(**strengths)


def parse(text: str, preprocessing: Preprocessing) -> Augmentation | None:
    """Return what ``--augment`` says: a name, or a list as "shift=4,flip,rotate=10", which may begin with a name.
    Raises UsageError, with the remedy, where a word is unknown or a strength makes no sense."""
    chosen = Augmentation(**_parsed(text, preprocessing))
    return None if chosen == Augmentation() else chosen


def _auto(preprocessing: Preprocessing) -> Strengths:
    side = min(preprocessing.size)
    return {"shift": side // 14, "flip": False} if preprocessing.grey else {"shift": side // 8, "flip": True}


def _named(name: str, preprocessing: Preprocessing) -> Strengths | None:
    """Return the strengths of that name, None for "none". Raises UsageError where there is none."""
    side, suited = min(preprocessing.size), _auto(preprocessing)
    known: dict[str, Strengths | None] = {
        "auto": suited,
        "none": None,
        "digits": dict(shift=side // 14, rotate=10, scale=0.1, shear=10),
        "photo": dict(shift=side // 8, flip=True, rotate=5, scale=0.2, brightness=0.2, contrast=0.2, saturation=0.2),
        "strong": dict(shift=side // 8, flip=suited["flip"], randaugment=2, magnitude=9, erase=0.25, mixup=0.2,
                       cutmix=1),
    }
    if name not in known:
        remedy = f"give {', '.join(NAMES)}, or a list of {', '.join(_WORDS)}, like shift=4,flip,rotate=10"
        raise UsageError(f"--augment: {no_such('change', name, [*NAMES, *_WORDS], remedy)}")
    return known[name]


def _parsed(text: str, preprocessing: Preprocessing) -> Strengths:
    """Return the strengths that a name or a list says."""
    first, *rest = words = [word.strip() for word in text.lower().split(",")]
    strengths: Strengths = {}
    if first in NAMES or (not rest and "=" not in first and first not in (*_WORDS, "color")):
        strengths, words = _named(first, preprocessing) or {}, rest
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        name = "colour" if name == "color" else name
        if name not in _WORDS:
            _named(name, preprocessing)  # says what there is
            raise UsageError(f"--augment {printable(text)}: {name} must come first in the list.")
        if equals and not value:
            raise UsageError(f"--augment {printable(word)} has no strength behind =; give a number, or leave = out.")
        strengths |= _strengths(name, value, preprocessing)
    side, shift, cutout = min(preprocessing.size), strengths.get("shift", 0), strengths.get("cutout", 0)
    if side // 2 < shift <= LIMITS["shift"][0]:
        raise UsageError(f"shift={shift:g} would move images of {side} pixels by more than half; give at most "
                         f"{side // 2}.")
    if side < cutout <= LIMITS["cutout"][0]:
        raise UsageError(f"cutout={cutout:g} is more than the {side} pixels of an image; give less.")
    return strengths


def _strengths(name: str, value: str, preprocessing: Preprocessing) -> Strengths:
    """Return the fields that one word of a list sets."""
    if name == "flip":
        if value not in ("", ALTERNATE, "1", "on", *_OFF):
            raise UsageError(f"flip={printable(value)} cannot be used; give flip, flip=off or flip={ALTERNATE}.")
        return {"flip": ALTERNATE if value == ALTERNATE else value not in _OFF}
    if name == "randaugment" and value not in _OFF:
        count, colon, magnitude = value.partition(":")
        strengths = {"randaugment": _number(name, count) if count else _USUAL[name]}
        return strengths | ({"magnitude": _number(name, magnitude)} if colon else {})
    usual = {"shift": _auto(preprocessing)["shift"], "cutout": min(preprocessing.size) // 2, **_USUAL}
    strength = 0.0 if value in _OFF else _number(name, value) if value else usual[name]
    if name == "colour":
        if not 0 <= strength <= 1:
            raise UsageError(f"colour={printable(value)} cannot be used; give a share from 0 to 1.")
        return {"brightness": strength, "contrast": strength, "saturation": strength}
    return {name: strength}


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        most, unit = LIMITS.get(name, (1, "a share"))
        what = "operations and magnitude, like 2:9" if name == "randaugment" else f"{unit} from 0 to {most:g}"
        raise UsageError(f"{name}={printable(text)} cannot be used; give {what}.") from None


def describe(augmentation: Augmentation | None, preprocessing: Preprocessing, chosen: bool = True) -> str:
    """Return the sentence that says how training images are changed. If grey images are not flipped because nobody
    asked for it (chosen), it says why.
    """
    if augmentation is None:
        return "Images are not changed in training."
    a, done = augmentation, []
    if a.shift:
        done.append(f"shifted by up to {a.shift} pixel{'s' * (a.shift > 1)}")
    if a.flip:
        done.append("flipped in every other epoch" if a.flip == ALTERNATE else "flipped half of the time")
    if a.rotate:
        done.append(f"turned by up to {a.rotate:g}°")
    if a.scale:
        done.append(f"scaled by up to {a.scale:.0%}")
    if a.shear:
        done.append(f"slanted by up to {a.shear:g}°")
    colours = [f"{name} {getattr(a, name):g}" for name in ("brightness", "contrast", "saturation", "hue")
               if getattr(a, name)]
    if colours:
        done.append(f"changed in {', '.join(colours)}")
    if a.randaugment:
        done.append(f"put through {a.randaugment} operation{'s' * (a.randaugment > 1)} of RandAugment (magnitude "
                    f"{a.magnitude:g})")
    if a.erase:
        done.append(f"erased in part ({a.erase:.0%} of them)")
    if a.cutout:
        done.append(f"blanked out in a square of {a.cutout} pixels")
    mixed = [f"{name} {getattr(a, name):g}" for name in ("mixup", "cutmix") if getattr(a, name)]
    if mixed:
        done.append(f"mixed in pairs ({', '.join(mixed)})")
    what = f"{', '.join(done[:-1])}{' and ' * (len(done) > 1)}{done[-1]}" if done else "not changed"
    if chosen and preprocessing.grey and not a.flip:
        also = "but" if done else "as they are too small for that, and"
        return f"Images are {what} in training, {also} not flipped: grey ones are often digits or letters."
    return f"Images are {what} in training."
