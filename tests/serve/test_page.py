"""The page in a real browser: what it chooses is what the Python API chooses. Skipped where there is no Chromium."""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastsam_onnx import Mask, Segmentation
from fastsam_onnx.formats import FORMATS, encode
from fastsam_onnx.formats.native import read_json
from fastsam_onnx.log import warn

for package in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(package, reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("selenium", reason="needs Selenium")

from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from support import server
from support.server import Client, Reader, Slow, running

from fastsam_onnx.serve.archive import zip_files
from fastsam_onnx.serve.received import Limits
from fastsam_onnx.serve.service import Service

pytestmark = pytest.mark.process  # a browser

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "examples" / "coffee.jpg"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), one => one.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], arguments[1], {type: arguments[2]}));
for (const kind of ["dragenter", "dragover", "drop"])
  document.getElementById("drop").dispatchEvent(
    new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: transfer}));
"""


@pytest.fixture(scope="module")
def found(model) -> Segmentation:
    """What the page asks for: clicks look at objects below the model's threshold, too."""
    return model(PHOTO, conf=0.02)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    for argument in ("--headless=new", "--disable-gpu", "--window-size=1280,860", *quiet):
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Driver(driver))
    yield browser
    browser.quit()


@pytest.fixture
def page(browser, client: Client, tmp_path: Path):
    """The page with the photo dropped on it and answered."""
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    browser.get(f"http://127.0.0.1:{client.port}/")
    drop(browser, PHOTO.read_bytes(), "coffee.jpg")
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def drop(browser, content: bytes, name: str, kind: str = "image/jpeg") -> None:
    browser.execute_script(DROP, base64.b64encode(content).decode(), name, kind)
    wait(browser, lambda b: b.find_element(By.ID, "work").is_displayed() and not busy(b))


def wait(browser, condition) -> None:
    WebDriverWait(browser, 30, 0.05).until(condition)


def busy(browser) -> bool:
    return "busy" in (browser.find_element(By.TAG_NAME, "body").get_attribute("class") or "")


def indices(browser, selector: str) -> list[int]:
    """Which objects of the list it selects; asked at once, because the list changes when the server answers."""
    every = "return [...document.querySelectorAll(arguments[0])].map(item => Number(item.dataset.index))"
    return browser.execute_script(every, selector)


def chosen(browser) -> list[int]:
    return indices(browser, "#list [aria-selected=true]")


def picked(browser) -> list[str]:
    """The masks that are chosen, when the server has looked closer; it may give one that the list has not."""
    wait(browser, lambda b: not busy(b))
    return browser.execute_script("return chosen().map(object => object.rle.counts)")


def masks_of(answer: Segmentation) -> list[str]:
    return [mask.rle()["counts"] for mask in answer.masks]


@contextmanager
def offline(browser):
    """The server cannot be reached: what the page does by itself."""
    speed = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **speed})
    try:
        yield
        wait(browser, lambda b: not busy(b))
    finally:
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **speed})
        browser.execute_cdp_cmd("Network.disable", {})
        browser.get_log("browser")  # Chromium writes the failed requests there


def listed(browser) -> list[int]:
    return indices(browser, "#list li")


def status(browser) -> str:
    return browser.find_element(By.ID, "status").text


def from_the_middle(browser, found: Segmentation, x: float, y: float) -> tuple[int, int]:
    """A pixel of the photo as Selenium counts places in an element: from its middle, in whole pixels of the screen."""
    size = browser.find_element(By.ID, "view").size
    width, height = found.image_size
    return round((x / width - 0.5) * size["width"]), round((y / height - 0.5) * size["height"])


def pointer(browser, found: Segmentation, x: float, y: float) -> ActionChains:
    """Moves the mouse to a pixel of the photo."""
    across, down = from_the_middle(browser, found, x, y)
    return ActionChains(browser, duration=20).move_to_element_with_offset(
        browser.find_element(By.ID, "view"), across, down
    )


def pixel(browser, found: Segmentation, x: float, y: float) -> tuple[float, float]:
    """The place in the photo at which `pointer` really lands."""
    return tuple(
        browser.execute_script(
            """const frame = document.getElementById("view").getBoundingClientRect();
            const x = Math.floor(frame.left + frame.width / 2) + arguments[0];
            const y = Math.floor(frame.top + frame.height / 2) + arguments[1];
            return [(x - frame.left) * arguments[2] / frame.width, (y - frame.top) * arguments[3] / frame.height];""",
            *from_the_middle(browser, found, x, y),
            *found.image_size,
        )
    )


def rows_of(found: Segmentation, answer: Segmentation) -> list[int]:
    masks = [mask.rle() for mask in found.masks]
    return [masks.index(mask.rle()) for mask in answer.masks]


def save_as(page, called):
    Select(page.find_element(By.ID, "format")).select_by_visible_text(called)
    page.find_element(By.ID, "other").click()


def saved(folder: Path, name: str) -> bytes:
    for _ in range(200):
        if (folder / name).exists() and (content := (folder / name).read_bytes()):
            return content
        time.sleep(0.05)
    raise AssertionError(f"{name} was not saved; there are {[path.name for path in folder.iterdir()]}")


def show_from(browser, score: float) -> None:
    """Moves the slider."""
    move = (
        "const one = document.getElementById('least'); one.value = arguments[0]; one.dispatchEvent(new Event('input'))"
    )
    browser.execute_script(move, score)


def test_objects_from_the_models_threshold_are_listed_and_all_can_be(page, model, found):
    shown = (found.scores >= model.options["conf"]).sum()
    assert shown == len(model(PHOTO))
    assert 0 < shown < len(found)
    assert listed(page) == list(range(shown))
    assert f"{shown} of {len(found)} objects in 600 × 400 pixels" in status(page)
    show_from(page, 0)
    assert listed(page) == list(range(len(found)))
    assert f"{len(found)} objects in 600 × 400 pixels" in status(page)


@pytest.mark.parametrize("score", [0, 0.1])
def test_what_lies_in_a_larger_object_can_be_left_out(page, found, tmp_path, score):
    show_from(page, score)
    tint = "return base.toDataURL()"
    before = page.execute_script(tint)
    page.find_element(By.ID, "parts").click()
    shown = np.flatnonzero(found.scores >= score)
    wholes = shown[found[shown].parents() < 0]
    assert 0 < len(wholes) < len(shown)
    assert listed(page) == wholes.tolist()
    assert f"{len(wholes)} of {len(found)} objects" in status(page)
    assert page.execute_script(tint) != before
    page.find_element(By.ID, "json").click()
    document = json.loads(saved(tmp_path, "coffee.json"))
    assert [Mask.from_rle(one["rle"]).area for one in document["objects"]] == found[wholes].areas.tolist()
    page.find_element(By.ID, "parts").click()
    assert listed(page) == shown.tolist()
    assert page.execute_script(tint) == before


def test_the_tint_begins_with_the_objects_listed(page):
    """It was once made before the slider stood at the model's threshold, and showed every object."""
    first, anew = page.execute_script(
        "const first = base.toDataURL(); tinted = null; paintBase(); return [first, base.toDataURL()]"
    )
    assert first == anew


@pytest.mark.parametrize("point", [(300, 200), (130, 110), (560, 40), (365, 280), (30, 340)])
def test_a_click_chooses_what_the_python_api_chooses(page, found, point):
    pointer(page, found, *point).click().perform()
    assert picked(page) == masks_of(found.point_prompt([pixel(page, found, *point)]))
    [expected] = found.point_prompt(pixel(page, found, *point)).predicted_iou
    assert status(page).endswith(f"expected IoU {expected:.2f}")


@pytest.mark.parametrize("point", [(300, 200), (130, 110), (560, 40), (365, 280), (30, 340)])
def test_a_click_is_answered_at_once_and_without_the_server(page, found, point):
    with offline(page):
        pointer(page, found, *point).click().perform()
        expected = rows_of(found, found.point_prompt([pixel(page, found, *point)], pick="balanced"))
        assert chosen(page) == expected
        wait(page, lambda b: "could not look closer" in status(b))
        assert chosen(page) == expected


