"""Small checkpoints of every family of segmentation networks, with seeded random numbers.

Each network has the blocks of its family, in the fewest layers that give the strides 8, 16 and 32 (64 too for p6):
`tools/make_family_reference.py` has ultralytics compute what they give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from support.pt_writer import Call, Layers, Name, Object, container, module, segmentation_network, yolov8_seg

WIDTH = 8
SIDES = (2.0, 1.5, 3.0, 2.5)
"""Distances in cells around which the boxes of heads without bins spread."""


class Blocks(Layers):
    """The blocks that came after YOLOv8: their parameters and attributes, not what they compute."""

    def sequence(self, *layers: Object) -> Object:
        return container("Sequential", layers)

    def bottleneck(self, inputs: int, hidden: int, outputs: int, *, shortcut: bool = True, kind: str = "") -> Object:
        first = self.rep_conv(inputs, hidden) if kind == "Rep" else self.conv(inputs, hidden, 3)
        parts = {"cv1": first, "cv2": self.conv(hidden, outputs, 3)}
        return self.block("block", f"{kind}Bottleneck", parts, add=shortcut)

    def rep_conv(self, inputs: int, outputs: int) -> Object:
        parts = {
            "conv1": self.conv(inputs, outputs, 3, linear=True),
            "conv2": self.conv(inputs, outputs, 1, linear=True),
            "act": module(**self.activation),
        }
        return self.block("conv", "RepConv", parts, g=1, c1=inputs, c2=outputs, bn=None)

    def c3(self, inputs: int, outputs: int, *blocks: Object, kind: str = "C3k") -> Object:
        half = outputs // 2
        parts = {"cv1": self.conv(inputs, half), "cv2": self.conv(inputs, half), "cv3": self.conv(2 * half, outputs)}
        return self.block("block", kind, {**parts, "m": self.sequence(*blocks)})

    def gathered(self, kind: str, inputs: int, half: int, outputs: int, *blocks: Object) -> Object:
        """C2f, C3k2: two halves and what each block makes of the one before."""
        parts = {"cv1": self.conv(inputs, 2 * half), "cv2": self.conv((2 + len(blocks)) * half, outputs)}
        return self.block("block", kind, {**parts, "m": container("ModuleList", blocks)}, c=half)

    def c2(self, inputs: int, outputs: int) -> Object:
        half = outputs // 2
        parts = {"cv1": self.conv(inputs, 2 * half), "cv2": self.conv(2 * half, outputs)}
        return self.block("block", "C2", {**parts, "m": self.sequence(self.bottleneck(half, half, half))}, c=half)

    def attention(self, width: int, heads: int) -> Object:
        value = width // heads
        key = value // 2
        parts = {
            "qkv": self.conv(width, heads * (2 * key + value), linear=True),
            "proj": self.conv(width, width, linear=True),
            "pe": self.conv(width, width, 3, groups=width, linear=True),
        }
        sizes = {"num_heads": heads, "head_dim": value, "key_dim": key, "scale": key**-0.5}
        return self.block("block", "Attention", parts, **sizes)

    def psa_block(self, width: int) -> Object:
        ffn = self.sequence(self.conv(width, 2 * width), self.conv(2 * width, width, linear=True))
        return self.block("block", "PSABlock", {"attn": self.attention(width, 2), "ffn": ffn}, add=True)

    def c2psa(self, width: int) -> Object:
        parts = {"cv1": self.conv(width, width), "cv2": self.conv(width, width)}
        return self.block("block", "C2PSA", {**parts, "m": self.sequence(self.psa_block(width // 2))}, c=width // 2)

    def area_block(self, width: int, heads: int, areas: int) -> Object:
        parts = {
            "qkv": self.conv(width, 3 * width, linear=True),
            "proj": self.conv(width, width, linear=True),
            "pe": self.conv(width, width, 7, groups=width, linear=True),
        }
        sizes = {"area": areas, "num_heads": heads, "head_dim": width // heads, "all_head_dim": width}
        mlp = self.sequence(self.conv(width, 2 * width), self.conv(2 * width, width, linear=True))
        return self.block("block", "ABlock", {"attn": self.block("block", "AAttn", parts, **sizes), "mlp": mlp})

    def a2c2f(self, inputs: int, outputs: int, areas: int, *, weighted: bool = False) -> Object:
        half = outputs // 2
        blocks = container("ModuleList", [self.sequence(*(self.area_block(half, 2, areas) for _ in range(2)))])
        parts = {"cv1": self.conv(inputs, half), "cv2": self.conv(2 * half, outputs), "m": blocks}
        made = self.block("block", "A2C2f", parts)
        if weighted:
            made.attributes["_parameters"]["gamma"] = self.half(self.rng.uniform(0.3, 0.9, outputs))
        else:
            made.attributes["gamma"] = None
        return made

    def elan(self, inputs: int, outputs: int) -> Object:
        half = outputs // 2

        def stage() -> Object:
            block = self.c3(half, half, self.bottleneck(half // 2, half // 2, half // 2, kind="Rep"), kind="RepCSP")
            return self.sequence(block, self.conv(half, half, 3))

        parts = {"cv1": self.conv(inputs, 2 * half), "cv2": stage(), "cv3": stage()}
        return self.block("block", "RepNCSPELAN4", {**parts, "cv4": self.conv(4 * half, outputs)}, c=half)

    def adown(self, inputs: int, outputs: int) -> Object:
        parts = {"cv1": self.conv(inputs // 2, outputs // 2, 3, 2), "cv2": self.conv(inputs // 2, outputs // 2)}
        return self.block("block", "ADown", parts, c=outputs // 2)

    def pool(self) -> Object:
        return module(
            "torch.nn.modules.pooling.MaxPool2d",
            kernel_size=5, stride=1, padding=2, dilation=1, return_indices=False, ceil_mode=False,
        )  # fmt: skip

    def sppelan(self, inputs: int, outputs: int) -> Object:
        pools = {name: self.pool() for name in ("cv2", "cv3", "cv4")}
        parts = {"cv1": self.conv(inputs, outputs // 2), **pools, "cv5": self.conv(2 * outputs, outputs)}
        return self.block("block", "SPPELAN", parts, c=outputs // 2)

    def branch_out(self, inputs: int, *widths: int) -> Object:
        made = self.conv2d(inputs, sum(widths), 1, bias=np.zeros(sum(widths)))
        return self.block("block", "CBLinear", {"conv": made}, c2s=list(widths))

    def branch_in(self, *chosen: int) -> Object:
        return self.block("block", "CBFuse", idx=list(chosen))

    def added_sppf(self, width: int) -> Object:
        parts = {"cv1": self.conv(width, width // 2, linear=True), "cv2": self.conv(2 * width, width)}
        return self.block("block", "SPPF", {**parts, "m": self.pool()}, n=3, add=True)

    # Heads.

    def light_branch(self, inputs: int, hidden: int, outputs: int, bias: Any) -> Object:
        pairs = [self.sequence(self.depthwise(width), self.conv(width, hidden)) for width in (inputs, hidden)]
        return self.sequence(*pairs, self.conv2d(hidden, outputs, 1, bias=bias, gain=60))

    def depthwise(self, width: int) -> Object:
        made = self.conv(width, width, 3, groups=width)
        made.kind = self.block("conv", "DWConv").kind
        return made

    def proto26(self, inputs: Sequence[int], hidden: int, masks: int) -> Object:
        parts = {
            "cv1": self.conv(hidden, hidden, 3),
            "upsample": self.upsample_conv(hidden),
            "cv2": self.conv(hidden, hidden, 3),
            "cv3": self.conv(hidden, masks),
            "feat_refine": container("ModuleList", [self.conv(each, inputs[0]) for each in inputs[1:]]),
            "feat_fuse": self.conv(inputs[0], hidden, 3),
            "semseg": self.sequence(self.conv(inputs[0], 4, 3), self.conv2d(4, 1, 1, bias=np.zeros(1))),
        }
        return self.block("block", "Proto26", parts)

    def without_bins(self, head: Object, inputs: Sequence[int], hidden: int) -> Object:
        """A head of YOLO26: distances instead of bins, two sets of branches, prototypes of all maps."""
        classes, parts = head.attributes["nc"], head.attributes["_modules"]
        for prefix in ("", "one2one_"):
            parts[f"{prefix}cv2"] = container(
                "ModuleList", [self.branch(each, hidden, 4, np.array(SIDES)) for each in inputs]
            )
            parts[f"{prefix}cv3"] = container(
                "ModuleList", [self.light_branch(each, hidden, classes, np.full(classes, -1.5)) for each in inputs]
            )
            parts[f"{prefix}cv4"] = container(
                "ModuleList", [self.branch(each, hidden, 32, np.zeros(32)) for each in inputs]
            )
        parts["dfl"] = module("torch.nn.modules.linear.Identity")
        parts["proto"] = self.proto26(inputs, hidden, 32)
        head.attributes.update(reg_max=1, no=classes + 4)
        head.kind = self.block("head", "Segment26").kind
        return head


def pyramid(make: Blocks, *, stages: Sequence[Object], head: Object, **options: Any) -> Object:
    """Five convolutions that halve the size, a block behind each of the last three, and a head on these blocks."""
    layers = [make.conv(3, WIDTH, 3, 2), make.conv(WIDTH, WIDTH, 3, 2)]
    for stage in stages:
        layers += [make.conv(WIDTH, WIDTH, 3, 2), stage]
    return segmentation_network([*layers, head], {8: [3, 5, 7]}, head.attributes["nc"], **options)


def yolo11() -> Object:
    make = Blocks(11)
    deep = make.c3(WIDTH // 2, WIDTH // 2, *(make.bottleneck(2, 2, 2) for _ in range(2)))
    head = make.segment((WIDTH,) * 3, 2, 16, WIDTH)
    light = [make.light_branch(WIDTH, WIDTH, 2, np.full(2, -1.5)) for _ in range(3)]
    head.attributes["_modules"]["cv3"] = container("ModuleList", light)
    stages = [
        make.gathered("C3k2", WIDTH, 2, WIDTH, make.bottleneck(2, 1, 2)),
        make.gathered("C3k2", WIDTH, WIDTH // 2, WIDTH, deep),
        make.c2psa(WIDTH),
    ]
    return pyramid(make, stages=stages, head=head)


def yolo12() -> Object:
    make = Blocks(12)
    stages = [
        make.gathered("C3k2", WIDTH, 2, WIDTH, make.bottleneck(2, 1, 2)),
        make.a2c2f(WIDTH, WIDTH, 4, weighted=True),
        make.a2c2f(WIDTH, WIDTH, 1),
    ]
    return pyramid(make, stages=stages, head=make.segment((WIDTH,) * 3, 2, 16, WIDTH))


def yolo26(*, end_to_end: bool = True) -> Object:
    make = Blocks(26)
    mixed = make.sequence(make.bottleneck(4, 2, 4), make.psa_block(4))
    stages = [
        make.gathered("C3k2", WIDTH, 2, WIDTH, make.bottleneck(2, 1, 2)),
        make.added_sppf(WIDTH),
        make.gathered("C3k2", WIDTH, WIDTH // 2, WIDTH, mixed),
    ]
    head = make.without_bins(make.segment((WIDTH,) * 3, 3, 2, WIDTH), (WIDTH,) * 3, WIDTH)
    head.attributes["_end2end"] = end_to_end
    return pyramid(make, stages=stages, head=head)


def yolov9() -> Object:
    make = Blocks(9)
    layers = [
        module("torch.nn.modules.linear.Identity"),
        make.conv(3, WIDTH, 3, 2),
        make.conv(WIDTH, WIDTH, 3, 2),
        make.elan(WIDTH, WIDTH),
        make.adown(WIDTH, WIDTH),
        make.elan(WIDTH, WIDTH),
        make.branch_out(WIDTH, WIDTH),
        make.branch_out(WIDTH, WIDTH, WIDTH),
        make.conv(3, WIDTH, 3, 2),
        make.conv(WIDTH, WIDTH, 3, 2),
        make.branch_in(0, 0),
        make.adown(WIDTH, WIDTH),
        make.branch_in(1),
        make.adown(WIDTH, WIDTH),
        make.elan(WIDTH, WIDTH),
        make.adown(WIDTH, WIDTH),
        make.sppelan(WIDTH, WIDTH),
        make.segment((WIDTH,) * 3, 2, 16, WIDTH),
    ]
    sources = {6: 3, 7: 5, 8: 0, 10: [6, 7, -1], 12: [7, -1], 17: [12, 14, 16]}
    return segmentation_network(layers, sources, 2)


def yolov8_p6() -> Object:
    make = Blocks(86)
    layers = [make.conv(3, WIDTH, 3, 2), make.conv(WIDTH, WIDTH, 3, 2)]
    for _ in range(4):
        layers += [make.conv(WIDTH, WIDTH, 3, 2), make.c2(WIDTH, WIDTH)]
    head = make.segment((WIDTH,) * 3, 2, 16, WIDTH)
    wider = make.segment((WIDTH,) * 3, 2, 16, WIDTH)
    for name in ("cv2", "cv3", "cv4"):
        more = wider.attributes["_modules"][name].attributes["_modules"]["0"]
        head.attributes["_modules"][name].attributes["_modules"]["3"] = more
    head.attributes.update(nl=4, stride=np.array([8, 16, 32, 64], np.float16))
    return segmentation_network([*layers, head], {10: [3, 5, 7, 9]}, 2, strides=(8, 16, 32, 64))


def yoloe(network: Object | None = None) -> Object:
    """A network whose texts have become weights."""
    network = network or yolo11()
    make = Blocks(0)
    network.kind = type(network.kind)("ultralytics.nn.tasks", "YOLOESegModel")
    head = head_of(network)
    parts = head.attributes["_modules"]
    new = "YOLOESegment26" if head.kind.name.endswith("26") else "YOLOESegment"
    head.kind = make.block("head", new).kind
    for prefix in ("", "one2one_"):
        if f"{prefix}cv4" in parts:
            parts[f"{prefix}cv5"] = parts.pop(f"{prefix}cv4")
            parts[f"{prefix}cv4"] = container("ModuleList", [contrast(make) for _ in range(3)])
    parts["reprta"] = module("torch.nn.modules.linear.Identity")
    head.attributes.update(is_fused=True, embed=512)
    network.attributes["pe"] = np.zeros((1, head.attributes["nc"], 512), np.float16)  # the texts' vectors
    return network


def contrast(make: Blocks) -> Object:
    """A layer that has nothing left to do, and says so by a method of its own."""
    layer = make.block("block", "BNContrastiveHead")
    layer.attributes["forward"] = Call(Name("__builtin__", "getattr"), (layer, "forward_fuse"))
    return layer


def yoloe_prompt_free() -> Object:
    """A network with a vocabulary of four names, and a layer that tells where objects are; not at the last stride."""
    network = yoloe()
    make = Blocks(5)
    head = head_of(network)
    parts, names = head.attributes["_modules"], 4
    levels = []
    for level in range(3):
        boxes, scores = (parts[name].attributes["_modules"][str(level)] for name in ("cv2", "cv3"))
        loc = boxes.attributes["_modules"].pop("2")
        scores.attributes["_modules"].pop("2")
        vocabulary = make.conv2d(WIDTH, names, 1, bias=np.full(names, -1.5), gain=60)
        if level < 2:
            vocabulary = module(
                "torch.nn.modules.linear.Linear",
                parameters={
                    "weight": make.half(make.rng.standard_normal((names, WIDTH)) * 2.5),
                    "bias": make.half(np.full(names, -1.5)),
                },
                in_features=WIDTH, out_features=names,
            )  # fmt: skip
        objects = make.conv2d(WIDTH, 1, 1, bias=np.full(1, -7.0), gain=30)
        levels.append(
            make.block("head", "LRPCHead", {"vocab": vocabulary, "pf": objects, "loc": loc}, enabled=level < 2)
        )
    parts["lrpc"] = container("ModuleList", levels)
    network.attributes["pe"] = np.zeros((1, names, 512), np.float16)
    head.attributes.update(nc=names, conf=0.001, max_det=1000)
    network.attributes["names"] = {number: f"name {number}" for number in range(names)}
    return network


def head_of(network: Object) -> Object:
    """The last layer."""
    layers = network.attributes["_modules"]["model"].attributes["_modules"]
    return layers[str(len(layers) - 1)]


def activated(name: str, **attributes: Any) -> Callable[[], Object]:
    """YOLOv8 with another activation, of `torch.nn`."""
    activation = {"kind": f"torch.nn.modules.activation.{name}", **attributes}
    return lambda: yolov8_seg(width=4, activation=activation)


NETWORKS: dict[str, Callable[[], Object]] = {
    "YOLOv8 with ReLU": activated("ReLU", inplace=True),
    "YOLOv8 with LeakyReLU": activated("LeakyReLU", negative_slope=0.1, inplace=True),
    "YOLOv8 with ReLU6": activated("ReLU6", inplace=True, min_val=0.0, max_val=6.0),
    "YOLOv8 with Hardswish": activated("Hardswish", inplace=True),
    "YOLOv8 with bilinear upsampling": lambda: yolov8_seg(width=4, upsampling="bilinear"),
    "YOLOv8-p6": yolov8_p6,
    "YOLOv9": yolov9,
    "YOLO11": yolo11,
    "YOLO12": yolo12,
    "YOLO26": yolo26,
    "YOLO26 one-to-many": lambda: yolo26(end_to_end=False),
    "YOLOE": yoloe,
    "YOLOE-26": lambda: yoloe(yolo26()),
    "YOLOE prompt-free": yoloe_prompt_free,
}
