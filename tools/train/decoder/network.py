"""The decoder: a small U-Net (Ronneberger 2015) over a view of the photo and the prototypes, and the IoU it promises.

The photo comes in at SIDE x SIDE, the maps at half of that; the mask goes out at SIDE x SIDE by a pixel shuffle
(Shi 2016) beside a thin branch of the photo at full size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fastsam_onnx.masks.views import EXTRA_MAPS

from ..network import COEFFICIENTS, ConvNorm

MAPS = COEFFICIENTS + EXTRA_MAPS
STEM, DETAIL = 24, 8
WIDTHS = (32, 64, 96, 112)  # at COARSE, and halved three times
BLOCKS = (0, 1, 1, 1)  # on the way down
PROMISE = 48


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input goes on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3)
        self.second = ConvNorm(channels, channels, 3, act="none")

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Up(nn.Module):
    """A coarser map, enlarged, joins a finer one."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = ConvNorm(coarse, fine, act="none")
        self.block = Residual(fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return self.block(fine + F.interpolate(self.narrow(coarse), scale_factor=2.0, mode="nearest"))


class Decoder(nn.Module):
    """From photo (B, 3, SIDE, SIDE) and maps (B, MAPS, COARSE, COARSE) to logits (B, SIDE, SIDE) and promises (B,)."""

    def __init__(self, blocks: Sequence[int] = BLOCKS) -> None:
        """``blocks``: how many there are at each level, on the way down."""
        super().__init__()
        self.blocks = tuple(blocks)
        self.level = nn.BatchNorm2d(MAPS, affine=False, momentum=0.01)
        self.stem = ConvNorm(3, STEM, 3, 2)
        self.detail = ConvNorm(3, DETAIL, 3)
        self.join = ConvNorm(STEM + MAPS, WIDTHS[0])
        self.stages = nn.ModuleList()
        self.downs = nn.ModuleList()
        for level, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True)):
            self.stages.append(nn.Sequential(*(Residual(width) for _ in range(count))))
            if level + 1 < len(WIDTHS):
                self.downs.append(ConvNorm(width, WIDTHS[level + 1], 3, 2))
        self.ups = nn.ModuleList(Up(WIDTHS[level + 1], WIDTHS[level]) for level in (2, 1, 0))
        self.spread = nn.Conv2d(WIDTHS[0], 4 * DETAIL, 1)
        self.last = ConvNorm(2 * DETAIL, 2 * DETAIL, 3)
        self.mask = nn.Conv2d(2 * DETAIL, 1, 1)
        self.think = nn.Linear(WIDTHS[-1] + WIDTHS[0], PROMISE)
        self.promise = nn.Linear(PROMISE, 1)

    def forward(self, photo: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        x = self.join(torch.cat([self.stem(photo), self.level(maps)], 1))
        seen = []
        for level, stage in enumerate(self.stages):
            x = stage(x)
            seen.append(x)
            if level < len(self.downs):
                x = self.downs[level](x)
        for up, fine in zip(self.ups, reversed(seen[:-1]), strict=True):
            x = up(x, fine)
        fine = F.relu(F.pixel_shuffle(self.spread(x), 2))
        mask = self.mask(self.last(torch.cat([fine, self.detail(photo)], 1)))[:, 0]
        summary = torch.cat([seen[-1].mean((2, 3)), x.mean((2, 3))], 1)
        return mask.float(), self.promise(F.relu(self.think(summary)))[:, 0].float()


def blocks_of(names: Iterable[str]) -> tuple[int, ...]:
    """How many blocks the decoder has at each level whose parameters have these names."""
    found = {tuple(name.split(".")[1:3]) for name in names if name.startswith("stages.")}
    return tuple(sum(level == str(index) for level, _ in found) for index in range(len(WIDTHS)))
