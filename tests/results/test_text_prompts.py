"""Text prompts: which objects a text means, what CLIP is shown of them, and that it is shown once."""

import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from support import toy_clip
from support.tiny_onnx import known

from fastsam_onnx import Clip, CropStyle, FastSAM, Mask, OptionError, PromptError, Segmentation
from fastsam_onnx.results.crops import cut_out

GREY = (128, 128, 128)
SIZE = (120, 90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_clip.write(tmp_path_factory.mktemp("clip") / "toy")


@pytest.fixture
def clip(folder):
    return Clip(folder)


def rectangle(x1, y1, x2, y2, size=SIZE):
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


def painted(things):
    """A grey photo with rectangles of colours, and their masks."""
    photo = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    masks = []
    for colour, box in things:
        masks.append(rectangle(*box))
        photo[masks[-1].slices] = toy_clip.COLOURS[colour]
    return photo, masks


# A large thing, a speck, ...: specks have 25 pixels, and lie before, between and after the others.
THINGS = [
    ("red", (0, 0, 5, 5)),
    ("yellow", (10, 0, 15, 5)),
    ("blue", (20, 10, 60, 30)),
    ("green", (70, 0, 75, 5)),
    ("red", (70, 10, 110, 30)),
    ("purple", (80, 0, 85, 5)),
    ("white", (90, 0, 95, 5)),
    ("green", (20, 40, 60, 60)),
    ("red", (70, 40, 110, 60)),
    ("blue", (115, 0, 120, 5)),
]


@pytest.fixture
def found(clip):
    photo, masks = painted(THINGS)
    return Segmentation.from_masks(masks, image=photo, clip=clip)


def rows_of(found, answer):
    return [found.masks.lazy.index(row) for row in answer.masks.lazy]


# ---------------------------------------------------------------- which objects


def test_a_text_finds_its_object_among_specks(found):
    """The references count the kept objects and then take that count for an index of all."""
    for text, row in (("a photo of the blue dog", 2), ("green", 7), ("the red thing", 4)):
        answer = found.text_prompt(text)
        assert rows_of(found, answer) == [row]
        assert answer.prompt_index.tolist() == [0]
        assert answer.similarity == pytest.approx([1], abs=0.02)


def test_several_texts_are_answered_in_their_order(found):
    answer = found.text_prompt(["green dog", "blue dog", "green dog"])
    assert rows_of(found, answer) == [7, 2, 7]
    assert answer.prompt_index.tolist() == [0, 1, 2]
    assert [instance.similarity for instance in answer] == answer.similarity.tolist()


def test_all_of_a_kind(found):
    answer = found.text_prompt(["red", "blue"], top_k=None, threshold=0.9)
    assert rows_of(found, answer) == [4, 8, 2]
    assert answer.prompt_index.tolist() == [0, 0, 1]
    assert answer.union().area == 3 * 40 * 20


def test_the_most_similar_come_first(found):
    scores = found.text_scores("yellow")[0]
    answer = found.text_prompt("yellow", top_k=3)
    assert rows_of(found, answer) == np.argsort(-scores, kind="stable")[:3].tolist()
    np.testing.assert_array_equal(answer.similarity, scores[rows_of(found, answer)])


def test_nothing_fits_is_nothing(found):
    answer = found.text_prompt(["yellow", "blue"], threshold=0.9)
    assert rows_of(found, answer) == [2]
    assert answer.prompt_index.tolist() == [1]
    assert len(found.text_prompt("yellow", threshold=0.9)) == 0
    assert len(found[[]].text_prompt("blue")) == 0
    assert len(found[[0, 1, 3]].text_prompt("red")) == 0, "specks alone"


def test_rivals_take_what_is_more_theirs(found):
    assert rows_of(found, found.text_prompt("red", top_k=None, negative=["green", "blue"])) == [4, 8]
    assert rows_of(found, found.text_prompt("red", top_k=None, negative="red thing")) == []
    with pytest.raises(PromptError, match="at least one, got None"):
        found.text_prompt("red", negative=None)
    with pytest.raises(PromptError, match="negative text 1 must be a string, got 7"):
        found.text_prompt("red", negative=["green", 7])


def test_specks_count_when_asked_for(found):
    assert rows_of(found, found.text_prompt("purple", min_area=0)) == [5]
    assert sorted(rows_of(found, found.text_prompt("red", top_k=None, threshold=0.9, min_area=24))) == [0, 4, 8]
    assert rows_of(found, found.text_prompt("red", top_k=None, threshold=0.9, min_area=25)) == [4, 8]


def test_scores_are_cosines_or_shares(found):
    cosines = found.text_scores(["red", "blue"])
    assert cosines.shape == (2, len(THINGS))
    assert cosines.dtype == np.float32
    small = found.areas <= 100
    assert np.isneginf(cosines[:, small]).all()
    assert (np.abs(cosines[:, ~small]) <= 1 + 1e-6).all()
    shares = found.text_scores(["red", "blue"], softmax=True)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    kept = np.exp(100 * (cosines[:, ~small] - 1))
    np.testing.assert_allclose(shares[:, ~small], kept / kept.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-7)
    assert not found[[0, 1]].text_scores("red", softmax=True).any(), "nothing left is no division by zero"


def test_templates_are_averaged(found, clip):
    both = found.text_scores("red", templates=["{} and {}", "blue {}"])
    vectors = clip.embed_texts(["red and red", "blue red"])
    mean = vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    crop = np.full((9, 9, 3), toy_clip.COLOURS["red"], np.uint8)
    assert both[0, 4] == pytest.approx(float(mean @ clip.embed_images(crop)[0]), abs=0.01)


# ---------------------------------------------------------------- once


@pytest.fixture
def counted(monkeypatch):
    """How many pictures and texts the encoders are given."""
    from fastsam_onnx.clip.encoders import ImageEncoder, TextEncoder

    counts = {"pictures": [], "texts": []}
    for kind, name in ((ImageEncoder, "pictures"), (TextEncoder, "texts")):
        original = kind.embed

        def embed(self, values, original=original, name=name):
            counts[name].append(len(values))
            return original(self, values)

        monkeypatch.setattr(kind, "embed", embed)
    return counts


def test_objects_are_embedded_once_and_selections_share_them(found, counted):
    found.text_prompt("red")
    assert sum(counted["pictures"]) == 4
    found.text_prompt(["blue", "green"])
    found[4:].text_prompt("red")
    found.point_prompt((25, 15)).text_prompt("blue")
    Segmentation.concatenate([found[:3], found[5:]]).text_prompt("green")
    assert sum(counted["pictures"]) == 4
    assert counted["texts"][-1] == 1
    found.text_prompt("red", crops=CropStyle("black"))
    assert sum(counted["pictures"]) == 8, "another style shows CLIP other pictures"


def test_a_selection_embeds_only_itself(found, counted):
    found[[2, 4]].text_prompt("red")
    assert sum(counted["pictures"]) == 2
    found.text_prompt("red")
    assert sum(counted["pictures"]) == 4


def test_other_masks_are_embedded_anew(found, counted):
    found.text_prompt("red")
    found.smooth().text_prompt("red")
    assert sum(counted["pictures"]) == 8


def test_a_result_can_be_pickled_while_objects_are_embedded(found):
    def pickled_between(done, total):
        state = found.embeddings.__getstate__()
        found.embeddings._seen[1]["another", CropStyle()] = np.zeros(4)  # as the thread that embeds does
        assert len(state["_seen"][1]) == done

    found.text_prompt("red", progress=pickled_between)


def test_progress_may_ask_the_result_that_it_tells_of(found):
    """It waited for itself, for ever: so in a thread that does not keep the tests waiting."""
    scores = []
    ask = threading.Thread(
        target=lambda: found.text_prompt("red", progress=lambda done, total: scores.append(found.text_scores("blue"))),
        daemon=True,
    )
    ask.start()
    ask.join(60)
    assert not ask.is_alive()
    np.testing.assert_array_equal(scores[0], found.text_scores("blue"))


def test_progress_that_is_no_function_is_refused_before_anything_is_embedded(found, counted):
    for ask in (found.text_prompt, found.classify, found.text_scores):
        with pytest.raises(OptionError, match="progress must be a function, got True"):
            ask("red", progress=True)
    with pytest.raises(OptionError, match="progress must be a function, got True"):
        found.similar(0, top_k=1, progress=True)
    with pytest.raises(OptionError, match="progress must be a function, got True"):
        found.embeddings.clip.embed_images([found.image], progress=True)
    assert not counted["pictures"]


def test_another_photo_is_looked_at_anew(found, counted):
    blue = found.text_prompt("blue").boxes
    swapped = replace(found, image=found.image[..., ::-1])
    np.testing.assert_array_equal(swapped.text_prompt("red").boxes, blue)
    np.testing.assert_array_equal(found.text_prompt("blue").boxes, blue)
    assert sum(counted["pictures"]) == 4 + 4 + 4


def test_many_objects_go_in_batches_and_report_progress(clip, counted):
    rng = np.random.default_rng(0)
    masks = [rectangle(x, y, x + 12, y + 12) for x, y in rng.integers(0, 70, (37, 2))]
    photo = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    found, seen = Segmentation.from_masks(masks, image=photo, clip=clip), []
    together = found.text_scores("red", progress=lambda done, total: seen.append((done, total)))
    assert counted["pictures"] == [1, 16, 16, 5] or counted["pictures"] == [16, 16, 5]
    assert seen == [(16, 37), (32, 37), (37, 37)]
    alone = [Segmentation.from_masks([mask], image=photo, clip=clip).text_scores("red")[0, 0] for mask in masks]
    np.testing.assert_allclose(together[0], alone, atol=1e-5)


def test_threads_ask_at_once_and_it_is_embedded_once(found, counted):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda text: rows_of(found, found.text_prompt(text)), ["red", "blue", "green"] * 8))
    assert answers == [[4], [2], [7]] * 8
    assert sum(counted["pictures"]) == 4


