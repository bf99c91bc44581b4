"""One place checks what callers give: which values are taken, and that everything else is an OptionError."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support.tensor import Tensor

from fastsam_onnx import options
from fastsam_onnx.errors import OptionError, PromptError

NOT_NUMBERS = [True, np.True_, "1", None, [1], np.array([1, 2]), 1j, np.timedelta64(1, "s"), -(10**5000)]


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_integers_of_python_and_numpy_are_taken_as_int(value):
    assert type(options.integer("n", value)) is int
    assert options.integer("n", value) == 2


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, -1, 1.0, 2.5, math.nan, np.float32(1)], ids=type)
def test_what_is_not_an_integer_of_at_least_one_is_refused(value):
    with pytest.raises(OptionError, match=r"^n must be an integer >= 1, got "):
        options.integer("n", value)


def test_the_range_of_an_integer_holds_its_ends():
    assert [options.integer("n", value, 3, 5) for value in (3, 4, 5)] == [3, 4, 5]
    for value in (2, 6):
        with pytest.raises(OptionError, match="from 3 to 5"):
            options.integer("n", value, 3, 5)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.float64(1), np.int8(1)])
def test_numbers_of_python_and_numpy_are_taken_as_float(value):
    assert type(options.fraction("x", value)) is float
    assert options.fraction("x", value) == float(value)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, -0.1, 1.1, math.nan, math.inf], ids=type)
def test_what_is_not_a_fraction_is_refused(value):
    with pytest.raises(OptionError, match=r"^x must be a number from 0 to 1, got "):
        options.fraction("x", value)


@pytest.mark.parametrize(
    "value",
    ["x" * 10**5, b"x" * 10**5, ["x" * 10**5] * 9, list(range(10**5)), 10**5000, [10**5000]],
    ids=["text", "bytes", "texts", "list", "integer", "integers"],
)
def test_a_value_in_a_message_is_short(value):
    """A photo's bytes in the place of a number made a message of as many characters."""
    with pytest.raises(OptionError, match="must be a number") as caught:
        options.number("conf", value)
    assert len(str(caught.value)) < 300


def test_numbers_without_a_range_are_finite():
    assert options.number("x", -1e9) == -1e9
    with pytest.raises(OptionError, match=r"^x must be a number, got inf"):
        options.number("x", math.inf)
    with pytest.raises(OptionError, match=r"^x must be a number, got 1000"):
        options.number("x", 10**400)


@pytest.mark.parametrize(
    "values",
    [
        "1",
        ["1", 2],
        [1 + 2j],
        [[1, 2j]],
        [None],
        [[1], [1, 2]],
        [10**400],
        [math.nan],
        np.zeros(2, "M8[s]"),
        np.array([1, "2"], object),
        Tensor(None),
    ],
)
def test_arrays_of_something_else_than_numbers_are_refused(values):
    """Without a warning before: pytest makes errors of them."""
    with pytest.raises(PromptError, match=r"^points must be .*numbers.*, got "):
        options.numbers("points", values, error=PromptError)


def test_what_numpy_says_of_an_array_is_told():
    """It says what to do: a tensor with a gradient must be detached, a masked array filled."""
    with pytest.raises(OptionError, match=r"x must be numbers .*\(Can't call numpy\(\)"):
        options.numbers("x", Tensor(None))
    with pytest.raises(OptionError, match=r"(?s)x must be numbers .*array\.filled\(0\)"):
        options.numbers("x", np.ma.array([1, 2], mask=[0, 1]))


def test_a_choice_is_one_of_the_names():
    assert options.choice("pick", "best", ["best", "largest"]) == "best"
    for value in ("bset", None, 1, ["best"]):
        with pytest.raises(OptionError, match="'best', 'largest'"):
            options.choice("pick", value, ["best", "largest"])


def test_messages_show_the_beginning_of_what_is_long():
    long = "x" * 100_000
    for read in (options.integer, options.number, options.boolean, options.cosine):
        with pytest.raises(OptionError, match=f"value must be .*, got '{'x' * 199}$"):
            read("value", long)
    for message in (lambda: options.text("value", [long]), lambda: options.choice("value", long, ("one",))):
        with pytest.raises(OptionError) as caught:
            message()
        assert len(str(caught.value)) < 300


