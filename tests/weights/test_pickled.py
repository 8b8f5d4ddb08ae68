"""weights/pickled.py: plain values come back as Python's own machine has them, at every protocol; each instruction is
refused where the stack does not hold what it needs; and the limits hold. Files that mean harm: test_torchfile.py."""

import io
import pickle
from typing import Any

import pytest

from cnncli.weights import pickled
from cnncli.weights.pickled import PickleError, load

VALUES = {"text": "naïve", "whole": [0, 1, -2, 255, 256, 65536, -(2**31), 2**31, 2**100], "float": [0.5, -1e300],
          "none": None, "flags": [True, False], "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
          "empty": [{}, []], "one": [7], "pair": {"a": 1}, 5: "five", "long": "x" * 300}


def read(data: bytes, **options: Any) -> Any:
    return load(io.BytesIO(data), {}, **options)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_come_back(protocol: int) -> None:
    again = [VALUES["tuples"], VALUES["text"]]  # remembered, and recalled
    found = read(pickle.dumps([VALUES, again, VALUES], protocol))
    assert found == [VALUES, again, VALUES]
    assert [type(flag) for flag in found[0]["flags"]] == [bool, bool]
    assert found[0] is found[2]


def test_more_than_256_values_are_remembered() -> None:
    texts = [f"text {number}" for number in range(300)]
    assert read(pickle.dumps([texts, texts[::-1]], 2)) == [texts, texts[::-1]]


def test_the_position_is_left_behind_the_pickle() -> None:
    file = io.BytesIO(pickle.dumps([1], 2) + pickle.dumps({"a": 2}, 4) + b"rest")
    assert (load(file, {}), load(file, {}), file.read()) == ([1], {"a": 2}, b"rest")


def test_names_of_the_table_are_called_with_what_the_file_has_for_them() -> None:
    known = {"a.f": lambda *values: ["f", *values], "a.g": lambda: "g"}
    by_line = b"\x80\x02(ca\nf\n(K\x01K\x02tRca\ng\n)Rt."
    a, f, g = (b"X\x01\x00\x00\x00" + letter for letter in (b"a", b"f", b"g"))
    by_stack = b"\x80\x04(" + a + f + b"\x93(K\x01K\x02tR" + a + g + b"\x93)Rt."
    for data in (by_line, by_stack):
        assert load(io.BytesIO(data), known) == (["f", 1, 2], "g")


def test_references_are_asked_of_the_caller() -> None:
    assert read(b"\x80\x02X\x01\x00\x00\x00aQ.", stored=lambda key: [key]) == ["a"]
    with pytest.raises(PickleError, match=r"^it refers to data that is not there$"):
        read(b"\x80\x02X\x01\x00\x00\x00aQ.")


def test_attributes_of_a_dict_are_passed_over() -> None:
    assert read(b"\x80\x02}X\x01\x00\x00\x00aK\x01s}X\x01\x00\x00\x00bK\x02sb.") == {"a": 1}
    assert read(b"\x80\x02K\x01K\x020.") == 1  # POP


@pytest.mark.parametrize(("body", "why"), [
    (b"", "its pickle is cut off|its pickle is damaged"),
    (b".", "damaged"), (b"0.", "damaged"), (b"t.", "damaged"), (b"e.", "damaged"),  # of an empty stack
    (b"K\x01\x86.", "damaged"), (b"K\x01K\x02\x87.", "damaged"), (b"\x85.", "damaged"),  # tuples of more than there is
    (b"}(K\x01u.", "damaged"),  # a key without a value
    (b"}(K\x01K\x02K\x03u.", "damaged"),
    (b"](K\x01K\x02u.", "damaged"),  # items of a list
    (b"})K\x01s.", "damaged"), (b"}G" + bytes(8) + b"K\x01s.", "damaged"),  # keys that are tuples and floats
    (b"}K\x01a.", "damaged"),  # a value of a dict
    (b"](K\x01e" + b"}b.", "damaged"),  # attributes of a list
    (b"K\x01)R.", "damaged"), (b"]K\x01R.", "damaged"),  # a call of what has no name
    (b"K\x01K\x02\x93.", "damaged"), (b"X\x01\x00\x00\x00aK\x02\x93.", "damaged"),  # names that are numbers
    (b"K\x01X\x01\x00\x00\x00a\x93.", "damaged"),
    (b"h\x00.", "damaged"), (b"j\x00\x00\x00\x00.", "damaged"),  # nothing remembered
    (b"cos\nsystem\n.", "it holds an object of the kind os.system, and cnn takes nothing but tensors"),
    (b"c" + b"m" * 200 + b"\nf\n.", "of the kind " + "m" * 100 + ", and"),
    (b"I1\n.", "it uses the pickle instruction INT"),
])
def test_what_the_stack_does_not_hold_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(PickleError, match=f"^(.*{why}.*)$"):
        read(b"\x80\x02" + body)


def test_an_argument_that_is_no_tuple_is_refused() -> None:
    with pytest.raises(PickleError, match="damaged"):
        load(io.BytesIO(b"\x80\x02ca\nf\n]R."), {"a.f": lambda *values: values})


def test_a_name_is_no_value() -> None:
    """What a function of the table's stands for is called, or looked at by its caller; it is no key and no list."""
    with pytest.raises(PickleError, match="damaged"):
        load(io.BytesIO(b"\x80\x02}ca\nf\nK\x01s."), {"a.f": lambda *values: values})


def test_numbers_of_more_than_16_bytes_are_refused() -> None:
    for number in (2**128 - 1, 1 - 2**128):
        assert read(pickle.dumps(number, 2)) == number
    for number in (2**128, -(2**128)):
        with pytest.raises(PickleError, match="damaged"):
            read(pickle.dumps(number, 2))


def test_only_so_many_instructions_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\x80\x02" + b"N0" * 3 + b"}."  # eight before the last
    monkeypatch.setattr(pickled, "_MOST_INSTRUCTIONS", 9)
    assert read(data) == {}
    monkeypatch.setattr(pickled, "_MOST_INSTRUCTIONS", 8)
    with pytest.raises(PickleError, match=r"^it has more instructions than any list of tensors needs$"):
        read(data)