def test_an_answer_that_is_not_in_the_list_is_put_first_and_saved(page, found, tmp_path):
    """Of all places there are some where the network offered a better mask than NMS left."""
    masks = {mask.rle()["counts"] for mask in found.masks}
    places = [(x, y) for x in range(20, 600, 40) for y in range(20, 400, 40)]
    place = next(each for each in places if masks.isdisjoint(masks_of(found.point_prompt([each]))))
    page.execute_script("choose(...arguments[0], {})", place)
    expected = masks_of(found.point_prompt([place]))
    assert picked(page) == expected
    assert "The object at the point: " in status(page)
    assert chosen(page) == [listed(page)[0]] == [len(found)]
    page.find_element(By.ID, "json").click()
    [one] = json.loads(saved(tmp_path, "coffee.json"))["objects"]
    assert (one["rle"]["counts"], one["index"]) == (expected[0], 0)
    assert set(one) == set(json.loads(found.to_json())["objects"][0])
    page.find_element(By.ID, "keep").click()
    page.find_element(By.CSS_SELECTOR, "#list li").click()  # takes it away again
    assert picked(page) == []
    assert len(found) not in listed(page)


@pytest.fixture
def slow(browser, model):
    """The model behind the page, which has a photo: it answers at once until `go` is cleared.

    Nothing is remembered: clicks on a photo that is are answered without the model.
    """
    model = Slow(model)
    model.go.set()
    with running(Service(model, workers=1, limits=Limits(remembered=0)).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        yield model


def test_a_later_click_does_not_wait_for_the_answer_to_the_first(browser, slow, found):
    slow.go.clear()
    browser.execute_script("choose(300, 200, {}); choose(560, 40, {})")
    assert chosen(browser) == rows_of(found, found.point_prompt([(560, 40)], pick="balanced"))
    slow.go.set()
    assert picked(browser) == masks_of(found.point_prompt([(560, 40)]))
    slow.go.clear()
    browser.execute_script("choose(300, 200, {}); clear()")
    slow.go.set()
    assert picked(browser) == []
    assert browser.execute_script("return past.length") == 4


def test_what_undo_and_redo_bring_back_is_answered_by_the_server_too(browser, slow, found):
    [guess], [answer] = (found.point_prompt([(30, 340)], pick=pick) for pick in ("balanced", "candidate"))
    assert guess.mask.rle() != answer.mask.rle()
    for after in ("goBack(past, future); goBack(future, past)", "choose(560, 40, {}); goBack(past, future)"):
        slow.go.clear()
        browser.execute_script(f"clear(); choose(30, 340, {{}}); {after}")
        slow.go.set()
        assert picked(browser) == [answer.mask.rle()["counts"]]
    slow.go.clear()
    browser.execute_script("choose(300, 200, {}); resize(1)")
    larger = browser.execute_script("return chosen().map(object => object.rle.counts)")
    browser.execute_script("goBack(past, future); goBack(future, past)")
    slow.go.set()
    assert picked(browser) == larger, "a size that was chosen stays"


def test_shift_click_excludes_and_control_click_adds(page, found):
    first, second, away = (300, 200), (330, 260), (560, 40)
    pointer(page, found, *first).click().perform()
    pointer(page, found, *second).key_down(Keys.CONTROL).click().key_up(Keys.CONTROL).perform()
    pointer(page, found, *away).key_down(Keys.SHIFT).click().key_up(Keys.SHIFT).perform()
    points = [pixel(page, found, *point) for point in (first, second, away)]
    assert picked(page) == masks_of(found.point_prompt(points, [1, 1, 0]))


def test_without_the_server_points_choose_by_the_rules_of_balanced(page, found):
    points, labels = [(300, 200), (330, 260), (560, 40)], [1, 1, 0]
    with offline(page):
        for point, event in zip(points, ({}, {"ctrlKey": True}, {"shiftKey": True}), strict=True):
            page.execute_script("choose(...arguments[0], arguments[1])", point, event)
        assert chosen(page) == rows_of(found, found.point_prompt(points, labels, pick="balanced"))


def drag(page, found: Segmentation, box) -> list[int]:
    """Draws a box with the mouse; its corners in the photo, which the page rounds."""
    view = page.find_element(By.ID, "view").size
    per_pixel = view["width"] / found.image_size[0], view["height"] / found.image_size[1]
    across, down = (round((box[axis + 2] - box[axis]) * per_pixel[axis]) for axis in (0, 1))
    x1, y1 = pixel(page, found, *box[:2])
    pointer(page, found, *box[:2]).click_and_hold().move_by_offset(across, down).release().perform()
    corners = (x1, y1, x1 + across / per_pixel[0], y1 + down / per_pixel[1])
    return [math.floor(value + 0.5) for value in corners]


@pytest.mark.parametrize("box", [(100, 80, 420, 330), (320, 230, 410, 332), (10, 5, 590, 395)])
def test_a_dragged_box_chooses_what_the_python_api_chooses(page, found, tmp_path, box):
    corners = drag(page, found, box)
    wait(page, lambda b: "in the box" in status(b) and not busy(b))
    page.find_element(By.ID, "json").click()
    document = json.loads(saved(tmp_path, "coffee.json"))
    expected = found.box_prompt([corners])
    assert [one["rle"] for one in document["objects"]] == [mask.rle() for mask in expected.masks]
    assert len(expected) == 1


def test_a_box_is_answered_at_once_and_without_the_server(page, found):
    with offline(page):
        corners = drag(page, found, (100, 80, 420, 330))
        assert chosen(page) == rows_of(found, found.box_prompt([corners], match="mask"))
        wait(page, lambda b: "could not look closer" in status(b))
        assert chosen(page)


def test_points_in_a_box_correct_its_answer(page, found):
    corners = drag(page, found, (100, 80, 420, 330))
    wait(page, lambda b: "in the box" in status(b) and not busy(b))
    points = []
    for point, event, label in (((300, 200), {"shiftKey": True}, 0), ((180, 250), {"ctrlKey": True}, 1)):
        points.append((point, label))
        page.execute_script("choose(...arguments[0], arguments[1])", point, event)
        assert picked(page) == masks_of(found.box_prompt(corners, *map(list, zip(*points, strict=True))))


def test_without_the_server_points_in_a_box_choose_among_the_objects(page, found):
    with offline(page):
        corners = drag(page, found, (100, 80, 420, 330))
        page.execute_script("choose(300, 200, {shiftKey: true})")
        assert chosen(page) == rows_of(found, found.box_prompt([corners], [[(300, 200)]], [[0]], match="mask"))


def use(page, tool: str) -> None:
    page.find_element(By.CSS_SELECTOR, f"[name=tool][value={tool}]").click()


def brushed(page, found: Segmentation) -> Mask:
    """What the page asks the server, and what it paints, for a brush that was drawn."""
    asked = page.execute_script("return asked()")
    assert list(asked) == ["masks"]
    mask = Mask.from_rle(asked["masks"])
    radius = page.execute_script("return sketch.radius")
    assert radius == pytest.approx(7 * found.image_size[0] / frame_of(page)["width"])
    return mask


def test_a_brush_chooses_what_the_python_api_chooses_for_its_mask(page, found):
    use(page, "brush")
    view = page.find_element(By.ID, "view").size
    per_pixel = view["width"] / found.image_size[0]
    pointer(page, found, 240, 60).click_and_hold().move_by_offset(
        round(100 * per_pixel), round(90 * per_pixel)
    ).release().perform()
    mask = brushed(page, found)
    assert all(mask.contains(240 + 100 * share, 60 + 90 * share) for share in (0, 0.3, 0.5, 1))
    assert not mask.contains(240, 150)
    wait(page, lambda b: "under the brush" in status(b) and not busy(b))
    assert picked(page) == masks_of(found.mask_prompt(mask))
    page.execute_script("choose(560, 40, {})")
    assert picked(page) == masks_of(found.point_prompt([(560, 40)])), "a click asks anew"
    page.find_element(By.ID, "undo").click()
    assert picked(page) == masks_of(found.mask_prompt(mask))


def test_points_after_a_brush_correct_its_answer(page, found):
    page.execute_script("askStroke([[240, 60], [300, 120], [340, 150]], 5)")
    mask = Mask.from_rle(page.execute_script("return asked()")["masks"])
    assert picked(page) == masks_of(found.mask_prompt(mask))
    points = []
    for *point, label in ((560, 40, 0), (300, 210, 1), (260, 90, 0)):
        event = {"ctrlKey": True} if label else {"shiftKey": True}
        points.append((point, label))
        page.execute_script("choose(...arguments[0], arguments[1])", point, event)
        assert picked(page) == masks_of(found.mask_prompt(mask, *map(list, zip(*points, strict=True))))


def mask_of_answer(page) -> Mask:
    return Mask.from_rle(page.execute_script("return answers[step].rle"))


def test_what_was_made_larger_is_corrected_as_it_is(page, found):
    page.execute_script("choose(300, 110, {})")
    assert picked(page) == masks_of(found.point_prompt([(300, 110)]))
    first = mask_of_answer(page)
    page.execute_script("resize(1)")
    larger = mask_of_answer(page)
    assert larger.area > first.area
    page.execute_script("choose(230, 120, {shiftKey: true})")
    assert picked(page) == masks_of(found.mask_prompt(larger, [(230, 120)], [0]))
    page.execute_script("choose(300, 60, {ctrlKey: true})")
    assert picked(page) == masks_of(found.mask_prompt(larger, [(230, 120), (300, 60)], [0, 1]))
    page.execute_script("goBack(past, future)")
    page.execute_script("goBack(past, future)")
    assert mask_of_answer(page) == larger


@pytest.mark.parametrize("listed", [True, False], ids=["in the list", "by text"])
def test_a_point_is_taken_away_from_an_object_that_was_chosen_in_another_way(page, found, listed):
    """The others that are chosen stay as they are; a point beside all of them asks for nothing."""
    rows = page.execute_script(
        "const rows = found.objects.filter(object => !contains(object, 5, 5)).slice(0, 3);"
        + (
            "for (const row of rows) toggleKept(row);"
            if listed
            else "answers = Object.assign(rows, {all: true}); show();"
        )
        + "return rows.map(row => row.index)"
    )
    masks = [found.masks[row] for row in rows]
    x, y = masks[0].inner_point
    page.execute_script("choose(...arguments, {shiftKey: true})", x, y)
    held = min((mask for mask in masks if mask.contains(x, y)), key=lambda mask: mask.area)
    others = [mask for mask in masks if mask != held]
    expected = [mask.rle()["counts"] for mask in others] + masks_of(found.mask_prompt(held, [(x, y)], [0]))
    assert sorted(picked(page)) == sorted(expected)
    page.execute_script("goBack(past, future)")
    assert len(page.execute_script("return chosen()")) == 3


@pytest.mark.parametrize("listed", [True, False], ids=["in the list", "by text"])
def test_an_excluded_point_beside_what_is_chosen_loses_nothing(page, found, listed):
    """What was chosen by a text was gone, and of what was chosen in the list the next point took nothing away."""
    row = page.execute_script(
        "const row = found.objects.find(object => !contains(object, 5, 5));"
        + ("toggleKept(row);" if listed else "answers = Object.assign([row], {all: true}); show();")
        + "choose(5, 5, {shiftKey: true}); return row.index"
    )
    mask = found.masks[row]
    assert picked(page) == [mask.rle()["counts"]]
    point = mask.inner_point
    page.execute_script("choose(...arguments, {shiftKey: true})", *point)
    assert picked(page) == masks_of(found.mask_prompt(mask, [point], [0]))


def test_an_object_of_which_a_correction_leaves_nothing_is_not_chosen_any_more(page, found):
    """It stayed as it was, and nothing was said."""
    page.execute_script(
        "toggleKept(found.objects[0]); send = async () => ({objects: []}); choose(...arguments, {shiftKey: true})",
        *found.masks[0].inner_point,
    )
    assert picked(page) == []
    assert status(page) == "Nothing is left of the object."


def test_without_the_server_points_after_a_brush_choose_among_the_objects(page, found):
    with offline(page):
        page.execute_script("askStroke([[240, 60], [300, 120]], 5)")
        page.execute_script("choose(340, 150, {ctrlKey: true})")
        expected = found.point_prompt([(240, 60), (300, 120), (340, 150)], [1, 1, 1], pick="balanced")
        assert chosen(page) == rows_of(found, expected)


def test_a_brush_is_answered_at_once_and_without_the_server(page, found):
    with offline(page):
        page.execute_script("askStroke([[240, 60], [300, 120], [340, 150]], 5)")
        expected = found.point_prompt([(240, 60), (300, 120), (340, 150)], [1, 1, 1], pick="balanced")
        assert chosen(page) == rows_of(found, expected)


@pytest.mark.parametrize(
    "path", [[[0, 0], [599, 399]], [[-40, 200], [700, 220]], [[300, 399.9]], [[0.5, 0.5], [0.6, 0.6]]]
)
def test_a_brushs_run_lengths_are_its_discs(page, found, path):
    """Written as COCO's tools write them, clipped to the photo; pixels whose middles lie clearly inside or outside."""
    text = "const stroke = {path: arguments[0], radius: 6.5}; return runText(strokeRuns(stroke, 600, 400))"
    mask = Mask.from_rle({"size": [400, 600], "counts": page.execute_script(text, path)}).dense()
    rows, columns = np.mgrid[:400, :600] + 0.5
    (x1, y1), (x2, y2) = path[0], path[-1]
    length = max((x2 - x1) ** 2 + (y2 - y1) ** 2, 1e-9)
    share = (((columns - x1) * (x2 - x1) + (rows - y1) * (y2 - y1)) / length).clip(0, 1)
    distance = np.hypot(columns - x1 - share * (x2 - x1), rows - y1 - share * (y2 - y1))
    assert mask[distance < 5].all()
    assert not mask[distance > 7.6].any()


@pytest.mark.parametrize("width", [1280, 901])
def test_a_click_on_the_first_pixel_of_the_screen_that_shows_the_photo_is_in_the_photo(page, found, width):
    """Its left end lies up to half a pixel beside the photo: nothing was there."""
    page.execute_script("document.getElementById('stage').style.width = `${arguments[0] - 400}px`; layOut()", width)
    frame = frame_of(page)
    place = {"x": math.floor(frame["left"]), "y": frame["top"] + frame["height"] / 2, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **place})
    [[x, y]] = page.execute_script("return asked().points")
    assert 0 <= x < 1
    assert picked(page) == masks_of(found.point_prompt([(x, y)]))