def test_results_travel_with_what_is_known(found, counted):
    found.text_prompt("red")
    again = pickle.loads(pickle.dumps(found))
    before = sum(counted["pictures"])
    assert rows_of(again, again.text_prompt("blue")) == [2]
    assert sum(counted["pictures"]) == before


# ---------------------------------------------------------------- what CLIP is shown

RING = np.pad(np.zeros((2, 4), bool), 1, constant_values=True)  # 4 x 6, a hole of 2 x 4


def ring_in_photo():
    photo = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)
    return photo, Mask(np.pad(RING, ((0, 2), (3, 0))), 1, 2, (12, 10))  # its box is x 4..10, y 2..6


@pytest.mark.parametrize(
    ("background", "colour"), [("mean", (123, 117, 104)), ("black", (0, 0, 0)), ("white", (255,) * 3)]
)
def test_the_crop_is_the_masks_box_and_the_rest_a_colour(background, colour):
    photo, mask = ring_in_photo()
    crop = cut_out(photo, mask, background, 0, colour)
    expected = photo[2:6, 4:10].copy()
    expected[~RING] = colour
    np.testing.assert_array_equal(crop, expected)


def test_the_photo_around_stays_or_is_blurred():
    photo, mask = ring_in_photo()
    np.testing.assert_array_equal(cut_out(photo, mask, "photo", 0, GREY), photo[2:6, 4:10])
    blurred = cut_out(photo, mask, "blur", 0, GREY)
    np.testing.assert_array_equal(blurred[RING], photo[2:6, 4:10][RING])
    assert (blurred != photo[2:6, 4:10]).any()


