"""Boxes that people have drawn already, with their classes: label files of YOLO, COCO, labelme and Pascal VOC.

```python
from fastsam_onnx import FastSAM
from fastsam_onnx.labels import read_labels

model, labels = FastSAM(), read_labels("labels")
for path in photos:
    masks = model(path, redraw=False).prompt(labels.of(path))
```
"""

from fastsam_onnx.labels.boxes import LabelledBoxes
from fastsam_onnx.labels.photos import Labels
from fastsam_onnx.labels.read import read_labels

__all__ = ["LabelledBoxes", "Labels", "read_labels"]