@pytest.mark.parametrize(("undo", "keep"), [("z", "k"), ("Z", "K"), ("\u044f", "\u043b")])
def test_keys_are_heeded_with_caps_lock_and_on_keyboards_of_other_letters(page, undo, keep):
    """With Caps Lock B, K and N did nothing; on a Russian keyboard no letter did, not even Ctrl Z."""
    page.execute_script("choose(300, 150, {}); view.focus()")
    with_control = 2
    page.execute_cdp_cmd(
        "Input.dispatchKeyEvent", {"type": "keyDown", "code": "KeyZ", "key": undo, "modifiers": with_control}
    )
    assert page.execute_script("return [past.length, future.length]") == [0, 1]
    page.execute_script("choose(300, 150, {})")
    page.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown", "code": "KeyK", "key": keep})
    assert page.execute_script("return kept.size") == 1


def test_a_stroke_over_all_of_a_large_photo_has_run_lengths(page):
    """On a phone a brush is 162 pixels of such a photo wide; the pixels under it were a Set, which takes 2 ** 24."""
    path = [[x, y] for y in range(0, 6200, 200) for x in (-200, 8200)]
    runs = page.execute_script("return strokeRuns({path: arguments[0], radius: 162}, 8000, 6000)", path)
    assert runs == [0, 8000 * 6000]


