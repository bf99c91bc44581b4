"""The networks by name: what each is made of, and the weights that it begins with."""

from __future__ import annotations

from pathlib import Path

from .encoder import SamBackbone, fill_encoder, read_sam
from .network import Backbone, SegmentEverything, load_imagenet

NAMES = ("nano", "small")


def make(name: str) -> SegmentEverything:
    """``nano``: convolutions, for everybody; ``small``: SAM's encoder, the nano's teacher. Weights are random."""
    if name == "small":
        return SegmentEverything(SamBackbone(), width=96, mask_width=128)
    return SegmentEverything(Backbone(), width=128, mask_width=80)


def name_of(network: SegmentEverything) -> str:
    """The name by which `make` makes such a network."""
    return "small" if isinstance(network.backbone, SamBackbone) else "nano"


def fill(network: SegmentEverything, weights: Path | None) -> None:
    """The backbone's first weights: MobileSAM's from the file ``weights``, or ImageNet's from a package."""
    if isinstance(network.backbone, SamBackbone):
        if weights is None:
            raise SystemExit("the small network begins with mobile_sam.pt: --weights")
        fill_encoder(network.backbone.encoder, read_sam(weights))
    else:
        load_imagenet(network.backbone)
