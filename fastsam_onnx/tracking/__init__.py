"""Objects of a video's frames have numbers that stay; prompts put to one frame are followed through the next."""

from fastsam_onnx.tracking.tracker import LOW_SHARE, Tracker

__all__ = ["LOW_SHARE", "Tracker"]