def test_a_finger_brushes_and_moves_nothing(phone, found):
    use(phone, "brush")
    before = frame_of(phone)
    touch(phone, where(phone, found, 240, 60), then=[[where(phone, found, x, 60 + x - 240)] for x in (270, 300, 330)])
    mask = brushed(phone, found)
    wait(phone, lambda b: "under the brush" in status(b) and not busy(b))
    assert frame_of(phone) == before
    assert picked(phone) == masks_of(found.mask_prompt(mask))


def test_a_click_outside_or_without_a_key_asks_anew(page, found):
    for point, event in (((300, 200), {}), ((560, 40), {"ctrlKey": True})):
        drag(page, found, (100, 80, 420, 330))
        page.execute_script("choose(...arguments[0], arguments[1])", point, event)
        assert picked(page) == masks_of(found.point_prompt([point]))


def test_hover_lights_what_a_click_chooses_at_once(page, found):
    pointer(page, found, 300, 200).perform()
    [lit] = page.find_elements(By.CSS_SELECTOR, "#list .lit")
    expected = rows_of(found, found.point_prompt([pixel(page, found, 300, 200)], pick="balanced"))
    assert [int(lit.get_attribute("data-index"))] == expected


def test_what_was_clicked_is_not_lit_over_its_answer(page, found):
    """The cup shone through the coffee that a click on it had given, as long as the pointer stayed."""

    def lit():
        return page.execute_script("return hover !== null")

    pointer(page, found, 300, 150).perform()
    assert lit()
    pointer(page, found, 300, 150).click().perform()
    picked(page)
    assert not lit()
    pointer(page, found, 304, 150).perform()
    assert not lit()
    pointer(page, found, 365, 280).perform()  # another one, and back
    assert lit()
    pointer(page, found, 300, 150).perform()
    assert lit()


def step_through(page, name: str, what) -> list[int]:
    """What is chosen after each press of a button, until it cannot be pressed."""
    seen = what(page)
    while page.find_element(By.ID, name).is_enabled():
        page.find_element(By.ID, name).click()
        seen += what(page)
    return seen


def test_larger_and_smaller_go_through_all_that_lie_under_the_point(page, found):
    with offline(page):
        pointer(page, found, 300, 200).click().perform()
        wait(page, lambda b: "could not look closer" in status(b))
        every = rows_of(found, found.point_prompt([pixel(page, found, 300, 200)], pick="all"))
        assert len(every) > 1
        [row] = chosen(page)
        assert step_through(page, "larger", chosen) == every[every.index(row) :]
        assert step_through(page, "smaller", chosen) == every[::-1]


def test_larger_and_smaller_pass_the_servers_answers_and_nothing_like_the_first(page, found):
    pointer(page, found, 300, 200).click().perform()
    [answer] = picked(page)
    step_through(page, "larger", picked)
    seen = [
        Mask.from_rle({"size": [400, 600], "counts": counts}) for counts in step_through(page, "smaller", picked)[::-1]
    ]
    assert [mask.area for mask in seen] == sorted(mask.area for mask in seen)
    same = [mask.iou(Mask.from_rle({"size": [400, 600], "counts": answer})) for mask in seen]
    assert sorted(same)[-1] == 1
    assert sorted(same)[-2] <= 0.8
    alternatives = found.point_prompt([pixel(page, found, 300, 200)], pick="alternatives")
    assert len(alternatives) > 1
    assert masks_of(alternatives)[0] == answer
    assert all(max(mask.iou(other) for other in seen) == 1 for mask in alternatives.masks)


def test_the_keyboard_does_all_of_it(page, found):
    view = page.find_element(By.ID, "view")
    view.send_keys(Keys.ENTER)  # the cross starts in the middle
    middle = (300, 200)
    assert picked(page) == masks_of(found.point_prompt([middle]))
    view.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)  # by a 60th of the long side
    view.send_keys(Keys.SHIFT, Keys.ENTER)
    view.send_keys(Keys.NULL)
    assert picked(page) == masks_of(found.point_prompt([middle, (310, 210)], [1, 0]))
    view.send_keys(Keys.ESCAPE)
    assert chosen(page) == []
    view.send_keys("b", Keys.ARROW_RIGHT * 8, Keys.ARROW_DOWN * 8, "b")
    assert picked(page) == masks_of(found.box_prompt([(310, 210, 390, 290)]))
    assert "in the box" in status(page)
    view.send_keys("k")
    item = page.find_element(By.CSS_SELECTOR, '#list [tabindex="0"]')
    item.send_keys(Keys.ARROW_DOWN)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert chosen(page) == listed(page)[:2]
    assert "2 objects chosen" in status(page)


def test_the_keyboard_brushes(page, found):
    page.find_element(By.CSS_SELECTOR, "[name=tool]:checked").send_keys(Keys.ARROW_RIGHT * 4)
    view = page.find_element(By.ID, "view")
    view.send_keys("b", Keys.ARROW_RIGHT * 4, Keys.ARROW_DOWN * 5, "b")  # from the middle
    mask = brushed(page, found)
    assert all(mask.contains(*place) for place in ((300, 200), (340, 200), (340, 250)))
    assert not mask.contains(300, 250)
    wait(page, lambda b: "under the brush" in status(b) and not busy(b))
    assert picked(page) == masks_of(found.mask_prompt(mask))


def test_the_keys_stay_in_the_list_when_what_they_were_at_leaves_it(page, found):
    """An answer of the server that the list has only as long as it is chosen: the focus went to nowhere."""
    page.execute_script("choose(300, 150, {})")
    wait(page, lambda b: not busy(b))
    assert chosen(page) == [listed(page)[0]] == [len(found)]
    page.find_element(By.CSS_SELECTOR, "#list [tabindex='0']").send_keys(Keys.ENTER)
    assert chosen(page) == []
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    assert chosen(page) == [listed(page)[1]]


@pytest.mark.parametrize("other", ["choose(300, 150, {})", "toggleKept(found.objects[0])", "clear()"])
def test_a_box_that_was_begun_ends_with_what_is_chosen_otherwise(page, found, other):
    """Its corner stayed, and the next B made a box from there."""
    view = page.find_element(By.ID, "view")
    view.send_keys("b", Keys.ARROW_RIGHT)
    page.execute_script(other)
    view.send_keys("b", Keys.ARROW_RIGHT * 8, Keys.ARROW_DOWN * 8, "b")
    assert masks_of(found.box_prompt([(310, 200, 390, 280)]))[0] in picked(page)


@pytest.mark.parametrize("modifier", ["ctrlKey", "metaKey", "altKey"])
def test_the_browsers_shortcuts_are_its_own(page, found, modifier):
    """Zoom, search bar, bookmarks, back and home, on the photo and in the list; what is chosen stays."""
    pointer(page, found, 300, 200).click().perform()
    before = picked(page)
    taken = page.execute_script(
        """const press = (element, key) => !element.dispatchEvent(
            new KeyboardEvent("keydown", {key, [arguments[0]]: true, bubbles: true, cancelable: true}));
        return [...["-", "+", "=", "k", "b", "ArrowLeft"].filter(key => press(view, key)),
            ...["Home", "End", "ArrowDown"].filter(key => press(list.firstElementChild, key))]""",
        modifier,
    )
    assert taken == []
    assert picked(page) == before
    assert page.execute_script("return [past.length, kept.size, way]") == [1, 0, None]