def test_the_class_of_the_exception_can_be_chosen():
    with pytest.raises(PromptError):
        options.integer("label", "x", error=PromptError)


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "٣", "0x10", "+1", " 1", "1_000", "9" * 19])
def test_texts_that_are_not_integers_are_refused(text):
    with pytest.raises(OptionError, match="must be an integer"):
        options.integer_from_text("n", text)


def test_texts_become_numbers():
    assert options.integer_from_text("n", "640") == 640
    assert options.number_from_text("x", "0.4", 0, 1) == 0.4
    for text in ("", "nan", "inf", "1.5", "a"):
        with pytest.raises(OptionError, match="must be a number from 0 to 1"):
            options.number_from_text("x", text, 0, 1)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), (".5", 0.5), ("5.", 5), ("-1e-3", -0.001), ("+2E2", 200), (" 3\n", 3)]
)
def test_numbers_are_written_as_usual(text, value):
    assert options.number_from_text("x", text) == value


@pytest.mark.parametrize("text", ["0_1", "1_000", "٠.٥", "１", "1e1_0", ".", "e5", "0x1", "1 2", "infinity"])
def test_what_python_alone_takes_for_a_number_is_refused(text):
    with pytest.raises(OptionError, match=f"must be a number, got '{text}'"):
        options.number_from_text("x", text)


def test_an_input_size_is_one_number_or_width_by_height():
    assert options.input_size_from_text("imgsz", "1024") == 1024
    assert options.input_size_from_text("imgsz", "1280x736") == (736, 1280)  # (height, width)
    for text in ("", "0", "1280x", "1280X736", "1280x0", "-5", "1e3", "1234567"):
        with pytest.raises(OptionError, match=r"imgsz must be .*WIDTHxHEIGHT"):
            options.input_size_from_text("imgsz", text)


def test_options_of_a_call_are_kept_as_pythons_own():
    """A tile of uint16 pixels would count up to 65535 and on from 0."""
    given = options.CallOptions(
        tile=np.uint16(200), imgsz=np.uint8(64), max_det=np.int8(5), pixel_limit=np.uint32(9), conf=np.float32(0.5)
    )
    kept = (given.tile, given.imgsz, given.max_det, given.pixel_limit, given.conf)
    assert kept == (200, (64, 64), 5, 9, 0.5)
    assert [type(value) for value in kept] == [int, tuple, int, int, float]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"border_snap": "no"}, {"border_snap": np.ones(2)}, {"overlap": 7}, {"tile": 1}, {"tile": 10**5000}),
        *({"border_snap": None}, {"agnostic": None}, {"overlap": None}),  # None turned off what is on by default
    ],
)
def test_every_option_of_a_call_is_checked(wrong):
    with pytest.raises(OptionError, match=f"^{next(iter(wrong))} must be "):
        options.CallOptions(**wrong)


def test_an_unknown_option_of_a_call_says_which_there_are():
    with pytest.raises(
        OptionError,
        match=r"^a call has no option errors, device; it accepts: imgsz, conf.*tile",
    ):
        options.call_options({"errors": "yield", "conf": 0.5, "device": "cuda"})
    assert options.call_options({"conf": 0.5}) == options.CallOptions(conf=0.5)
    with pytest.raises(OptionError, match=r"no option trackk; .*tile, .*, track$"):
        options.call_options({"trackk": True}, beside=("batch", "track"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out/a.json", "thing must be JSON, got 'out/a.json': Expecting value.*give what is in the file, not its name"),
        (Path("a.json"), "thing must be JSON as text or bytes, got .*a.json.*give what is in the file, not its name"),
        ({}, "thing must be JSON as text or bytes, got {}$"),
        (None, "thing must be JSON as text or bytes, got None$"),
        (b"\xff\xd8", r"^thing must be JSON, got 2 bytes that are no text, b'\\xff\\xd8'$"),
        (b"\0\0\0 ftypisom\0\0\2\0iso", "^thing must be JSON, got 19 bytes that are no text"),  # as UTF-32, it seems
        ("[" * 100_000, "thing must be JSON, got"),
        ('{"points": 1, "points": 2}', "thing must be JSON, got .*: 'points' is there twice in one object$"),
        ('[{"a": {"b": 1, "c": 2, "b": 1}}]', "thing must be JSON, got .*: 'b' is there twice in one object$"),
    ],
)
def test_what_is_not_json_is_shown(text, message):
    with pytest.raises(PromptError, match=message) as caught:
        options.json_value("thing", text, error=PromptError)
    assert len(str(caught.value)) < 400


