"""Which photos inputs name, and the names of results: no two of a run share one."""

from pathlib import Path

import pytest
from support.command_line import POSIX, names, photo

from fastsam_onnx.cli.photos import (
    Photo,
    find_photos,
    has_file_suffix,
    image_ids,
    is_folder_name,
    is_pattern,
    photo_options,
    plan,
)
from fastsam_onnx.errors import OptionError


class TestInputs:
    """Each photo once, in order, as it was named first."""

    def test_a_photo_that_was_named_is_not_one_of_its_folder(self, tmp_path):
        path = photo(tmp_path / "a.png")
        assert find_photos([str(path), str(tmp_path)], recursive=False) == ([Photo(path)], [])
        assert find_photos([str(tmp_path), str(path)], recursive=False) == ([Photo(path, tmp_path)], [])
        roundabout = tmp_path / "b" / ".." / "a.png"
        assert find_photos([str(path), str(roundabout)], recursive=False) == ([Photo(path)], [])

    @POSIX
    def test_links_are_followed_before_what_comes_after_them(self, tmp_path):
        """Of two photos one was left out without a word: "link/.." is not where the link stands."""
        own, behind = photo(tmp_path / "p.png"), photo(tmp_path / "disk" / "deep" / "p.png")
        (tmp_path / "disk" / "deep" / "dir").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep" / "dir")
        roundabout = Path(tmp_path, "link", "..", "p.png")
        found, _ = find_photos([str(own), str(roundabout)], recursive=False)
        assert found == [Photo(own), Photo(roundabout)]
        assert find_photos([str(behind), str(roundabout)], recursive=False) == ([Photo(behind)], [])
        (tmp_path / "again.png").symlink_to(own)
        assert len(find_photos([str(own), str(tmp_path / "again.png")], recursive=False)[0]) == 2  # it is meant

    def test_folders_in_folders_but_no_hidden_ones_and_none_of_results(self, tmp_path):
        for name in ("x/y/a.png", ".git/b.png", "c.CUTOUTS/c.png", ".d.png"):
            photo(tmp_path / name)
        found, _ = find_photos([str(tmp_path)], recursive=True)
        assert [one.path.name for one in found if not one.path.name.startswith(".")] == ["a.png"]
        assert not {"b.png", "c.png"} & {one.path.name for one in found}
        found, troubles = find_photos([str(tmp_path / "x")], recursive=False)
        assert (found, troubles) == (
            [],
            [(str(tmp_path / "x"), "no pictures in this folder (--recursive searches its folders)")],
        )

    def test_a_folder_that_cannot_be_read_is_told_as_such(self, tmp_path, monkeypatch):
        def refused(_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", refused)
        troubles = [(str(tmp_path), "cannot read the folder: Permission denied")]
        assert find_photos([str(tmp_path)], recursive=False) == ([], troubles)

    def test_a_pattern_is_what_is_no_file_and_no_address(self, tmp_path):
        assert is_pattern("shots/*.jpg")
        assert is_pattern(str(tmp_path / "a[1].png"))
        photo(tmp_path / "a[1].png")
        assert not is_pattern(str(tmp_path / "a[1].png"))
        assert not is_pattern("https://example.org/a.jpg?b=1")
        assert not is_pattern("a.jpg")


class TestOutput:
    """A file of a known format, or a folder."""

    def test_one_file_is_for_one_photo_that_was_named(self):
        with pytest.raises(OptionError, match="may be several photos"):
            plan([Photo(Path("in/a.jpg"), Path("in"))], None, "a.png")
        with pytest.raises(OptionError, match="may be several photos"):
            plan([Photo(Path("a.jpg")), Photo(Path("b.jpg"))], None, "a.png")
        with pytest.raises(OptionError, match=r"format svg must end with \.svg"):
            plan([Photo(Path("a.jpg"))], ["svg"], "a.json")
        with pytest.raises(OptionError, match="formats svg, json; name a folder"):
            plan([Photo(Path("a.jpg"))], ["svg", "json"], "a.svg")
        with pytest.raises(OptionError, match=r"'a\.cutout\.jpg' is named like the format 'cutout'"):
            plan([Photo(Path("a.jpg"))], None, "a.cutout.jpg")
        [job] = plan([Photo(Path("a.jpg"))], ["overlay"], "a.cutout.jpg")
        assert job.outputs == {"overlay": Path("a.cutout.jpg")}
        [job] = plan([Photo(Path("a.jpg"))], ["labels"], "b.png")
        assert job.outputs == {"labels": Path("b.png")}

    def test_what_is_there_is_what_it_is(self, tmp_path):
        for name in ("a.cutouts", "a.json", "results.v2"):
            (tmp_path / name).mkdir()
        (tmp_path / "results").write_text("a file")
        assert not is_folder_name(str(tmp_path / "a.cutouts"))
        assert is_folder_name(str(tmp_path / "a.json"))
        assert is_folder_name(str(tmp_path / "results.v2"))
        assert not is_folder_name("-")
        with pytest.raises(OptionError, match="is a file, and its suffix names no format"):
            is_folder_name(str(tmp_path / "results"))
        assert [has_file_suffix(name) for name in ("a.geojson", "clip.mp4", "run.2026", ".hidden")] == [1, 1, 0, 0]

    def test_what_is_read_keeps_its_name(self):
        [job] = plan([Photo(Path("a.jpg"))], ["json"], None, [Path("a.json")])
        assert job.outputs == {"json": Path("a.jpg.json")}

    def test_ids_are_as_short_as_they_can_be(self):
        alone = Photo(Path("x/000007.jpg"))
        assert image_ids([alone, Photo(None)]) == [7, None]
        of_folder = [Photo(Path(f"p/{name}"), Path("p")) for name in ("x/a.jpg", "y/a.jpg", "b.jpg")]
        assert image_ids([*of_folder, alone]) == ["x/a.jpg", "y/a.jpg", "b", 7]
        assert image_ids([Photo(Path("x/a.jpg")), Photo(Path("y/a.jpg"))]) == ["x/a.jpg", "y/a.jpg"]

    @POSIX
    def test_a_path_from_a_folder_that_is_a_link_leads_to_the_photo(self, tmp_path):
        own = photo(tmp_path / "in" / "a.png")
        (tmp_path / "disk" / "deep" / "out").mkdir(parents=True)
        (tmp_path / "out").symlink_to(tmp_path / "disk" / "deep" / "out")
        for folder in (tmp_path / "in", tmp_path / "out", tmp_path / "disk" / "deep"):
            path = photo_options("labelme", own, folder / "a.json")["image_path"]
            assert Path(folder, path).samefile(own)

    def test_labelme_is_led_to_a_photo_that_is_there(self, tmp_path):
        path, result = tmp_path / "in" / "a.png", tmp_path / "out" / "a.json"
        assert photo_options("labelme", path, result) == {}
        photo(path)
        assert photo_options("labelme", path, result) == {"image_path": "../in/a.png"}
        assert photo_options("json", path, result) == photo_options("labelme", None, result) == {}


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

    def test_folders(self, monkeypatch, tmp_path):
        (tmp_path / "top" / "above" / "here").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "top" / "above" / "here")  # ".." is a folder like any other, and its name counts
        found = [Photo(Path("2023/x/a.jpg"), Path("2023")), Photo(Path("2024/x/a.jpg"), Path("2024"))]
        assert self.outputs(found) == ["out/2023/x/a.jpg.json", "out/2024/x/a.jpg.json"]
        assert self.outputs(["x/a.jpg", "../a.jpg", "x/b.jpg"]) == [
            "out/x/a.jpg.json",
            "out/above/a.jpg.json",
            "out/b.json",
        ]
        assert self.outputs(["above/a.jpg", "../a.jpg"]) == ["out/here/above/a.jpg.json", "out/top/above/a.jpg.json"]

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