def test_saved_files_are_those_of_the_python_api(page, found, tmp_path):
    import cv2
    import numpy as np

    pointer(page, found, 300, 200).click().perform()
    answer = found.point_prompt([pixel(page, found, 300, 200)])
    assert picked(page) == masks_of(answer)
    for name in ("json", "png", "cut"):
        page.find_element(By.ID, name).click()
    save_as(page, "COCO")
    document = json.loads(saved(tmp_path, "coffee.json"))
    assert [one["rle"] for one in document["objects"]] == [answer[0].mask.rle()]
    assert (document["width"], document["height"], document["source"]) == (600, 400, "coffee.jpg")
    [coco], [expected] = json.loads(saved(tmp_path, "coffee.coco.json")), replace(answer, source="coffee.jpg").to_coco()
    assert coco.pop("bbox") == pytest.approx(expected.pop("bbox"), abs=0.011)  # the page knows corners to a hundredth
    assert coco == expected
    overlay = cv2.imdecode(np.frombuffer(saved(tmp_path, "coffee.overlay.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert overlay.shape == (400, 600, 4)
    assert saved(tmp_path, "coffee.cutout.png") == encode(answer, "cutout", soft=True)


def test_all_objects_are_saved_as_the_python_api_saves_them(page, found, tmp_path):
    show_from(page, 0)
    page.find_element(By.ID, "json").click()
    document = json.loads(saved(tmp_path, "coffee.json"))
    assert [Mask.from_rle(one["rle"]).area for one in document["objects"]] == found.areas.tolist()


def test_the_servers_refusal_is_told_and_the_photo_stays(page):
    page.execute_script(DROP, base64.b64encode(b"no picture").decode(), "words.txt", "text/plain")
    wait(page, lambda b: "not a picture in a known format" in status(b))
    assert page.find_element(By.ID, "work").is_displayed()
    page.get_log("browser")  # Chromium writes the 422 there


def test_a_photo_that_the_browser_cannot_show_is_segmented_all_the_same(page, model):
    import cv2

    done, tiff = cv2.imencode(".tiff", cv2.imread(str(PHOTO)))
    assert done
    drop(page, bytes(tiff), "coffee.tiff", "image/tiff")
    wait(page, lambda b: "cannot show" in status(b))
    assert len(listed(page)) == len(model(bytes(tiff)))


def test_nothing_is_loaded_from_another_host(page, client):
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded
    assert all(name.startswith((f"http://127.0.0.1:{client.port}/", "blob:", "data:")) for name in loaded)


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_all_without_scrolling_sideways(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        wait(page, lambda b: b.find_element(By.ID, "view").size["width"] <= width)
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        page.execute_script("queue = Array(12).fill(photo.file); showQueue()")
        assert page.find_element(By.ID, "next").is_displayed()
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(params=[(360, 740), (390, 844), (412, 915), (800, 900)], ids=lambda size: f"{size[0]}x{size[1]}")
def phone(page, request):
    """The page on a touch screen."""
    width, height = request.param
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    wait(page, lambda b: b.find_element(By.ID, "view").size["width"] <= width)
    yield page
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def touch(page, *fingers: tuple[float, float], then=()) -> None:
    """Fingers go down at places of the window, all at once, move to others, and are lifted."""
    points = [[{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(step)] for step in (fingers, *then)]
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[0]})
    for step in points[1:]:
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": step})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def where(page, found: Segmentation, x: float, y: float) -> tuple[float, float]:
    """The place in the window of a pixel of the photo."""
    frame = frame_of(page)
    return frame["x"] + frame["width"] * x / found.image_size[0], frame["y"] + frame["height"] * y / found.image_size[1]


def frame_of(page) -> dict[str, float]:
    return page.execute_script("return document.getElementById('view').getBoundingClientRect().toJSON()")


@pytest.mark.parametrize("point", [(300, 200), (130, 110), (560, 40), (365, 280), (30, 340)])
def test_a_tap_chooses_and_moves_nothing(phone, found, tmp_path, point):
    before = frame_of(phone)
    touch(phone, where(phone, found, *point))
    wait(phone, chosen)
    time.sleep(0.3)  # what a browser makes of a tap comes later
    assert phone.execute_script("return [scrollX, scrollY]") == [0, 0]
    assert frame_of(phone) == before
    assert phone.find_element(By.CSS_SELECTOR, "[name=tool]:checked").get_attribute("value") == "pick"
    assert picked(phone) == masks_of(found.point_prompt([point]))
    assert list(tmp_path.iterdir()) == []
    [item] = phone.find_elements(By.CSS_SELECTOR, "#list [aria-selected=true]")
    inside = "const a = arguments[0].getBoundingClientRect(), b = arguments[0].parentElement.getBoundingClientRect();"
    assert phone.execute_script(inside + "return a.top >= b.top - 1 && a.bottom <= b.bottom + 1", item)


def test_what_is_shown_is_what_is_saved(page, found, tmp_path):
    show_from(page, 0.3)
    shown = found[found.scores >= 0.3]
    assert 0 < len(shown) < len(found)
    assert f"the {len(shown)} objects shown" in page.find_element(By.ID, "what").text
    page.find_element(By.ID, "json").click()
    save_as(page, "COCO")
    masks = [mask.rle() for mask in shown.masks]
    assert [one["rle"] for one in json.loads(saved(tmp_path, "coffee.json"))["objects"]] == masks
    assert [one["segmentation"] for one in json.loads(saved(tmp_path, "coffee.coco.json"))] == masks
    page.find_element(By.CSS_SELECTOR, "#list li").click()
    (tmp_path / "coffee.json").unlink()
    page.find_element(By.ID, "json").click()
    [one] = json.loads(saved(tmp_path, "coffee.json"))["objects"]
    assert one["rle"] == masks[0]


def test_objects_of_several_answers_are_one_result(page, found, tmp_path):
    """Some answer a prompt, some were in the list: of a mixture of prompts' numbers no result is read back."""
    masks = {mask.rle()["counts"] for mask in found.masks}
    places = [(x, y) for x in range(20, 600, 40) for y in range(20, 400, 40)]
    place = next(each for each in places if masks.isdisjoint(masks_of(found.point_prompt([each]))))
    page.execute_script("choose(...arguments[0], {})", place)
    picked(page)
    page.execute_script("keep(); [...list.children].at(-1).click()")
    page.find_element(By.ID, "json").click()
    read = read_json(saved(tmp_path, "coffee.json"))
    assert [mask.rle()["counts"] for mask in read.masks] == picked(page)
    assert (len(read), read.prompt_index) == (2, None)
    save_as(page, "COCO")
    assert saved(tmp_path, "coffee.coco.json") == encode(read, "coco")


def test_several_photos_may_be_pasted(page):
    """Only the first was opened, without a word."""
    page.execute_script(
        """const bytes = Uint8Array.from(atob(arguments[0]), one => one.charCodeAt(0)), transfer = new DataTransfer();
        transfer.items.add(new File(["words"], "words.txt", {type: "text/plain"}));
        for (const name of ["one.jpg", "two.jpg"]) transfer.items.add(new File([bytes], name, {type: "image/jpeg"}));
        document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));""",
        base64.b64encode(PHOTO.read_bytes()).decode(),
    )
    wait(page, lambda b: b.execute_script("return photo.file.name") == "one.jpg" and not busy(b))
    assert page.find_element(By.ID, "next").text == "Next (1)"


def test_of_several_photos_each_has_its_turn(page, found, tmp_path):
    """The first at once, the others by a button or N; what is chosen in between comes before them."""
    import cv2

    paths = []
    for name, value in (("one", 60), ("two", 120), ("three", 180), ("four", 240)):
        paths.append(tmp_path / f"{name}.png")
        assert cv2.imwrite(str(paths[-1]), np.full((60, 80, 3), value, np.uint8))
    after = page.find_element(By.ID, "next")
    assert not after.is_displayed()

    def shown(name, left):
        wait(page, lambda b: b.execute_script("return photo.file.name") == f"{name}.png")
        wait(page, lambda b: not b.execute_script("return tasks"))
        assert after.is_displayed() == bool(left)
        assert after.text == (f"Next ({left})" if left else "")

    chooser = page.find_element(By.ID, "another")
    chooser.send_keys("\n".join(map(str, paths[:3])))
    shown("one", 2)
    after.click()
    shown("two", 1)
    chooser.send_keys(str(paths[3]))
    shown("four", 1)
    page.find_element(By.ID, "view").send_keys("n")
    shown("three", 0)
    page.find_element(By.ID, "view").send_keys("n")
    shown("three", 0)


def test_an_example_that_comes_late_does_not_take_the_place_of_a_photo(browser, client):
    browser.get(f"http://127.0.0.1:{client.port}/")
    browser.execute_script(
        """const real = reach;
        reach = (path, options) => path === "example.jpg" ? new Promise(come => { late = () => real(path).then(come); })
            : real(path, options);
        document.getElementById("example").click();"""
    )
    drop(browser, PHOTO.read_bytes(), "own.jpg")
    browser.execute_async_script("late(); setTimeout(arguments[0], 300)")
    wait(browser, lambda b: not busy(b))
    assert browser.execute_script("return photo.file.name") == "own.jpg"


def test_a_file_that_went_or_changed_since_it_was_chosen_is_told(page, tmp_path):
    """It was the server that did not answer."""
    paths = [tmp_path / f"{name}.jpg" for name in ("one", "two")]
    for path in paths:
        path.write_bytes(PHOTO.read_bytes())
    page.find_element(By.ID, "another").send_keys("\n".join(map(str, paths)))
    wait(page, lambda b: b.execute_script("return photo.file.name") == "one.jpg" and not busy(b))
    paths[1].unlink()
    page.find_element(By.ID, "next").click()
    wait(page, lambda b: not busy(b))
    assert status(page) == "two.jpg: the browser cannot read the file; was it moved or changed?"
    os.utime(paths[0], (0, 0))
    page.execute_script("keys.delete(photo.file); choose(300, 150, {})")  # as if the server had forgotten it
    wait(page, lambda b: not busy(b))
    assert status(page).endswith("could not look closer: the browser cannot read the file; was it moved or changed?")
    page.get_log("browser")  # Chromium writes the failed requests there


def test_a_second_click_on_next_passes_over_no_photo(browser, slow, tmp_path):
    paths = [tmp_path / f"{name}.jpg" for name in ("one", "two", "three")]
    for path in paths:
        path.write_bytes(PHOTO.read_bytes())
    after = browser.find_element(By.ID, "next")
    browser.find_element(By.ID, "another").send_keys("\n".join(map(str, paths)))
    wait(browser, lambda b: b.execute_script("return photo.file.name") == "one.jpg" and not busy(b))
    slow.go.clear()
    after.click()
    assert not after.is_enabled()
    browser.execute_script("openNext()")  # by its key
    slow.go.set()
    wait(browser, lambda b: not busy(b))
    assert browser.execute_script("return photo.file.name") == "two.jpg"
    assert (after.text, after.is_enabled()) == ("Next (1)", True)


def test_a_cut_out_is_copied(page, found):
    """By its button and by Ctrl C, unless text is marked."""
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    assert not page.find_element(By.ID, "copy").is_enabled()
    pointer(page, found, 300, 200).click().perform()
    wait(page, lambda b: not b.execute_script("return tasks"))
    answer = found.point_prompt([pixel(page, found, 300, 200)])
    copied = """const done = arguments[0], [item] = await navigator.clipboard.read();
        const blob = await item.getType("image/png");
        const bitmap = await createImageBitmap(blob), canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        const context = canvas.getContext("2d");
        context.drawImage(bitmap, 0, 0);
        done([bitmap.width, bitmap.height, [...context.getImageData(0, 0, bitmap.width, bitmap.height).data]]);"""
    expected = answer.cutout(soft=True)
    for copy in (
        page.find_element(By.ID, "copy").click,
        lambda: ActionChains(page).key_down(Keys.CONTROL).send_keys("c").key_up(Keys.CONTROL).perform(),
    ):
        page.execute_script("say('')")
        copy()
        wait(page, lambda b: status(b) == "Copied: paste it elsewhere")
        width, height, values = page.execute_async_script(f"(async () => {{ {copied} }}).apply(null, arguments)")
        assert (height, width) == expected.shape[:2]
        alpha = np.array(values, np.uint8).reshape(height, width, 4)[..., 3]
        np.testing.assert_array_equal(alpha, expected[..., 3])
    page.execute_script("say(''); getSelection().selectAllChildren(document.querySelector('h1'))")
    ActionChains(page).key_down(Keys.CONTROL).send_keys("c").key_up(Keys.CONTROL).perform()
    assert status(page) == ""


def test_the_photo_is_sent_once(page, found):
    """Clicks, cut-outs and texts name it by its key; where the server has forgotten it, it is sent again."""
    page.execute_script(
        """window.sent = [];
        const before = FormData.prototype.append;
        FormData.prototype.append = function (name) { sent.push(name); return before.apply(this, arguments); };"""
    )

    def sent():
        return page.execute_script("const names = sent; sent = []; return names")

    pointer(page, found, 300, 200).click().perform()
    wait(page, lambda b: not b.execute_script("return tasks"))
    answer = picked(page)
    assert sent() == ["photo_key", "conf", "prompts"]
    page.find_element(By.ID, "cut").click()
    wait(page, lambda b: status(b) == "Saved coffee.cutout.png")
    assert sent() == ["photo_key", "result", "format", "soft"]
    page.execute_script("keys.set(photo.file, 'forgotten')")
    pointer(page, found, 30, 30).click().perform()
    pointer(page, found, 300, 200).click().perform()
    wait(page, lambda b: not b.execute_script("return tasks"))
    names = sent()
    assert names[-1] == "prompts"
    assert names.count("photo") >= 1
    assert picked(page) == answer
    assert page.execute_script("return keys.get(photo.file)") != "forgotten"
    page.get_log("browser")  # Chromium writes the 410 there


def test_every_format_that_is_offered_is_written(page, found, tmp_path):
    """Of all objects of the photo, as the command line's convert would write them from the page's JSON."""
    page.find_element(By.ID, "json").click()
    shown = replace(read_json(saved(tmp_path, "coffee.json")), image=found.image)
    offered = page.execute_script("return Object.entries(FORMATS)")
    assert {form for form, _ in offered} < set(FORMATS)
    for form, (called, ending) in offered:
        save_as(page, called)
        written = saved(tmp_path, f"coffee.{ending}")
        options = {"soft": True} if form in ("cutouts", "psd") else {}
        write = zip_files if FORMATS[form].folder else encode
        assert written == write(shown, form, **options)
        assert "Saved coffee." in status(page)


@pytest.mark.parametrize("button", ["png", "cut"])
def test_what_was_told_since_stands_when_a_file_is_saved(page, found, tmp_path, button):
    """A late "Saved coffee.overlay.png" took the place of it."""
    pointer(page, found, 300, 200).click().perform()
    wait(page, lambda b: not b.execute_script("return tasks"))
    page.execute_script(
        """const ready = new Promise(go => { window.go = go; });
        const toBlob = HTMLCanvasElement.prototype.toBlob, before = written;
        HTMLCanvasElement.prototype.toBlob = function (give) { ready.then(() => toBlob.call(this, give)); };
        written = async format => { await ready; return before(format); };"""
    )
    page.find_element(By.ID, button).click()
    assert status(page).startswith("Writing coffee.")
    page.execute_script("say('something else', true); go()")
    saved(tmp_path, {"png": "coffee.overlay.png", "cut": "coffee.cutout.png"}[button])
    wait(page, lambda b: not b.execute_script("return tasks"))
    assert status(page) == "something else"


def test_what_the_server_cannot_write_is_told(page, found, tmp_path):
    page.execute_script("found.width += 1")
    save_as(page, "SVG")
    wait(page, lambda b: "coffee.svg was not saved: object 0 must have run lengths of size [400, 601]" in status(b))
    page.get_log("browser")  # Chromium writes the 422 there
    assert list(tmp_path.iterdir()) == []


def test_a_cut_out_needs_a_choice(page, found):
    assert not page.find_element(By.ID, "cut").is_enabled()
    pointer(page, found, 300, 200).click().perform()
    assert page.find_element(By.ID, "cut").is_enabled()


def test_picks_look_at_objects_below_the_slider_and_list_them(page, found):
    show_from(page, 0.9)
    assert listed(page) == []
    pointer(page, found, 300, 200).click().perform()
    assert picked(page) == masks_of(found.point_prompt([pixel(page, found, 300, 200)]))
    assert chosen(page) == listed(page)
    assert len(chosen(page)) == 1


def test_an_item_of_the_list_goes_on_and_off_whatever_chose_it(page, found):
    pointer(page, found, 300, 200).click().perform()
    assert len(picked(page)) == 1
    page.find_element(By.CSS_SELECTOR, "#list [aria-selected=true]").click()
    assert picked(page) == []
    page.find_element(By.CSS_SELECTOR, "#list li").click()
    assert chosen(page) == [0]
    page.find_element(By.CSS_SELECTOR, "#list li").click()
    assert chosen(page) == []


def test_undo_and_redo(page, found):
    seen = [chosen(page)]
    for point in ((300, 200), (560, 40)):
        pointer(page, found, *point).click().perform()
        picked(page)
        seen.append(chosen(page))
    page.find_element(By.CSS_SELECTOR, "#list li:not([aria-selected=true])").click()
    seen.append(chosen(page))
    page.find_element(By.ID, "clear").click()
    assert len(set(map(tuple, seen))) == 4
    view = page.find_element(By.ID, "view")
    for expected in reversed(seen):
        view.send_keys(Keys.CONTROL, "z")
        view.send_keys(Keys.NULL)
        assert chosen(page) == expected
    assert not page.find_element(By.ID, "undo").is_enabled()
    for expected in seen[1:]:
        page.find_element(By.ID, "redo").click()
        assert chosen(page) == expected
    view.send_keys(Keys.CONTROL, "y")
    view.send_keys(Keys.NULL)
    assert chosen(page) == []
    assert not page.find_element(By.ID, "redo").is_enabled()


def test_the_wheel_zooms_and_a_click_means_what_is_under_it(page, found):
    before = frame_of(page)
    x, y = map(round, where(page, found, 365, 280))
    wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0}
    for _ in range(5):
        page.execute_cdp_cmd("Input.dispatchMouseEvent", {**wheel, "deltaY": -100})
    wait(page, lambda b: frame_of(b)["width"] > 2 * before["width"])
    time.sleep(0.5)  # it is drawn anew, sharper
    assert where(page, found, 365, 280) == pytest.approx((x, y), abs=2)  # the wheel's place stays
    for kind in ("mousePressed", "mouseReleased"):
        page.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        )
    [counts], [meant] = picked(page), found.point_prompt([(365, 280)]).masks
    drawn = Mask.from_rle({"size": [400, 600], "counts": counts})
    assert drawn.iou(meant) > 0.98, "the click lies within a pixel, and the decoder draws a little otherwise for it"
    page.find_element(By.ID, "whole").click()
    assert frame_of(page) == before


def test_what_is_seen_stays_when_the_window_changes(page, found):
    """It jumped to the lower right corner; phones that are turned do so, too."""
    page.execute_script("const frame = view.getBoundingClientRect(); zoomAt(frame.left + 100, frame.top + 100, 4)")
    seen = "return [zoom.x / parseFloat(view.style.width), zoom.y / parseFloat(view.style.height)]"
    before = page.execute_script(seen)
    size = page.get_window_size()
    try:
        page.set_window_size(900, 700)
        wait(page, lambda b: b.execute_script("return innerWidth") < 1000)
        time.sleep(0.3)
        assert page.execute_script(seen) == pytest.approx(before, abs=0.01)
    finally:
        page.set_window_size(size["width"], size["height"])


def test_two_fingers_zoom_and_choose_nothing(phone, found):
    before = frame_of(phone)
    x, y = where(phone, found, 300, 200)
    steps = [((x - 30 - step, y), (x + 30 + step, y)) for step in range(0, 60, 6)]
    touch(phone, *steps[0], then=steps[1:])
    wait(phone, lambda b: frame_of(b)["width"] > 2 * before["width"])
    assert where(phone, found, 300, 200) == pytest.approx((x, y), abs=8)
    assert chosen(phone) == []
    assert phone.execute_script("return [scrollX, scrollY, visualViewport.scale]") == [0, 0, 1]
    moved = frame_of(phone)
    touch(phone, (x, y), then=[[(x + 40, y)], [(x + 80, y)]])  # one finger moves the photo
    assert frame_of(phone)["x"] > moved["x"]
    assert chosen(phone) == []


def test_a_desktop_needs_no_scrolling(page):
    assert page.execute_script("return document.documentElement.scrollHeight - innerHeight") <= 0


def test_an_example_is_one_click_away(browser, client, found):
    browser.get(f"http://127.0.0.1:{client.port}/")
    browser.find_element(By.ID, "example").click()
    wait(browser, lambda b: listed(b) and not busy(b))
    assert f"of {len(found)} objects" in status(browser)
    hint = browser.find_element(By.ID, "hint")
    assert "Click an object" in hint.text
    browser.find_element(By.CSS_SELECTOR, "#list li").click()
    assert not hint.is_displayed()


def test_an_example_that_is_not_there_is_told(browser, model):
    """What was told was that it could not be read."""
    service = Service(model, workers=1)
    service._example = None
    with running(service.app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        browser.find_element(By.ID, "example").click()
        wait(browser, lambda b: status(b) and not busy(b))
        assert status(browser) == "This installation has no example photo."
    browser.get_log("browser")  # Chromium writes the 404 there


def test_the_photo_is_shown_while_it_is_computed(browser, model):
    slow = Slow(model)
    with running(Service(slow, workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        browser.execute_script(DROP, base64.b64encode(PHOTO.read_bytes()).decode(), "coffee.jpg", "image/jpeg")
        assert slow.begun.acquire(timeout=10)
        wait(browser, lambda b: b.find_element(By.ID, "base").is_displayed())
        middle = "const one = arguments[0]; return [...one.getContext('2d').getImageData(one.width / 2, 99, 1, 1).data]"
        assert sum(browser.execute_script(middle, browser.find_element(By.ID, "base"))[:3]) > 0
        assert "Looking for objects" in status(browser)
        browser.find_element(By.ID, "view").click()  # chooses nothing yet, and does no harm
        slow.go.set()
        wait(browser, lambda b: listed(b) and not busy(b))
        assert chosen(browser) == []


def test_a_photo_does_not_stand_over_the_next_which_the_browser_cannot_show(browser, model):
    import cv2

    done, tiff = cv2.imencode(".tiff", cv2.imread(str(PHOTO)))
    assert done
    slow = Slow(model)
    with running(Service(slow, workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        browser.execute_script(DROP, base64.b64encode(PHOTO.read_bytes()).decode(), "coffee.jpg", "image/jpeg")
        wait(browser, lambda b: b.find_element(By.ID, "base").is_displayed())
        browser.execute_script(DROP, base64.b64encode(bytes(tiff)).decode(), "b.tiff", "image/tiff")
        wait(browser, lambda b: not b.find_element(By.ID, "base").is_displayed())
        assert status(browser) == "Looking for objects in b.tiff …"
        slow.go.set()
        wait(browser, lambda b: "cannot show" in status(b))
        assert len(listed(browser)) == len(model(bytes(tiff)))


@pytest.mark.parametrize("photos", [1, 2])
def test_nothing_can_be_chosen_while_the_photo_is_computed(browser, model, photos):
    slow = Slow(Reader(model))
    slow.clip = Reader.clip
    with running(Service(slow, workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        for number in range(photos):
            if number:
                slow.go.set()
                wait(browser, lambda b: listed(b) and not busy(b))
                slow.go.clear()
            browser.execute_script(DROP, base64.b64encode(PHOTO.read_bytes()).decode(), "coffee.jpg", "image/jpeg")
            wait(browser, lambda b: b.execute_script("return Boolean(preview)"))
        view = browser.find_element(By.ID, "view")
        for key in (Keys.ARROW_LEFT, Keys.ENTER, "b", "k", "z", Keys.ESCAPE):
            view.send_keys(key)
        for name in ("text", "json", "least", "clear"):
            browser.execute_script("document.getElementById(arguments[0]).focus()", name)
            ActionChains(browser).send_keys("4", Keys.ENTER).perform()
        assert status(browser) == "Looking for objects in coffee.jpg …"
        assert browser.execute_script("return [past.length, points.length, way]") == [0, 0, None]
        slow.go.set()
        wait(browser, lambda b: not busy(b))
        assert slow.calls == photos
        browser.find_element(By.ID, "text").send_keys("4", Keys.ENTER)
        wait(browser, lambda b: chosen(b) == [4])
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_drag_ends_with_the_photo_it_began_in(page, found):
    pointer(page, found, 100, 80).click_and_hold().move_by_offset(100, 100).perform()
    page.execute_script("showPreview(photo.bitmap)")
    ActionChains(page).release().perform()
    page.execute_script("leavePreview()")
    assert page.execute_script("return [past.length, box]") == [0, None]


def test_a_refused_photo_gives_way_to_the_one_before(page, found, model):
    import cv2
    import numpy as np

    shown = listed(page)
    with running(Service(model, workers=1, limits=Limits(pixels=300_000)).app) as client:
        page.get(f"http://127.0.0.1:{client.port}/")
        drop(page, PHOTO.read_bytes(), "coffee.jpg")
        _, large = cv2.imencode(".png", np.zeros((1000, 1000), np.uint8))
        page.execute_script(DROP, base64.b64encode(bytes(large)).decode(), "large.png", "image/png")
        wait(page, lambda b: "at most 300000 pixels" in status(b) and not busy(b))
        assert listed(page) == shown
        assert page.find_element(By.ID, "view").is_displayed()
        page.get_log("browser")  # Chromium writes the 413 there


def test_a_lost_server_is_told_in_words(browser, model):
    with running(Service(model, workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
    browser.execute_script(DROP, base64.b64encode(PHOTO.read_bytes()).decode(), "coffee.jpg", "image/jpeg")
    wait(browser, lambda b: "the server does not answer" in status(b) and not busy(b))
    assert browser.find_element(By.ID, "drop").is_displayed()
    browser.get_log("browser")


def test_texts_are_asked_for_where_the_model_has_clip(browser, model, found):
    with running(Service(Reader(model), workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        browser.find_element(By.ID, "text").send_keys("4", Keys.ENTER)
        wait(browser, lambda b: chosen(b) and not busy(b))
        assert chosen(browser) == [4]
        assert "similarity 0.27" in status(browser)
        assert "0.27" in browser.find_element(By.CSS_SELECTOR, "#list [aria-selected=true]").text


def test_what_is_warned_of_is_told(browser, model, tmp_path, monkeypatch):
    """A photo of 12 bits in samples of 16 is nearly black, and nothing else would say why so little is found."""
    path = tmp_path / "dark.png"
    cv2.imwrite(str(path), cv2.imread(str(PHOTO)).astype(np.uint16) * 4)
    with running(Service(Reader(model), workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        drop(browser, path.read_bytes(), path.name, "image/png")
        assert ". The photo is nearly black: its 16-bit samples reach 1020 of 65535." in status(browser)
        assert "warnings" not in browser.execute_async_script("resultFile().text().then(arguments[0])")
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        answered = server.by_index
        monkeypatch.setattr(
            server, "by_index", lambda *a, **b: warn(r'the text "%s" \ is too long', *a[1]) or answered(*a, **b)
        )
        browser.execute_script("askText('4')")
        wait(browser, lambda b: not busy(b))
        assert status(browser).endswith(' similarity 0.27. The text "4" \\ is too long.')


def test_a_similarity_belongs_to_the_text_and_the_choice(browser, model):
    def similarities(script: str) -> list[str]:
        """What the list says after it; it is saved where all objects that are saved have one."""
        browser.execute_script(script)
        wait(browser, lambda b: not busy(b))
        saved, told = browser.execute_script(
            """const facts = [...list.children].map(item => item.lastElementChild.textContent.split("  ·  ")[2]);
            return [records().map(({similarity = ""}) => similarity && similarity.toFixed(2)), facts]
                .map(each => each.filter(one => one))"""
        )
        assert saved in ([], told)
        assert bool(saved) == browser.execute_script("return saved().every(object => likeness.has(object))")
        return told

    with running(Service(Reader(model), workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        assert similarities("askText('4')") == ["0.27"]
        assert similarities("askText('07')") == ["0.28"]
        assert similarities("goBack(past, future)") == ["0.27"]
        assert similarities("goBack(future, past)") == ["0.28"]
        assert similarities("clear()") == []
        assert similarities("goBack(past, future); askText('04')") == ["0.28"]
        assert similarities("goBack(past, future); goBack(past, future)") == ["0.27"]
        assert similarities("keep(); askText('07')") == ["0.27", "0.28"]
        assert similarities("toggleKept(found.objects[7])") == ["0.27"]
        assert similarities("choose(560, 40, {})") == ["0.27"]
        assert similarities("toggleKept(found.objects[4])") == []


@pytest.mark.parametrize(
    ("after", "steps"),
    [
        ("askText('7')", 1),
        ("choose(560, 40, {})", 1),
        ("choose(560, 40, {shiftKey: true})", 1),
        ("askBox(100, 80, 420, 330)", 1),
        ("toggleKept(found.objects[2])", 1),
        ("clear()", 0),
        ("toggleKept(found.objects[2]); goBack(past, future); goBack(future, past)", 1),
    ],
)
def test_an_old_text_gives_way_to_what_is_done_after_it(browser, model, after, steps):
    slow = Slow(Reader(model))
    slow.clip = Reader.clip
    slow.go.set()
    with running(Service(slow, workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        browser.execute_script(after)
        expected = picked(browser), status(browser)
        browser.execute_script("clear(); past = []")
        slow.go.clear()
        browser.execute_script(f"askText('4'); {after}")
        slow.go.set()
        assert (picked(browser), status(browser)) == expected
        assert browser.execute_script("return past.length") == steps


@pytest.mark.parametrize("failing", ["askText('999')", "open(new File([new Uint8Array(9)], 'bad.jpg'))"])
def test_what_fails_lets_the_server_look_closer_after_all(browser, model, found, failing):
    slow = Slow(Reader(model))
    slow.clip = Reader.clip
    slow.go.set()
    with running(Service(slow, workers=1).app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        browser.execute_script(failing)
        wait(browser, lambda b: not busy(b))
        trouble = status(browser)
        slow.go.clear()
        browser.execute_script(f"choose(30, 340, {{}}); {failing}")
        slow.go.set()
        assert picked(browser) == masks_of(found.point_prompt([(30, 340)]))
        assert status(browser) == trouble
        browser.get_log("browser")  # Chromium writes the refusals there


def test_an_object_may_be_taken_from_the_list_while_the_server_looks_closer(browser, slow, found):
    slow.go.clear()
    browser.execute_script("choose(30, 340, {}); toggleKept(found.objects[4])")
    slow.go.set()
    assert picked(browser) == masks_of(found[[4]]) + masks_of(found.point_prompt([(30, 340)]))


def test_a_token_is_asked_for(browser, model):
    with running(Service(model, workers=1, token="open sesame").app) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        wait(browser, lambda b: b.find_element(By.ID, "token").is_displayed())
        browser.execute_script(DROP, base64.b64encode(PHOTO.read_bytes()).decode(), "early.jpg", "image/jpeg")
        wait(browser, lambda b: status(b) == "early.jpg: this server asks for a token" and not busy(b))
        browser.find_element(By.ID, "token").send_keys("open barley", Keys.ENTER)
        wait(browser, lambda b: "not the server's token" in status(b))  # and what was typed gives way
        browser.find_element(By.ID, "token").send_keys("open sesame \u6f22", Keys.ENTER)  # which no header can hold
        assert status(browser) == "A token has letters, digits and signs of ASCII alone."
        browser.find_element(By.ID, "token").clear()
        browser.find_element(By.ID, "token").send_keys(" open sesame ", Keys.ENTER)
        wait(browser, lambda b: not b.find_element(By.ID, "token").is_displayed())
        wait(browser, lambda b: b.execute_script("return photo?.file.name") == "early.jpg" and not busy(b))
        drop(browser, PHOTO.read_bytes(), "coffee.jpg")
        assert browser.find_elements(By.CSS_SELECTOR, "#list li")
        browser.execute_script("sessionStorage.clear()")
        browser.get_log("browser")
