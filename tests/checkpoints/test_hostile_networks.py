"""Hostile checkpoints built around the layers of every family: all refused, nothing run, in little time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.pt_families import head_of, yolo11, yolo12, yolo26, yoloe, yoloe_prompt_free, yolov9
from support.pt_writer import Call, Name, Object, Parameter, View, checkpoint, container, module, official, yolov8_seg

from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.network import Network

CANARY = "canary-of-test-hostile-networks"
SYSTEM = Call(Name("os", "system"), (f"touch {CANARY}",))
EVAL = Call(Name("builtins", "eval"), (f"open({CANARY!r}, 'w').close()",))
GETATTR = Name("__builtin__", "getattr")
Change = Callable[[Object], None]


def below(network: Object, path: str) -> Object:
    for name in ("model", *path.split(".")):
        network = network.attributes["_modules"][name]
    return network


def sets(path: str, **attributes: Any) -> Change:
    return lambda network: below(network, path).attributes.update(attributes)


def on_head(**attributes: Any) -> Change:
    return lambda network: head_of(network).attributes.update(attributes)


def method(kind: str, name: str) -> Call:
    return Call(GETATTR, (Name("ultralytics.nn.modules.head", kind), name))


def child(path: str, name: str, value: Any) -> Change:
    return lambda network: below(network, path).attributes["_modules"].update({name: value})


def into_itself(network: Object) -> None:
    block = below(network, "3")
    block.attributes["_modules"]["m"] = container("Sequential", [block])


def many_layers(network: Object) -> None:
    """The same convolution a hundred thousand times, with few bytes of the pickle for each."""
    act = module("torch.nn.modules.linear.Identity")
    inner = container("Sequential", [act] * 300)
    below(network, "3").attributes["_modules"]["m"] = container("ModuleList", [inner] * 300)


def wide(network: Object) -> None:
    """Weights of 2**40 elements that are one in the file."""
    conv = below(network, "0.conv")
    huge = View(np.zeros(1, np.float16), 0, (1 << 20, 1 << 20, 1, 1), (0, 0, 0, 0))
    conv.attributes["_parameters"]["weight"] = Parameter(huge)


def class_of(module_name: str, name: str) -> Change:
    def change(network: Object) -> None:
        below(network, "3").kind = Name(module_name, name)

    return change


HOSTILE: dict[str, tuple[Callable[[], Object], Change]] = {
    "the scale of attention": (yolo11, sets("7.m.0.attn", scale=SYSTEM)),
    "heads of attention": (yolo11, sets("7.m.0.attn", num_heads=EVAL)),
    "areas": (yolo12, sets("5.m.0.0.attn", area=SYSTEM)),
    "a weight for each channel": (
        yolo12,
        lambda network: below(network, "5").attributes["_parameters"].update(gamma=EVAL),
    ),
    "end to end": (yolo26, on_head(_end2end=SYSTEM)),
    "rows": (yolo26, on_head(max_det=EVAL)),
    "the head's forward": (yolo26, on_head(forward=Call(method("Segment26", "forward"), (SYSTEM,)))),
    "a dunder of the head": (yolo26, on_head(forward=method("Segment26", "__init__"))),
    "globals of the head's forward": (
        yolo26,
        on_head(forward=Call(GETATTR, (method("Segment26", "forward"), "__globals__"))),
    ),
    "widths": (yolov9, sets("7", c2s=[SYSTEM])),
    "choices": (yolov9, sets("10", idx=[EVAL, 0])),
    "sources": (yolov9, sets("10", f=[SYSTEM])),
    "the score of an object's cell": (yoloe_prompt_free, on_head(conf=EVAL)),
    "the vectors of texts": (yoloe, lambda network: network.attributes.update(pe=SYSTEM)),
    "a text model": (
        yoloe,
        lambda network: network.attributes.update(text_model=Call(Name("mobileclip", "load"), ("x",))),
    ),
    "CLIP of the network": (
        yoloe,
        lambda network: network.attributes.update(clip_model=Call(Name("clip", "load"), ("x",))),
    ),
    "a module that is a function": (yolo11, child("3", "m", Name("os", "system"))),
    "a class of another package": (yolo11, class_of("torchvision.ops.misc", "Conv2d")),
    "a class that begins alike": (yolo11, class_of("ultralyticsx.nn", "C3k2")),
    "a method as a class": (yolo11, class_of("ultralytics.nn.modules.block", "C3k2.forward")),
    "a function as a class": (yolo11, class_of("ultralytics.nn.tasks", "parse_model")),
    "a download of ultralytics": (
        yolo11,
        sets("3", c=Call(Name("ultralytics.utils.downloads", "safe_download"), ("http://localhost/x",))),
    ),
    "YOLOv5's loader": (yolo11, sets("3", c=Call(Name("models.experimental", "attempt_load"), ("x",)))),
    "a layer inside itself": (yolo11, into_itself),
    "many layers of few bytes": (yolo11, many_layers),
    "weights of few bytes": (yolo11, wide),
    "a scale that is not a number": (yolo11, sets("7.m.0.attn", scale=float("nan"))),
    "a scale that is infinite": (yolo11, sets("7.m.0.attn", scale=float("inf"))),
    "65,535 areas": (yolo12, sets("5.m.0.0.attn", area=65535, num_heads=1, head_dim=1)),
    "an even kernel": (yolov8_seg, sets("9.m", kernel_size=4, padding=2)),
    "many pools": (yolo26, sets("5", n=60_000)),
    "more rows than memory": (yolo26, on_head(max_det=1 << 62)),
    "a source a million times": (yolov9, sets("10", f=[0] * 100_000)),
    "widths without end": (yolov9, sets("7", c2s=[1] * 100_000)),
    "a factor without end": (yolov8_seg, sets("10", scale_factor=1e308)),
    "a kernel of 65,535": (yolov8_seg, sets("9.m", kernel_size=65535, padding=32767)),
    "negative numbers of channels": (yolo12, sets("5.m.0.0.attn", num_heads=-2, head_dim=-2)),
    "bools for numbers": (yolo12, sets("5.m.0.0.attn", area=True)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_runs_nothing(name, tmp_path, monkeypatch):
    make, change = HOSTILE[name]
    network = make()
    change(network)
    data = checkpoint(official(network))
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    with pytest.raises(ModelError):  # CheckpointError among them
        Network.open(data, threads=1)
    assert time.process_time() - start < 10
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("make", [yolo11, yolo12, yolo26, yolov9, yoloe, yoloe_prompt_free, yolov8_seg])
def test_the_same_files_without_the_change_open(make):
    Network.open(checkpoint(official(make())), threads=1)
