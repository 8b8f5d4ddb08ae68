"""Everything that can go wrong and is not a bug. Every class has an exit code, with which the command line ends::

    CnnError                  1  failed
    ├── UsageError            2  an option, name or combination that makes no sense
    ├── DataError             1  the images or folders cannot be used
    │   └── ImageError        1  one image cannot be used; it is skipped
    ├── NetworkError          2  an architecture whose layers do not fit together
    ├── ModelError            4  a model file that cannot be used
    ├── SaveError             1  a file could not be written; what was there before is whole
    ├── TrainingError         1  training had to stop
    ├── Interrupted         130  stopped by Ctrl-C or SIGTERM (143), after saving
    └── KernelError           1  the C kernels refused: no memory, or no such instructions

A message is one sentence that names the thing, the reason and, behind a semicolon, the remedy: "photos/ holds no
images; give a folder with one sub-folder per class." The same situation has the same words everywhere (``no_such``).
It is written with options as they are typed (--group-by). Whoever calls the library from Python reads the arguments of
that name (group_by): ``told`` makes the one of the other.

What may not be here: imports of other modules. Every module may import this one.
"""

from typing import TYPE_CHECKING, Any, Literal
from unicodedata import category

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

_NAMED = 30  # so many known names at most stand in a message
on_command_line = False  # whether commands are typed in this process; cli.main says so

# A command that stands in a message can be typed, so it stays as it is.
_COMMAND = r": (?:cnn|pip|python\S*) .*$|'(?:cnn|trackio) [^']*'|\bcnn [a-z-]+(?: --[a-z-]+)*"
_OPTION = r"(?<![\w-])--(?P<no>no-)?(?P<name>[a-z][a-z0-9-]*)"
_VALUE = r"(?P<value>-?\d+(?:[.:x]\d+)*|'[^']*'|[A-Z]+\b(?:[.:]\w+)?|none\b|disk\b|all\b(?! of))"
_MODEL = r"(?<![\w-])-(?P<short>m)(?: (?P<path>'[^']*'|[\w@%+=:./-]*[\w/]))?(?![\w-])"
_OTHERWISE = {"classes": "names", "live": "Live", "log": "Tracker", "tensorboard": "TensorBoard"}


