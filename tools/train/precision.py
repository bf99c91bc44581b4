"""What networks are trained in: bfloat16 where the processor computes in it, float32 elsewhere."""

from __future__ import annotations

import torch


def autocast(device: str) -> torch.autocast:
    """Around a network's forward pass. A processor with AVX2 alone takes ten times as long in bfloat16."""
    enabled = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device, torch.bfloat16, enabled=enabled)
