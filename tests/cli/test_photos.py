"""The names of results: no two of a run share one."""

from pathlib import Path

import pytest
from support.command_line import names, photo

from fastsam_onnx.cli.photos import Photo, plan
from fastsam_onnx.errors import OptionError


class TestNames:
    """No two results of a run share a name."""

    def outputs(self, photos, formats=("json",), output="out"):
        jobs = plan([one if isinstance(one, Photo) else Photo(Path(one)) for one in photos], formats, output)
        return [path.as_posix() for job in jobs for path in job.outputs.values()]

    def test_the_stem_where_it_is_unique(self):
        assert self.outputs(["a.jpg", "in/b.png", "c"]) == ["out/a.json", "out/b.json", "out/c.json"]
        assert self.outputs(["a.jpg", "in/b.png"], output=None) == ["a.json", "in/b.json"]
        assert self.outputs(["x/a.jpg", "y/a.jpg"], output=None) == ["x/a.json", "y/a.json"]

    def test_same_stem(self):
        assert self.outputs(["a.jpg", "a.png", "b.png"]) == ["out/a.jpg.json", "out/a.png.json", "out/b.json"]
        assert self.outputs(["a.jpg", "A.png"]) == ["out/a.jpg.json", "out/A.png.json"]  # for macOS and Windows
        assert self.outputs(["i/a.jpg", "i/a.png"], output=None) == ["i/a.jpg.json", "i/a.png.json"]

    def test_a_long_name_that_is_the_short_name_of_another(self):
        names = self.outputs(["a.jpg", "a.png", "a.jpg.png"])
        assert len(set(names)) == 3
        assert names[1:] == ["out/a.png.json", "out/a.jpg.png.json"]

    def test_suffixes_of_different_formats(self):
        names = self.outputs(["a.jpg", "a.coco.jpg"], formats=("json", "coco"))
        assert len(set(names)) == 4

    def test_folders(self):
        found = [Photo(Path("2023/x/a.jpg"), Path("2023")), Photo(Path("2024/x/a.jpg"), Path("2024"))]
        assert self.outputs(found) == ["out/2023/x/a.jpg.json", "out/2024/x/a.jpg.json"]
        assert self.outputs(["x/a.jpg", "../a.jpg", "x/b.jpg"])[::2] == ["out/x/a.jpg.json", "out/b.json"]
        assert all(name.startswith("out/") and ".." not in name for name in self.outputs(["x/a.jpg", "../a.jpg"]))

    def test_where_only_the_case_differs(self):
        assert self.outputs(["a.jpg", "A.jpg"], output=None) == ["a.jpg.json", "A.jpg.json"]

    def test_where_only_the_case_differs_in_a_folder_of_results(self):
        assert self.outputs(["in/IMG_1.JPG", "in/IMG_1.jpg"]) == ["out/IMG_1.JPG.json", "out/IMG_1.jpg.json"]
        folder = [
            Photo(Path("p/a.jpg"), Path("p")),
            Photo(Path("p/A.jpg"), Path("p")),
            Photo(Path("q/a.jpg"), Path("q")),
        ]
        assert self.outputs(folder) == ["out/p/a.jpg.json", "out/p/A.jpg.json", "out/q/a.jpg.json"]

    @pytest.mark.parametrize("output", ["mask.bmp", "x/mask.TIF", "mask.jp2", "clip.mp4", "results.tar.gz", "x.pgn"])
    def test_a_name_that_looks_like_a_file_is_no_folder(self, output):
        with pytest.raises(OptionError, match=r"\.png.*/$"):
            self.outputs(["a.jpg"], formats=None, output=output)
        assert self.outputs(["a.jpg"], output=f"{output}/") == [f"{output}/a.json"]

    @pytest.mark.parametrize("output", ["results", "results.v2", "run-2026.11.26", ".hidden", "a.b/results"])
    def test_other_names_are_folders(self, output):
        assert self.outputs(["a.jpg"], output=output) == [f"{output}/a.json"]

    def test_what_stays_the_same_is_refused(self):
        with pytest.raises(OptionError, match="the same name"):
            self.outputs(["a", "a.coco"], formats=("json", "coco"), output=None)

    def test_in_a_run(self, run, tmp_path):
        for name in ("p/a.jpg", "p/a.png", "q/a.png"):
            photo(tmp_path / name)
        assert run(tmp_path / "p", tmp_path / "q", "--output", tmp_path / "out", "--format", "json")[0] == 0
        assert names(tmp_path / "out") == ["a.jpg.json", "p/a.png.json", "q/a.png.json"]