class CnnError(Exception):
    """Something that the user can put right. str(error) is the sentence to show."""

    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Copies and pickles have the same attributes, whatever the constructor of the class takes."""
        return _made_again, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        return told(super().__str__())


def _made_again(kind: type[CnnError], arguments: tuple[object, ...]) -> CnnError:
    return kind.__new__(kind, *arguments)


class UsageError(CnnError):
    """An option, name or combination that makes no sense."""

    exit_code = 2


# Why an image cannot be used: there is no such file, it is empty, its content is damaged, it has too many pixels, it is
# of a kind that is not read or is no image, reading it is not permitted, or the system could not read it.
Cause = Literal["missing", "empty", "damaged", "too large", "kind", "permission", "unreadable"]


class DataError(CnnError):
    """The images or folders cannot be used."""

    cause: Cause | None = None  # of one image or folder that cannot be used


class ImageError(DataError):
    """One image cannot be used. It is skipped and counted; the command line then ends with 3.

    Args:
        path: The image's file, as it was given.
        reason: Why, without a full stop.
        cause: Why, in a word that does not change: "missing", "empty", "damaged", "too large", "kind" (it is not read,
            or is no image), "permission" or "unreadable".
    """

    def __init__(self, path: str, reason: str, cause: Cause = "damaged") -> None:
        super().__init__(path, reason)
        self.path, self.reason, self.cause = path, reason, cause

    def __str__(self) -> str:
        return f"{printable(self.path)} cannot be used: {told(self.reason)}."


class NetworkError(CnnError):
    """An architecture whose layers do not fit together."""

    exit_code = 2


class ModelError(CnnError):
    """A model file that cannot be used."""

    exit_code = 4


class SaveError(CnnError):
    """A file could not be written: no space, no permission, a failing disk.

    What was there before is whole.
    """


class TrainingError(CnnError):
    """Training had to stop; what was saved stays usable."""


class Interrupted(CnnError):
    """A signal stopped the work. Everything is saved.

    Args:
        message: The sentence to show.
        signal_number: The signal; the exit code is 128 plus it.
        run: The run that was being trained. ``cnncli.train(resume=error.run)`` continues it. None: no run.
    """

    def __init__(self, message: str, signal_number: int, run: Any = None) -> None:
        super().__init__(message)
        self.exit_code, self.run = 128 + signal_number, run


class KernelError(CnnError):
    """The C kernels refused: no memory, or an instruction set that this CPU lacks."""


def told(sentence: str) -> str:
    """Return a sentence as its reader can follow it: on the command line as it is, in Python with arguments.

    Args:
        sentence: A sentence with options as they are typed: "give another name, or --force to replace it".
    """
    if on_command_line or ("--" not in sentence and "-m" not in sentence):
        return sentence
    import re

    return re.sub(f"{_COMMAND}|{_MODEL}|{_OPTION}(?:[ =]{_VALUE})?", _as_argument, sentence)


def _as_argument(found: "re.Match[str]") -> str:
    name, value = ("model", found["path"]) if found["short"] else (found["name"], found["value"])
    if name is None:
        return found[0]
    argument = _OTHERWISE.get(name, name.replace("-", "_"))
    if found["no"]:
        return f"{argument}=False" + (f" {value}" if value else "")
    if value is None:
        return argument
    ready = value.startswith("'") or value.lstrip("-").replace(".", "", 1).isdigit()
    return f"{argument}={value if ready else brief(value)}"


def printable(name: object) -> str:
    r"""Return a name, path or message so that it can be printed on one line of any terminal.

    Control characters and bytes that are no UTF-8 become escapes: "a\nb", "caf\xe9".

    Args:
        name: The name, path or message.
    """
    text = str(name)
    return text if text.isprintable() else "".join(map(_shown, text))


def quoted(name: object, option: str = "") -> str:
    r"""Return a path or name as it is typed in a shell, in quotes if it needs them.

    What cannot be shown is written as bash and zsh read it: $'a\nb'.

    Args:
        name: The path or name.
        option: An option that it is the value of: --option=name. "": none.
    """
    import shlex

    text = str(name)
    if text.startswith("-") and not option:
        text = f"./{text}"  # else it would be an option itself
    typed = shlex.quote(text) if printable(text) == text else "$'" + "".join(map(_typed, text)) + "'"
    return f"{option}={typed}" if option else typed


def _typed(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if _shown(character) == character:
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def _shown(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8, as os.fsdecode hands it out
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character.isprintable() or category(character) == "Zs":  # of the spaces, str.isprintable takes only " "
        return character
    return ascii(character)[1:-1]


def brief(value: object) -> str:
    """Return a value as a message names it: short, on one line, a text in quotes.

    Args:
        value: Anything that was given.
    """
    from reprlib import Repr

    if not isinstance(value, str):
        short = Repr()
        short.maxother, short.maxlong = 80, 80
        return printable(short.repr(value))
    text = printable(value if len(value) <= 80 else f"{value[:79]}…")
    return f'"{text}"' if "'" in text else f"'{text}'"


def reason_of(error: Exception) -> str:
    """Return why something could not be read or written, like "permission denied", as a part of a sentence.

    Args:
        error: What was raised.
    """
    reason = printable(getattr(error, "strerror", None) or error).rstrip(".")
    return reason[:1].lower() + reason[1:] or type(error).__name__


def no_such(what: str, word: object, known: "Iterable[str]", remedy: str = "") -> str:
    """Return the sentence for a name that is not known. It names those that are.

    Args:
        what: What has such names.
        word: The name that is not known.
        known: The known names.
        remedy: What to advise in place of the list of names, such as a command that lists them.
    """
    names = list(known)
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    remedy = remedy or f"give one of {', '.join(map(printable, names[:_NAMED]))}{more}"
    return f"there is no {what} {brief(word)}; {remedy}.{did_you_mean(word, names)}"


def did_you_mean(word: object, known: "Iterable[str]") -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or "" if none is near.

    Args:
        word: The name that is not known. What is no text is near to nothing.
        known: The known names.
    """
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6) if isinstance(word, str) else []
    return f" Did you mean {brief(near[0])}?" if near else ""
