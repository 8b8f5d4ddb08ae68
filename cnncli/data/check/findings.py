"""What a check of a folder can find: the kinds, with their meaning and level, single findings, and the whole result
with its JSON. rules.py makes findings; cli/check.py shows them, report/offenders.py draws them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError, no_such
from ...plain import in_plain_json
from ..depth import Scales

LEVELS = ("error", "warning", "note")
NEVER = "never"


@dataclass(frozen=True)
class Kind:
    """A kind of finding: its level, and one line that says what it means for training."""

    level: str
    about: str


# In the order in which they are shown. Errors are what makes a result wrong or an image useless; warnings want a look;
# notes say what training does about something by itself.
KINDS = {
    "empty-file": Kind("error", "the file is empty; training skips it"),
    "not-an-image": Kind("error", "named like an image, but not one that can be read; training skips it"),
    "damaged": Kind("error", "cannot be decoded, or is cut short; training skips it"),
    "refused": Kind("error", "too large, too slow, of another kind or not allowed to be read; training skips it"),
    "duplicate-across-splits": Kind("error", "the same pixels in two splits: the model is tested on what it learnt"),
    "duplicate-two-labels": Kind("error", "the same pixels in two classes: one of them is wrong"),
    "duplicate-two-groups": Kind("error", "the same pixels in two groups: one of the groups is wrong"),
    "unknown-class": Kind("error", "in another split but not in train; training refuses the folder"),
    "empty-split": Kind("error", "a split's folder without images; training refuses the folder"),
    "few-classes": Kind("error", "two classes with images are needed; training refuses the folder"),
    "few-groups": Kind("error", "--group-by leaves no images for validation or test; training refuses it"),
    "near-duplicate-across-splits": Kind("warning", "almost the same picture in two splits: the test is too easy; "
                                                    "if the split is drawn, --group-by keeps the images of a slide, "
                                                    "a patient or a series together"),
    "near-duplicate-two-labels": Kind("warning", "almost the same picture in two classes: one may be wrong"),
    "near-duplicate-two-groups": Kind("warning", "almost the same picture in two groups: one may be wrong"),
    "label-error": Kind("warning", "the model is sure that it belongs to another class"),
    "duplicate": Kind("warning", "the same pixels several times in one class and split"),
    "near-duplicate": Kind("warning", "almost the same picture several times in one class and split"),
    "blank": Kind("warning", "one flat colour, unlike the others"),
    "dark": Kind("warning", "much darker than the others: hardly anything can be seen"),
    "blurred": Kind("warning", "less sharp than the others: out of focus, shaken, or enlarged from a small picture"),
    "extreme-shape": Kind("warning", "so long that scaling distorts it, or cropping leaves most of it out"),
    "wrong-extension": Kind("warning", "the name says another format than the content; decoded all the same"),
    "animated": Kind("warning", "several frames or pages; only the first is used"),
    "missed-image": Kind("warning", "an image whose name does not say so; training leaves it out"),
    "loose-image": Kind("warning", "an image in no class folder; training leaves it out"),
    "special-file": Kind("warning", "named like an image, but no regular file; training leaves it out"),
    "archive": Kind("warning", "it is damaged, does not fit its index, or holds files that training passes over"),
    "hidden-folder": Kind("warning", "holds images, but its name hides it; training leaves it out"),
    "beside-train": Kind("warning", "lies beside train/; training leaves it out"),
    "empty-class": Kind("warning", "a class folder without images; it is left out"),
    "similar-names": Kind("warning", "two classes with almost the same name"),
    "missing-class": Kind("warning", "in train but not in another split; it cannot be judged there"),
    "small-class": Kind("warning", "fewer than ten training images"),
    "imbalance": Kind("warning", "the largest class has at least ten times the images of the smallest"),
    "mixed-colour": Kind("note", "grey and colour together; all are made colour, unless --grey is given"),
    "telling-colour": Kind("warning", "grey in one class, colour in others: a network will learn that"),
    "telling-property": Kind("warning", "brightness, size or the like tells this class: a network may learn that"),
    "mixed-sizes": Kind("note", "images of different sizes; all are scaled to one"),
    "grouped-names": Kind("note", "names that may say the slide, the patient or the day; --group-by keeps each in one "
                                  "split"),
    "unlabelled-split": Kind("note", "a split whose images lie in no class folder; training leaves it out"),
    "rotated": Kind("note", "turned as its EXIF says"),
    "wide": Kind("note", "more than 8 bits for each value; scaled to 8"),
    "cmyk": Kind("note", "CMYK, the colours of printing; converted"),
    "transparent": Kind("note", "has transparency; laid on white"),
    "forgiven": Kind("note", "damaged, but no pixel is lost; used all the same, as viewers do"),
}
UNUSABLE = ("empty-file", "not-an-image", "damaged", "refused")
DUPLICATES = tuple(kind for kind in KINDS if "duplicate" in kind)
# What the list to exclude says of images with which nothing else is wrong.
_LISTED = "'cnn check --kinds' lists them"
_GOOD = {kind: ". Good images: " + ("people must say which label is right" if "labels" in kind else
                                    "people must say which group is right" if "groups" in kind else "one of each stays")
         for kind in DUPLICATES}


@dataclass(frozen=True)
class File:
    """A file of a data folder.

    Attributes:
        path: Where it is.
        relative: Its path inside the folder.
        split: Its part of the split: "train", "val" or "test". None if it is in none.
        label: Its class. None if it has none.
        group: The name of the images that it is kept together with. None if it is in no group.
    """

    path: str
    relative: str
    split: str | None = None
    label: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        kind: Its kind; `cnn check --kinds` lists them.
        files: The files that it is about; of copies, the one that may stay is the first.
        text: What was found, in words.
        value: A measure, if there is one: how different near copies are, how blurred an image is. None if there is
            none.
        exclude: Those of the files that the list to exclude gets.
    """

    kind: str
    files: tuple[File, ...]
    text: str
    value: float | None = None
    exclude: tuple[File, ...] = ()

    @property
    def level(self) -> str:
        """How bad it is: "error", "warning" or "note"."""
        return KINDS[self.kind].level

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn check --json` prints of it."""
        return {
            "kind": self.kind, "level": self.level, "text": self.text, "value": self.value,
            "files": [{"path": f.relative, "split": f.split, "class": f.label,
                       **({} if f.group is None else {"group": f.group})} for f in self.files],
            "exclude": [f.relative for f in self.exclude],
        }


@dataclass
class Report:
    """What a check of a folder found.

    Attributes:
        folder: The folder.
        seed: The seed of the split, if it was drawn.
        counts: How many images there are, by class and part: counts["cat"]["train"].
        drawn: The parts of the split that have no folder of their own, as a training draws them.
        findings: The findings, the worst kind first.
        judged: What is known of the models that looked for wrong labels. None without any.
        notes: Sentences that say how far the models can be believed.
        scales: The values that become black and white in images of more than 8 bits.
        left_out: The paths that were left out from the beginning.
    """

    folder: str
    seed: int
    counts: dict[str, dict[str, int]]
    drawn: list[str]
    findings: list[Finding] = field(default_factory=list)
    judged: dict[str, Any] | None = None  # what is said of the model that looked for wrong labels
    notes: list[str] = field(default_factory=list)
    scales: Scales = field(default_factory=Scales)
    left_out: Sequence[str] = ()

    def kinds(self) -> Iterator[tuple[str, list[Finding]]]:
        """Yield each kind that was found, with its findings: (kind, findings)."""
        for kind in KINDS:
            found = [finding for finding in self.findings if finding.kind == kind]
            if found:
                yield kind, found

    def image_counts(self) -> dict[str, int]:
        """Return how many images each part of the split has: {"train": …, "val": …, "test": …}."""
        return {split: sum(counts[split] for counts in self.counts.values()) for split in ("train", "val", "test")}

    @property
    def unusable(self) -> int:
        """How many of the images cannot be used, as far as their findings are not ignored."""
        return sum(len(finding.files) for finding in self.findings if finding.kind in UNUSABLE)

    def fails(self, fail_on: Sequence[str]) -> bool:
        """Return whether something was found that a list names.

        Args:
            fail_on: Levels, each of which includes the worse ones ("error", "warning", "note"), and kinds.
        """
        worst = max((LEVELS.index(word) for word in fail_on if word in LEVELS), default=-1)
        return any(f.kind in fail_on or LEVELS.index(f.level) <= worst for f in self.findings)

    def sections(self) -> list[tuple[str, list[str]]]:
        """Return what to exclude from a training, kind by kind, as ``cnncli.data.exclude.write_list`` takes it.

        What was left out from the beginning comes first, so one list is enough for a training.

        Returns:
            (heading, paths) pairs.
        """
        before = [("left out before", sorted(self.left_out))] if self.left_out else []
        return before + [(f"{kind}: {KINDS[kind].about}{_GOOD.get(kind, '')}",
                          [file.relative for f in found for file in f.exclude]) for kind, found in self.kinds()]

    def good(self) -> int:
        """Return how many images are to be excluded only because there are copies of them."""
        copies, useless = ({file.relative for f in self.findings if (f.kind in DUPLICATES) == copied
                            for file in f.exclude} for copied in (True, False))
        return len(copies - useless)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn check --json` prints."""
        levels = Counter(finding.level for finding in self.findings)
        return {
            "folder": self.folder,
            "seed": self.seed,
            "images": self.image_counts(),
            "unusable": self.unusable,
            "drawn": self.drawn,
            "range": list(self.scales.whole) if self.scales.whole else None,
            "classes": [{"name": name, **counts} for name, counts in self.counts.items()],
            "model": self.judged,
            "errors": levels["error"], "warnings": levels["warning"], "notes": levels["note"],
            "kinds": [{"kind": kind, "level": KINDS[kind].level, "findings": len(found),
                       "files": sum(len(f.files) for f in found), "about": KINDS[kind].about}
                      for kind, found in self.kinds()],
            "findings": [finding.as_json() for _, found in self.kinds() for finding in found],
            "exclude": list(dict.fromkeys(name for _, names in self.sections() for name in names)),
        }


def words(text: str, option: str, more: Sequence[str] = ()) -> list[str]:
    """Return the kinds (and `more` words) of a comma-separated list. Raises UsageError with the nearest word."""
    known = [*more, *KINDS]
    given = [word.strip() for word in text.split(",") if word.strip()]
    for word in given:
        if word not in known:
            raise UsageError(f"{option}: {no_such('kind of finding', word, known, _LISTED)}")
    return given
