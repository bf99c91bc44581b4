"""Photos that a client asks to be remembered: the same answers without the file, for a while, for who has the key."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from support.server import BOUNDARY, PHOTO, form_body, running

from fastsam_onnx import Mask, OptionError, Segmentation
from fastsam_onnx.formats import encode
from fastsam_onnx.serve.hosting import Hosting
from fastsam_onnx.serve.memory import Memory, Seen
from fastsam_onnx.serve.received import Limits
from fastsam_onnx.serve.service import Service

CLICK = json.dumps({"points": [[300, 150]]})


class Counting:
    """A model that counts its calls."""

    def __init__(self, model) -> None:
        self._model = model
        self.contract, self.options, self.name = model.contract, model.options, model.name
        self.calls: list[dict] = []

    def __call__(self, photo, **options):
        self.calls.append(options)
        return self._model(photo, **options)


@pytest.fixture
def counting(model):
    return Counting(model)


@pytest.fixture
def client(counting):
    with running(Service(counting, workers=2).app) as client:
        yield client


def remembered(client, *fields):
    return client.form(("photo", PHOTO), ("remember", "true"), *fields).headers["photo-key"]


def test_a_key_stands_in_the_photos_place(client, counting):
    key = remembered(client)
    for fields, headers in (
        ([], {}),
        ([("prompts", CLICK)], {}),
        ([("prompts", CLICK), ("format", "overlay")], {}),
        ([], {"Accept": "image/png;format=labels"}),
    ):
        reply = client.form(("photo_key", key), *fields, **headers)
        assert reply.status == 200
        assert len(counting.calls) == 1, "what was found is remembered, too"
        assert reply.body == client.form(("photo", PHOTO), *fields, **headers).body
        assert "photo-key" not in reply.headers
        counting.calls.pop()
    assert client.ask("POST", f"/segment?photo_key={key}").body == client.form(("photo", PHOTO)).body


def test_nothing_is_remembered_unless_asked(client):
    for fields in ([], [("remember", "false")]):
        assert "photo-key" not in client.form(("photo", PHOTO), *fields).headers


def test_what_another_call_would_find_is_looked_for(client, counting):
    """Points need no redrawn objects; whoever sees all objects afterwards gets them redrawn."""
    key = remembered(client, ("prompts", CLICK))
    assert counting.calls.pop()["redraw"] is False
    for fields in ([], [("conf", "0.5")], [("max_det", "2"), ("redraw", "false")]):
        reply = client.form(("photo_key", key), *fields)
        assert len(counting.calls) == 1
        assert reply.body == client.form(("photo", PHOTO), *fields).body
        counting.calls.clear()
        assert client.form(("photo_key", key), *fields).body == reply.body
        assert not counting.calls, "now that is remembered, too"


def test_a_remembered_photo_is_cut_out(client, found):
    key = remembered(client)
    result = encode(found[:2], "json")
    fields = [("result", result), ("format", "cutout"), ("soft", "true")]
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    reply = client.ask("POST", "/convert", form_body(*fields, ("photo_key", key)), headers)
    assert (reply.status, reply.body) == (200, encode(found[:2], "cutout", soft=True))
    both = client.ask("POST", "/convert", form_body(*fields, ("photo_key", key), ("photo", PHOTO)), headers)
    assert (both.status, both.json["error"]) == (422, "there must be a photo or a photo_key, got both")
    unknown = client.ask("POST", "/convert", form_body(*fields, ("photo_key", "x")), headers)
    assert unknown.status == 410


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ([("photo_key", "x")], 410, "this photo is not remembered, or no longer; send it again"),
        ([("photo_key", "x"), ("photo", PHOTO)], 422, "there must be a photo or a photo_key, got both"),
        ([("photo_key", "x"), ("photo_key", "x")], 422, "photo_key is given 2 times"),
        ([("photo_key", "x"), ("remember", "true")], 422, "remember is for a photo that is sent"),
        ([("photo", PHOTO), ("remember", "yes")], 422, "remember must be true or false, got 'yes'"),
    ],
)
def test_what_means_nothing_is_refused(client, fields, status, reason):
    reply = client.form(*fields)
    assert reply.status == status
    assert reason in reply.json["error"]


def test_a_server_may_remember_nothing(model):
    with running(Service(model, workers=1, limits=Limits(remembered=0)).app) as client:
        reply = client.form(("photo", PHOTO), ("remember", "true"))
        assert (reply.status, "photo-key" in reply.headers) == (200, False)


@pytest.mark.parametrize("mounted", [False, True])
def test_photos_are_forgotten_also_where_nobody_asks(model, mounted):
    """Starlette and FastAPI tell an application that is mounted in theirs neither of a start nor of an end."""
    service = Service(model, workers=1, limits=Limits(remembered_seconds=0.5))
    app = Starlette(routes=[Mount("/", service.app)]) if mounted else service.app
    with running(app) as client:
        key = remembered(client)
        assert client.form(("photo_key", key)).status == 200
        for _ in range(100):
            if not service._memory._seen:
                break
            time.sleep(0.05)
        assert not service._memory._seen
        assert client.form(("photo_key", key)).status == 410


def test_to_remember_for_no_time_costs_no_core(model, monkeypatch):
    """It looked for what to forget again and again, without a pause."""
    service = Service(model, workers=1, limits=Limits(remembered_seconds=0))
    looks = []
    monkeypatch.setattr(service._memory, "forget", lambda: looks.append(1))
    with running(service.app) as client:
        remembered(client)
        time.sleep(0.5)
    assert 1 <= len(looks) <= 10


def test_pages_of_other_origins_may_read_the_key_and_warnings(model):
    with running(Service(model, workers=1, origins=["https://a.example"]).app) as client:
        reply = client.segment(PHOTO, "?remember=true", Origin="https://a.example")
        assert reply.headers["access-control-expose-headers"] == "Photo-Key, Warning"


def seen(photo=b"photo", width=20, height=5, options=None, source=None):
    found = Segmentation.from_masks([Mask.empty((width, height))])
    return Seen(photo, source, (({} if options is None else options, found),))


def is_known(memory, key):
    try:
        memory.recall(key)
    except HTTPException:
        return False
    return True


def test_the_photo_that_was_not_used_for_longest_goes_first():
    memory = Memory(2, 10_000, 60, b"secret")
    first, second = memory.keep(seen(b"1")), memory.keep(seen(b"2"))
    memory.recall(first)
    third = memory.keep(seen(b"3"))
    assert [is_known(memory, key) for key in (first, second, third)] == [True, False, True]
    assert len({first, second, third}) == 3


def test_photos_together_have_so_many_pixels_but_one_is_remembered():
    memory = Memory(4, 200, 60, b"secret")
    small, also = memory.keep(seen(b"1")), memory.keep(seen(b"2"))
    assert is_known(memory, small)
    large = memory.keep(seen(b"3", 40, 10))
    assert [is_known(memory, key) for key in (small, also, large)] == [False, False, True]


def test_each_result_of_a_photo_counts_and_two_are_kept():
    memory = Memory(4, 200, 60, b"secret")
    other = memory.keep(seen(b"other"))
    key = memory.keep(seen(options={"conf": 0.1}))
    assert is_known(memory, other)
    again = [seen(options={"conf": conf}) for conf in (0.2, 0.3, 0.3)]
    assert [memory.keep(one) for one in again] == [key] * 3, "of one file there is one key"
    assert not is_known(memory, other)
    kept = memory.recall(key)
    found = [None, *(one.results[0][1] for one in (again[0], again[2]))]
    assert [kept.found({"conf": conf}, is_seen=True) for conf in (0.1, 0.2, 0.3)] == found


def test_keys_tell_nothing_and_names_stay_with_who_sent_them():
    """One file under another name is another photo; another server gives another key."""
    memory = Memory(4, 1000, 60, b"secret")
    keys = [memory.keep(seen(source=source)) for source in (None, "a.jpg", "b.jpg")]
    assert len(set(keys)) == 3
    assert [memory.recall(key).source for key in keys] == [None, "a.jpg", "b.jpg"]
    assert Memory(4, 1000, 60, b"secret").keep(seen()) == keys[0], "of another process"
    assert Memory(4, 1000, 60, b"other").keep(seen()) not in keys


def test_processes_share_a_secret_and_it_is_shown_nowhere(model):
    hosting = Hosting(1, Limits())
    assert hosting.service(model)._memory._secret == hosting.service(model)._memory._secret == hosting.secret
    assert Hosting(1, Limits()).secret != hosting.secret
    assert "secret" not in repr(hosting)
    assert Service(model, workers=1)._memory._secret != Service(model, workers=1)._memory._secret
    for secret in ("text", b"", b"x" * 65):
        with pytest.raises(OptionError, match="secret must be 1 to 64 bytes, got"):
            Service(model, workers=1, secret=secret)


def test_use_prolongs_the_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    memory = Memory(4, 1000, 10, b"secret")
    one, other = memory.keep(seen(b"1")), memory.keep(seen(b"2"))
    now[0] = 108
    assert is_known(memory, one)
    now[0] = 111
    assert [is_known(memory, key) for key in (one, other)] == [True, False]
    now[0] = 121
    assert is_known(memory, one)
    now[0] = 131.5
    assert not is_known(memory, one)


def test_whether_objects_are_redrawn_matters_where_they_are_seen():
    kept = seen(options={"redraw": False, "conf": 0.1})
    found = kept.results[0][1]
    assert kept.found({"conf": 0.1}, is_seen=False) is found
    assert kept.found({"conf": 0.1}, is_seen=True) is None
    assert kept.found({"conf": 0.1, "redraw": False}, is_seen=True) is found
    assert replace(kept, results=()).found({}, is_seen=False) is None
