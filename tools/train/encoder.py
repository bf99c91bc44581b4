"""SAM's image encoder in its small form: TinyViT-5M as MobileSAM distilled it, a backbone for any size of photo.

Written from the papers: TinyViT (Wu 2022), MobileSAM (Zhang 2023). Its weights are those of mobile_sam.pt (Apache-2.0).
Batch norms are folded into the convolutions when the weights are read: their statistics never change. Maps are kept as
(B, H, W, C), which is what attention wants and, seen as (B, C, H, W), PyTorch's channels-last.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from .data import TEACHER_SHA256
from .network import ConvNorm, Residual

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
WINDOWS = (0, 7, 14, 7)  # tokens; the first stage has convolutions instead
HEAD = 32  # channels of a head of attention
EXPANSION = 4
NECK = 256
DEEPEST = 160  # channels at stride 32
LOUDER = 16.0  # SAM's own map is that much weaker than the others


class Conv(nn.Conv2d):
    """A convolution of (B, H, W, C) that keeps the size, or halves it."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Patches(nn.Module):
    """Photos to maps of stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.seq = nn.Sequential(Conv(3, WIDTHS[0] // 2, 3, 2), nn.GELU(), Conv(WIDTHS[0] // 2, WIDTHS[0], 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class Inverted(nn.Module):
    """Expand, depthwise, project, with a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = EXPANSION * width
        self.conv1 = Conv(width, hidden)
        self.conv2 = Conv(hidden, hidden, 3, groups=hidden)
        self.conv3 = Conv(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Shrink(nn.Module):
    """From one stage to the next; ``stride`` 2 halves the map."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv(inputs, outputs)
        self.conv2 = Conv(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = Conv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class Attention(nn.Module):
    """Attention among the tokens of a window, with a learned bias for every distance."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, window * window))
        self.register_buffer("distances", window_distances(window), persistent=False)

    def bias(self) -> Tensor:
        """What is added to the logits: (heads, tokens, tokens)."""
        return self.attention_biases[:, self.distances]

    def forward(self, x: Tensor) -> Tensor:
        """(windows, tokens, C) to the same."""
        split = self.qkv(self.norm(x)).unflatten(2, (self.heads, 3 * HEAD)).transpose(1, 2)
        query, key, value = split.split(HEAD, 3)
        logits = query * HEAD**-0.5 @ key.transpose(2, 3) + self.bias().to(query.dtype)
        # PyTorch's own attention takes three to five times as long on a CPU when there is a bias
        mixed = logits.softmax(-1, dtype=logits.dtype) @ value
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Norm and two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, EXPANSION * width)
        self.fc2 = nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a depthwise convolution across them, two layers."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = Attention(width, window)
        self.local_conv = Conv(width, width, 3, groups=width)
        self.mlp = Mlp(width)

    def attended(self, x: Tensor) -> Tensor:
        """Attention of (B, H, W, C), filled up with zeros to whole windows."""
        batch, height, width, _ = x.shape
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        windows = x.unflatten(2, (columns, side)).unflatten(1, (rows, side)).transpose(2, 3)
        y = self.attn(windows.reshape(-1, side * side, x.shape[3]))
        y = y.view(batch, rows, columns, side, side, -1).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return y[:, :height, :width]

    def forward(self, x: Tensor) -> Tensor:
        x = self.local_conv(x + self.attended(x))
        return x + self.mlp(x)


class Stage(nn.Module):
    """Blocks of one width, and the way to the next stage."""

    def __init__(self, index: int) -> None:
        super().__init__()
        width, window = WIDTHS[index], WINDOWS[index]
        make = (lambda: Block(width, window)) if window else (lambda: Inverted(width))
        self.blocks = nn.ModuleList(make() for _ in range(DEPTHS[index]))
        last = index + 1 == len(WIDTHS)
        # the last stage keeps stride 16
        self.downsample = nn.Identity() if last else Shrink(width, WIDTHS[index + 1], 1 if index == 2 else 2)


