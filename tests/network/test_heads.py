"""Raw heads: decoded here as the network itself would have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from support import tiny_onnx
from support.network_runs import photos, raw
from support.pt_families import NETWORKS
from support.pt_writer import checkpoint, official

from fastsam_onnx import FastSAM
from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.convert import export
from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.heads import candidates_from_heads, find_levels
from fastsam_onnx.network.network import Network

TINY = Path(__file__).parents[1] / "data" / "tiny.pt"


def maps(rows, columns, *, bins=16, nc=1, nm=2):
    """Maps of one stride, as (1, channels, rows, columns): distances 0, scores below 0.001, coefficients 0."""
    sides = np.full((1, 4, bins, rows, columns), -50, np.float32)
    sides[:, :, 0] = 0
    scores = np.full((1, nc, rows, columns), -9, np.float32)
    return [sides.reshape(1, 4 * bins, rows, columns), scores, np.zeros((1, nm, rows, columns), np.float32)]


class TestDecoding:
    def test_a_box_by_hand(self):
        # Row 1, column 2 of 3 x 4 cells of 8 pixels: the centre is (20, 12). 1, 0.5, 2.5 and 1.5 cells to the left,
        # top, right and bottom: x from 12 to 40, y from 8 to 24.
        level = maps(3, 4)
        sides = level[0].reshape(4, 16, 3, 4)
        sides[:, :, 1, 2] = -50
        for side, distances in enumerate(([1], [0, 1], [2, 3], [1, 2])):  # equally likely: their mean counts
            sides[side, distances, 1, 2] = 0
        level[1][0, 0, 1, 2] = 0  # the sigmoid of 0 is 0.5
        level[2][0, :, 1, 2] = 3, -4
        candidates = candidates_from_heads(level, [8])
        assert candidates.shape == (1, 7, 12)
        assert candidates.dtype == np.float32
        np.testing.assert_allclose(candidates[0, :, 6], [26, 16, 28, 16, 0.5, 3, -4], rtol=1e-6)
        # Any other cell: no size around its centre, the sigmoid of -9.
        np.testing.assert_allclose(candidates[0, :, 0], [4, 4, 0, 0, 1 / (1 + np.exp(9)), 0, 0], atol=1e-4)

    def test_a_distance_that_is_sure_is_its_bin_however_large_the_logits(self):
        level = maps(1, 1)
        level[0][:] = -1e4
        level[0].reshape(4, 16)[:, 3] = 1e4
        # 3 cells of 8 pixels to each side of the centre (4, 4).
        np.testing.assert_array_equal(candidates_from_heads(level, [8])[0, :4, 0], [4, 4, 48, 48])

    def test_one_bin_is_the_distance_itself(self):
        level = maps(1, 1, bins=1)
        level[0][0, :, 0, 0] = 1, 2, 3, 4
        # The centre is (16, 16), cells are 32 pixels: x from -16 to 112, y from -48 to 144.
        np.testing.assert_allclose(candidates_from_heads(level, [32])[0, :4, 0], [48, 48, 128, 192])

    def test_strides_follow_each_other_row_by_row(self):
        candidates = candidates_from_heads([*maps(4, 2), *maps(2, 1)], [8, 16])
        centres = [(x, y) for y in (4, 12, 20, 28) for x in (4, 12)] + [(8, 8), (8, 24)]
        np.testing.assert_allclose(candidates[0, :2].T, centres, atol=1e-3)

    def test_scores_behind_the_sigmoid_stay(self):
        level = maps(1, 2)
        level[1][0, 0, 0] = 0, 0.75
        np.testing.assert_array_equal(candidates_from_heads(level, [8])[0, 4], np.float32([0, 0.75]))

    def test_large_logits_give_0_and_1(self):
        level = maps(1, 2)
        level[1][0, 0, 0] = -1e4, 1e4
        np.testing.assert_array_equal(candidates_from_heads(level, [8])[0, 4], np.float32([0, 1]))

    def test_one_stride_decides_for_all(self):
        # The second stride alone looks like probabilities.
        coarse = maps(1, 1)
        coarse[1][:] = 0.5
        assert candidates_from_heads([*maps(2, 2), *coarse], [8, 16])[0, 4, 4] == pytest.approx(0.62246, abs=1e-5)

    def test_maps_of_a_stride_must_be_of_one_size(self):
        level = maps(2, 2)
        level[1] = level[1][..., :1]
        with pytest.raises(ModelError, match=r"\(1, 1, 2, 1\)"):
            candidates_from_heads(level, [8])


class TestRoles:
    GRIDS = ((8, 12), (4, 6), (2, 3))

    def shapes(self, *channels):
        return {f"{grid[0]}-{index}": (1, count, *grid) for grid in self.GRIDS for index, count in enumerate(channels)}

    @pytest.mark.parametrize(
        ("channels", "names", "roles"),
        [
            ((64, 1, 32), 0, (0, 1, 2)),
            ((32, 1, 104), 0, (2, 1, 0)),  # the 26 bins of FastSAM's paper
            ((80, 32, 64), 0, (2, 0, 1)),  # 80 classes are 20 bins, too, but 16 are usual
            ((80, 32, 64), 64, (0, 2, 1)),  # the names tell
            ((4, 3, 32), 0, (0, 1, 2)),
            ((64, 32, 32), 64, None),
        ],
    )
    def test_the_shapes_tell(self, channels, names, roles):
        shapes = self.shapes(*channels)
        if roles is None:
            with pytest.raises(ModelError, match="not clear"):
                find_levels(shapes, self.GRIDS, 32, names)
            return
        assert find_levels(shapes, self.GRIDS, 32, names) == [
            tuple(f"{grid[0]}-{role}" for role in roles) for grid in self.GRIDS
        ]

    @pytest.mark.parametrize("channels", [(64, 32, 32), (80, 32, 60), (64, 1, 16)])
    def test_what_is_not_clear_is_refused(self, channels):
        with pytest.raises(ModelError, match="not clear"):
            find_levels(self.shapes(*channels), self.GRIDS, 32, 0)

    @pytest.mark.parametrize("channels", [(65, 32), (64, 1, 1, 32)])
    def test_other_numbers_of_maps_are_refused(self, channels):
        # Sides and scores in one map; and Rockchip's, which has a sum of the scores too.
        with pytest.raises(ModelError, match=rf"3 maps of 8 x 12.*got {len(channels)}"):
            find_levels(self.shapes(*channels), self.GRIDS, 32, 0)

    def test_strides_must_agree(self):
        shapes = {**self.shapes(64, 1, 32), "2-1": (1, 3, 2, 3)}
        with pytest.raises(ModelError, match="at every stride"):
            find_levels(shapes, self.GRIDS, 32, 0)


class TestFiles:
    @pytest.fixture
    def files(self, tmp_path):
        """The same network, whole and cut."""
        read = read_checkpoint(TINY)
        export(read, tmp_path / "whole.onnx")
        export(read, tmp_path / "cut.onnx", raw=True)
        onnx.checker.check_model(onnx.load(tmp_path / "cut.onnx"), full_check=True)
        return tmp_path

    def test_the_decoding_is_that_of_the_whole_network(self, files):
        whole, cut = (Network.open(files / name) for name in ("whole.onnx", "cut.onnx"))
        assert (cut.contract.class_count, cut.contract.coefficient_count, cut.contract.batch) == (1, 32, None)
        tensor = photos(2, 64, 96)
        for expected, got in zip(whole.run(tensor), cut.run(tensor), strict=True):
            np.testing.assert_allclose(got.candidates, expected.candidates, rtol=1e-5, atol=1e-4)
            # Cut, the network keeps every layer; whole, some layers are computed together, which rounds otherwise.
            np.testing.assert_allclose(got.prototypes, expected.prototypes, rtol=1e-5, atol=1e-5)

    def test_photos_are_segmented_alike(self, files):
        photo = np.random.default_rng(3).integers(0, 256, (90, 130, 3), np.uint8)
        whole, cut = (FastSAM(files / name, imgsz=128, conf=0.01)(photo) for name in ("whole.onnx", "cut.onnx"))
        assert len(whole) == len(cut) > 3
        np.testing.assert_allclose(cut.boxes, whole.boxes, atol=1e-3)
        np.testing.assert_allclose(cut.scores, whole.scores, atol=1e-6)
        assert all(a.iou(b) > 0.999 for a, b in zip(whole.masks, cut.masks, strict=True))

    def test_a_size_of_its_own(self, tmp_path):
        export(read_checkpoint(TINY), tmp_path / "cut.onnx", imgsz=(64, 96), raw=True)
        contract = Network.open(tmp_path / "cut.onnx").contract
        assert (contract.batch, contract.height, contract.width) == (1, 64, 96)

    @pytest.mark.parametrize("nc", [1, 3, 80])
    @pytest.mark.parametrize("sizes", [{}, {"height": 64, "width": 96}, {"swapped_outputs": True}])
    def test_ten_outputs_in_any_order(self, nc, sizes):
        model, tensor = tiny_onnx.tiny(nc, raw_heads=True, **sizes), photos()
        network = Network.open(model)
        assert network.contract.class_count == nc
        [output] = network.run(tensor)
        logits = raw(model, tensor)["classes8"].reshape(nc, -1)
        np.testing.assert_allclose(output.candidates[4 : 4 + nc, : logits.shape[1]], 1 / (1 + np.exp(-logits)), 1e-5)

    def test_a_distribution_over_other_distances_is_not_cut(self, tmp_path):
        read = read_checkpoint(TINY)
        [name] = [name for name in read.arrays if name.endswith("dfl.conv.weight")]
        changed = replace(read, arrays={**read.arrays, name: read.arrays[name] * 2})
        with pytest.raises(ModelError, match=r"dfl\.conv\.weight must be 0 to 15"):
            export(changed, tmp_path / "cut.onnx", raw=True)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_family(self, name, tmp_path):
        read = read_checkpoint(checkpoint(official(NETWORKS[name]())))
        cut, whole = tmp_path / "cut.onnx", tmp_path / "whole.onnx"
        if name.startswith("YOLOE"):  # their texts are part of the decoding
            with pytest.raises(ModelError, match="raw heads of a YOLOE"):
                export(read, cut, raw=True)
            return
        export(read, cut, raw=True)
        export(read, whole)
        tensor = photos(1, 64, 128)
        [(got, *_)], [(expected, *_)] = (Network.open(file).run(tensor) for file in (cut, whole))
        if name == "YOLO26":  # whole, it chooses the best candidates, and says each as often as it has classes
            distances = np.abs(got[:4].T[None] - expected[:4].T[:20, None]).max(axis=2).min(axis=1)
            assert distances.max() < 1e-3
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