def test_a_margin_ends_at_the_photo():
    photo, mask = ring_in_photo()
    np.testing.assert_array_equal(cut_out(photo, mask, "photo", 0.5, GREY), photo[:9, 1:])  # 3 of 6 pixels on each side
    assert cut_out(photo, mask, "black", 0.5, (0, 0, 0)).shape == (9, 11, 3)


def test_styles_are_views_and_squares():
    photo, mask = ring_in_photo()
    views = CropStyle(("white", "photo"), square=True).views(photo, mask, (123, 117, 104))
    assert [pad for _, pad in views] == [(255, 255, 255), (123, 117, 104)]
    assert [pad for _, pad in CropStyle("black", square=False).views(photo, mask, GREY)] == [None]
    assert CropStyle("black") == CropStyle(["black"])


def test_what_is_around_a_mask_does_not_count_by_default(clip):
    """A green frame in a red surrounding: CLIP has to be shown the frame, not what it encloses."""
    photo = np.full((90, 120, 3), toy_clip.COLOURS["red"], np.uint8)
    frame = np.zeros((90, 120), bool)
    frame[20:60, 20:60] = True
    frame[24:56, 24:56] = False
    photo[frame] = toy_clip.COLOURS["green"]
    found = Segmentation.from_masks([Mask.from_dense(frame)], image=photo, clip=clip)
    assert found.text_scores("green")[0, 0] > found.text_scores("red")[0, 0]
    style = CropStyle("photo")
    assert found.text_scores("green", crops=style)[0, 0] < found.text_scores("red", crops=style)[0, 0]
    both = CropStyle(("mean", "photo"))
    views = found.embeddings.vectors(found.masks.lazy, photo, both)[0]
    single = [found.embeddings.vectors(found.masks.lazy, photo, CropStyle(each))[0] for each in both.backgrounds]
    np.testing.assert_allclose(views, np.mean(single, axis=0) / np.linalg.norm(np.mean(single, axis=0)), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backgrounds": ("pink",)}, "mean.*black"),
        ({"backgrounds": ()}, "backgrounds"),
        ({"margin": 2}, "margin"),
        ({"margin": "wide"}, "margin"),
        ({"margin": True}, "margin.*True"),
        ({"margin": float("nan")}, "margin.*nan"),
        ({"backgrounds": 3}, "backgrounds.*3"),
        ({"backgrounds": (None,)}, "backgrounds.*None"),
        ({"square": "no"}, "square must be True or False, got 'no'"),
    ],
)
def test_styles_that_mean_nothing_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        CropStyle(**options)


