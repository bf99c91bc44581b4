"""Names of other packages: an AttributeError says what is written here in their place, and what it says is there."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest

from fastsam_onnx import FastSAM, Mask, OptionError, Segmentation, elsewhere

PHOTO = np.full((40, 60, 3), 90, np.uint8)
SQUARE = Mask.from_dense(np.pad(np.ones((10, 10), bool), 8))
FOUND = Segmentation.from_masks([SQUARE])
CODE = re.compile(r"\b(?:model|found|one|mask)(?:\.\w+|\[[^\]]*\]+|\(photo[^)]*\))+")


@pytest.fixture(scope="module")
def things():
    return {"model": FastSAM(), "found": FOUND, "one": FOUND[0], "mask": FOUND[0].mask, "masks": FOUND.masks}


@pytest.mark.parametrize(
    ("thing", "hints"),
    [
        ("model", elsewhere.MODEL),
        ("found", elsewhere.RESULT),
        ("one", elsewhere.OBJECT),
        ("masks", elsewhere.MASKS),
        ("mask", elsewhere.MASK),
    ],
)
def test_what_is_to_be_written_is_there(things, thing, hints):
    for name, hint in hints.items():
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'; {re.escape(hint)}$"):
            getattr(things[thing], name)
        for code in CODE.findall(hint):
            eval(code, {**things, "photo": PHOTO, "photos": [PHOTO]})  # it raises what is missing


def test_options_of_others_say_what_to_write_in_their_place(things):
    for name, hint in elsewhere.OPTIONS.items():
        for call in (lambda **given: things["model"](PHOTO, **given), FastSAM):
            with pytest.raises(
                OptionError, match=f" has no option {name}; it accepts: .*; in place of {name}: "
            ) as told:
                call(**{name: 1})
            assert str(told.value).endswith(hint)
    with pytest.raises(OptionError, match=r"^FastSAM has no option colour, shape; it accepts: imgsz, .*, clip$"):
        FastSAM(colour=3, shape=1, conf=0.5)
    with pytest.raises(OptionError, match=r"^a call has no option verbose"):
        things["model"](source=PHOTO, conf=0.5, verbose=False)
    with pytest.raises(OptionError, match="in place of classes: "):
        things["model"].stream([PHOTO], classes=[0])
    assert list(inspect.signature(things["model"]).parameters)[:3] == ["source", "imgsz", "conf"]


def test_other_names_are_missing_as_ever():
    with pytest.raises(AttributeError, match=r"^'Segmentation' object has no attribute 'colour'$") as told:
        _ = FOUND.colour
    assert (told.value.name, told.value.obj) == ("colour", FOUND)
    assert not hasattr(FOUND, "plot")
    assert getattr(FOUND, "plot", None) is None


def test_results_are_copied_and_pickled_as_ever():
    for again in (copy.copy(FOUND), copy.deepcopy(FOUND), pickle.loads(pickle.dumps(FOUND))):
        assert again.masks[0] == FOUND.masks[0]
        assert again[0] == FOUND[0]
    assert np.asarray(SQUARE).sum() == 100


def test_a_property_that_fails_tells_its_own_reason():
    @elsewhere.telling({"broken": "mend it"})
    class Thing:
        @property
        def broken(self):
            return self.part.missing

        part = 1

    with pytest.raises(AttributeError, match="'int' object has no attribute 'missing'"):
        _ = Thing().broken