class Endless:
    """Something whose repr has no end."""

    def __repr__(self):
        raise RecursionError


class Long:
    def __repr__(self):
        return "long" * 1000


def test_a_message_shows_the_beginning_of_any_repr():
    assert options.shown(Endless()).startswith("<Endless")
    shown = options.shown(Long())
    assert len(shown) == options.MOST_SHOWN
    assert shown.startswith("long" * 20)


def test_a_message_shows_arrays_of_other_libraries():
    """MLX calls its class array; Python 3.11 asks it for the typecode of its own."""
    with pytest.raises(OptionError, match="conf must be a number from 0 to 1, got <"):
        options.fraction("conf", type("array", (), {})())


@pytest.mark.parametrize("value", ["a\0b", b"bytes", 5, None, "\ud800", ["a"]])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(OptionError, match="p must be the path of a file or folder, got "):
        options.path("p", value)
    assert options.path("p", "a.png") == options.path("p", Path("a.png")) == Path("a.png")


def test_values_of_numpy_are_taken_where_they_are_meant():
    assert options.boolean("b", np.True_) is True
    assert options.pair("p", np.array([0, 5])) == (0, 5)
    assert options.cosine("c", np.float32(-1)) == -1
    for value in (np.array(["a", "b"]), ["a"], None):
        with pytest.raises(OptionError, match="c must be one of 'a', 'b', got "):
            options.choice("c", value, ("a", "b"))
    for value in (np.array([[1, 2], [3, 4]]), (1, 2, 3), 5, (1, -1)):
        with pytest.raises(OptionError, match=r"p must be|a side of p must be"):
            options.pair("p", value)


@pytest.mark.parametrize("bands", [[1, 2], [], [1, 2, 3, 4], [0, 1, 2], 1, "123", [1.0, 2, 3]])
def test_bands_are_three_or_one(bands):
    with pytest.raises(OptionError, match="bands must be"):
        options.check_bands(bands)
    assert options.check_bands(np.array([3, 2, 1])) == (3, 2, 1)


def test_a_range_has_the_ends_that_it_has():
    for limits, message in (({"maximum": 4}, " <= 4, got 5"), ({"minimum": 6}, " >= 6, got 5"), ({}, None)):
        if message is None:
            assert options.number("x", 5) == 5
        else:
            with pytest.raises(OptionError, match=f"x must be a number{message}"):
                options.number("x", 5, **limits)


def test_texts_have_numbers_of_up_to_18_digits_and_their_sign():
    assert options.integer_from_text("n", "9" * 18) == 10**18 - 1
    assert options.integer_from_text("n", "-5", -10) == -5
    assert options.number_from_text("x", " 0.5 ") == 0.5
    assert options.bands_from_text("b", "3,2,1") == (3, 2, 1)
    for text in ("1,2", "1,2,3,4", "1,", "a"):
        with pytest.raises(OptionError, match="b must be three bands"):
            options.bands_from_text("b", text)
    for text in ("064", "1x064"):
        with pytest.raises(OptionError, match="imgsz must be"):
            options.input_size_from_text("imgsz", text)


@pytest.mark.parametrize("text", ["2", b"2"])
def test_texts_among_objects_are_no_numbers(text):
    """As NumPy has them in an array of objects, of which it would make numbers."""
    assert options.numbers("x", np.array([1, 2.5], object)).tolist() == [1, 2.5]
    with pytest.raises(OptionError, match="x must be numbers, got "):
        options.numbers("x", np.array([1, text], object))


def test_several_documents_of_json_are_told_as_such():
    with pytest.raises(OptionError, match=r"Extra data.*; of JSON in several lines, such as a video's, give one"):
        options.json_value("a result", '{"a": 1}\n{"a": 2}\n')