def test_styles_take_numpys_numbers():
    assert CropStyle(margin=np.float32(0.5)) == CropStyle(margin=0.5)
    assert CropStyle(margin=1).margin == 1.0


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("texts", ["", [], ["red", None], [" "], 3])
def test_texts_that_are_none_are_refused(found, texts):
    with pytest.raises(PromptError):
        found.text_prompt(texts)


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0},
        {"top_k": 1.5},
        {"top_k": True},
        {"threshold": 2},
        {"threshold": "high"},
        {"min_area": -1},
        {"min_area": 0.5},
        {"templates": "a photo of {}"},
        {"templates": ["a photo"]},
        {"templates": []},
    ],
)
def test_options_outside_their_range_are_refused(found, options):
    with pytest.raises(OptionError):
        found.text_prompt("red", **options)


def test_softmax_is_true_or_false(found):
    with pytest.raises(OptionError, match="softmax must be True or False, got 'no'"):
        found.text_scores("red", softmax="no")


def test_a_clip_is_taken_as_the_model_takes_it(found, folder):
    """A `Clip`, or its folder; what is neither is refused at once."""
    masks, image = list(found.masks), found.image
    for given in (folder, str(folder)):
        again = Segmentation.from_masks(masks, image=image, clip=given)
        np.testing.assert_array_equal(again.text_scores("red"), found.text_scores("red"))
    with pytest.raises(OptionError, match="got 7"):
        Segmentation.from_masks(masks, image=image, clip=7)


def test_without_clip_the_error_says_how_to_get_it():
    photo, masks = painted(THINGS)
    with pytest.raises(OptionError, match=r'lacks CLIP.*clip="clip-vit-b-32-int8".*downloads'):
        Segmentation.from_masks(masks, image=photo).text_prompt("red")


def test_without_the_photo_there_is_nothing_to_see(clip):
    _, masks = painted(THINGS)
    with pytest.raises(OptionError, match="lacks the photo"):
        Segmentation.from_masks(masks, clip=clip).text_prompt("red")


# ---------------------------------------------------------------- from the photo on


def two_objects() -> bytes:
    """Two halves of a 64x64 input, each object filling its box."""
    left, right = np.ones((1, 16, 16)), np.ones((1, 16, 16))
    boxes = [[16, 32, 24, 40], [48, 32, 24, 40]]
    return known(boxes, [0.9, 0.8], [[1.0, 0.0], [0.0, 1.0]], np.concatenate([left, right]))


def halves_photo():
    photo = np.full((64, 64, 3), GREY, np.uint8)
    photo[:, :32], photo[:, 32:] = toy_clip.COLOURS["red"], toy_clip.COLOURS["blue"]
    return photo


def test_a_model_with_clip_answers_texts(folder):
    with FastSAM(two_objects(), clip=folder) as model:
        found = model(halves_photo())
        assert model.clip is not None
        assert found.text_prompt("a blue thing").boxes.tolist() == [found.boxes[1].tolist()]
    assert rows_of(found, found.text_prompt("red")) == [0], "a result answers when its model is closed"
    shared = Clip(folder)
    assert FastSAM(two_objects(), clip=shared).clip is shared
    assert FastSAM(two_objects()).clip is None


def test_a_model_travels_with_its_clip(folder):
    model = pickle.loads(pickle.dumps(FastSAM(two_objects(), clip=folder)))
    found = model(halves_photo())
    assert rows_of(found, found.text_prompt("blue")) == [1]


def test_clip_is_not_opened_before_the_first_text(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    (folder / "vision_model.onnx").write_bytes(b"no network")
    assert len(FastSAM(two_objects(), clip=folder)(halves_photo())) == 2


def test_json_tells_the_similarity(found, tmp_path):
    found.text_prompt(["red", "blue"]).save(tmp_path / "a.json")
    objects = json.loads((tmp_path / "a.json").read_text())["objects"]
    assert [each["similarity"] for each in objects] == pytest.approx([1, 1], abs=0.02)
    found.save(tmp_path / "b.json")
    assert "similarity" not in json.loads((tmp_path / "b.json").read_text())["objects"][0]


def test_what_is_too_small_to_be_compared_gets_no_name(found):
    """It was kept as the other class, with a similarity of -1."""
    named = found.classify(["red"], other="thing", min_area=25)
    compared = found.text_scores("red", min_area=25)[0] > -1
    assert 0 < compared.sum() < len(found)
    assert len(named) == compared.sum()
    assert named.similarity.min() > -1
    assert len(found.classify(["red"], other="thing")) == len(found)