class SamEncoder(nn.Module):
    """Photos (B, 3, H, W) as RGB / 255 to maps (B, H, W, C) of strides 4, 8, 16 (160 channels) and 16 (SAM's 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Patches()
        self.layers = nn.ModuleList(Stage(index) for index in range(len(WIDTHS)))
        self.neck = nn.ModuleList(
            [
                nn.Linear(WIDTHS[-1], NECK, bias=False),
                nn.LayerNorm(NECK, eps=1e-6),
                Conv(NECK, NECK, 3),
                nn.LayerNorm(NECK, eps=1e-6),
            ]
        )

    def forward(self, photos: Tensor) -> list[Tensor]:
        scale = photos.new_tensor([255 / deviation for deviation in DEVIATION])
        shift = photos.new_tensor([-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)])
        x = self.patch_embed(photos.permute(0, 2, 3, 1) * scale + shift)
        maps = []
        for stage in self.layers:
            for block in stage.blocks:
                x = block(x)
            maps.append(x)
            x = stage.downsample(x)
        for layer in self.neck:
            x = layer(x)
        return [*maps[:3], x]


class SamBackbone(nn.Module):
    """SAM's encoder and what makes stride 32 of it: maps (B, C, H, W) of strides 4, 8, 16, 32."""

    channels = (WIDTHS[0], WIDTHS[1], WIDTHS[2] + NECK, DEEPEST)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SamEncoder()
        self.deeper = nn.Sequential(ConvNorm(WIDTHS[2] + NECK, 128), ConvNorm(128, DEEPEST, 3, 2), Residual(DEEPEST))

    def pretrained(self) -> nn.Module:
        return self.encoder

    def frozen(self) -> list[nn.Module]:
        """The modules that never learn: all but the last stage and the neck."""
        return [self.encoder.patch_embed, *self.encoder.layers[:3]]

    def forward(self, photos: Tensor) -> list[Tensor]:
        c2, c3, c4, top = (x.permute(0, 3, 1, 2) for x in self.encoder(photos))
        c4 = torch.cat([c4, LOUDER * top], 1)
        return [c2, c3, c4, self.deeper(c4)]


def window_distances(side: int) -> Tensor:
    """(side^2, side^2): the number of the distance |dy|, |dx| between two tokens of a window."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    dy, dx = ((line.flatten()[:, None] - line.flatten()[None]).abs() for line in (y, x))
    return dy * side + dx


def read_sam(path: Path) -> dict[str, Tensor]:
    """The weights of mobile_sam.pt.

    Raises:
        SystemExit: If it is another file.
    """
    if hashlib.sha256(path.read_bytes()).hexdigest() != TEACHER_SHA256:
        raise SystemExit(f"{path} is not mobile_sam.pt of MobileSAM: its sha256 differs from {TEACHER_SHA256}")
    return torch.load(path, map_location="cpu", weights_only=True)


def fill_encoder(encoder: SamEncoder, source: dict[str, Tensor]) -> None:
    """Fills the encoder with MobileSAM's weights."""
    prefix = "image_encoder."
    encoder.load_state_dict(folded({k.removeprefix(prefix): v for k, v in source.items() if k.startswith(prefix)}))


def folded(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """MobileSAM's names to ours, each batch norm in the convolution before it; its classifier is left out."""
    result = {}
    for name, value in source.items():
        if name.endswith(".c.weight"):
            layer = name.removesuffix(".c.weight")
            weight, bias, mean, variance = (
                source[f"{layer}.bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = weight * torch.rsqrt(variance + 1e-5)
            result[f"{layer}.weight"] = value * scale[:, None, None, None]
            result[f"{layer}.bias"] = bias - mean * scale
        elif name == "neck.0.weight":  # 1 x 1
            result[name] = value[:, :, 0, 0]
        elif ".bn." not in name and not name.startswith(("head.", "norm_head.")):
            result[name] = value
    result["neck.2.bias"] = torch.zeros(NECK)
    return result
