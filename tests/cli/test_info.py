"""`info`: what it says of a model file."""

import json
from pathlib import Path

import onnx
from support import tiny_onnx

from fastsam_onnx.cli.program import main


class TestInfo:
    def test_text(self, network, capsys):
        assert main(["info", network]) == 0
        out, err = capsys.readouterr()
        lines = dict(line.split(":", 1) for line in out.splitlines())
        assert err == ""
        assert lines["model"].strip() == network
        assert f"{Path(network).stat().st_size:,}" in lines["bytes"]
        assert "imgsz 64x64 (from the file), conf 0.4 (built in), iou 0.9 (built in)" in lines["defaults"]
        assert "CPUExecutionProvider" in lines["providers"]
        assert "decoder" not in lines

    def test_the_bundled_model_says_that_it_draws(self, capsys):
        assert main(["info"]) == 0
        told = "draws objects and answers to points and boxes anew, and a corrector what has further points"
        assert f"decoder:    {told}" in capsys.readouterr().out

    def test_parameters_in_a_file_beside_it(self, tmp_path, capsys):
        file, beside = tmp_path / "a.onnx", tmp_path / "a.onnx.data"
        model = onnx.load_from_string(tiny_onnx.tiny())
        onnx.save(model, file, save_as_external_data=True, location=beside.name, size_threshold=200)
        assert main(["info", str(file)]) == 0
        [line] = (line for line in capsys.readouterr().out.splitlines() if line.startswith("bytes"))
        assert line.split(maxsplit=1)[1].startswith(f"{file.stat().st_size:,} (")
        assert f", and {beside.stat().st_size:,} (" in line
        assert line.endswith(" in a.onnx.data")

    def test_json(self, tmp_path, capsys):
        file = tmp_path / "tiny.onnx"
        file.write_bytes(tiny_onnx.tiny(nc=3, nm=4, metadata=tiny_onnx.ultralytics_metadata(3, (96, 64))))
        assert main(["info", "--json", str(file)]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["bytes"] == file.stat().st_size
        assert facts["input"] == {
            "name": "images",
            "dtype": "float32",
            "batch": None,
            "height": None,
            "width": None,
            "stride": 32,
        }
        assert (facts["classes"], facts["coefficients"], facts["nms_inside"]) == (3, 4, False)
        assert facts["names"] == {"0": "class 0", "1": "class 1", "2": "class 2"}
        assert facts["metadata"]["imgsz"] == [96, 64]
        thresholds = {"imgsz": [96, 64], "conf": 0.4, "iou": 0.9, "max_det": 300}
        assert facts["defaults"] == thresholds | {"refine": False, "redraw": False}
        assert (facts["metadata"]["refine"], facts["metadata"]["redraw"]) == (None, None)

    def test_sizes_are_width_by_height_and_many_classes_are_cut_short(self, tmp_path, capsys):
        file = tmp_path / "tiny.onnx"
        for count, end in ((8, "class 7"), (9, "class 7, ...")):
            file.write_bytes(tiny_onnx.tiny(nc=count, metadata=tiny_onnx.ultralytics_metadata(count, (96, 64))))
            assert main(["info", str(file)]) == 0
            lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
            assert lines["classes"].endswith(end)
            assert "imgsz 64x96 (from the file)" in lines["defaults"]  # of a height of 96

    def test_what_the_file_states(self, tmp_path, capsys):
        file = tmp_path / "tiny.onnx"
        metadata = tiny_onnx.ultralytics_metadata(nms=True) | {"batch": "4", "license": "AGPL-3.0 License"}
        metadata["redraw"] = "True"
        metadata["args"] = "{'batch': 4, 'nms': True, 'conf': 0.25, 'iou': 0.7}"
        file.write_bytes(tiny_onnx.tiny(nms_inside=True, metadata=metadata))
        assert main(["info", str(file)]) == 0
        pairs = (line.split(":", 1) for line in capsys.readouterr().out.splitlines())
        lines = {name: text.strip() for name, text in pairs}
        assert lines["nms"].startswith("inside the network (conf 0.25, iou 0.7)")
        assert lines["exported"] == "with batch 4"
        assert lines["file"] == "ONNX, opset 17, parameters mostly float32"
        assert lines["licence"] == "AGPL-3.0 License"
        assert lines["defaults"].endswith(
            "max_det 300 (built in), refine False (built in), redraw True (from the file)"
        )
        assert main(["info", "--json", str(file)]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["metadata"]["nms"] == {"conf": 0.25, "iou": 0.7}
        assert (facts["metadata"]["batch"], facts["onnx"]["opset"]) == (4, 17)

    def test_no_model(self, tmp_path, capsys):
        (tmp_path / "text.onnx").write_text("no network")
        for name in ("none.onnx", "text.onnx"):
            assert main(["info", str(tmp_path / name)]) == 2
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert name in err
