"""The edge benchmark's own arithmetic, on boundaries that are known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="SciPy is not installed")
pytest.importorskip("skimage", reason="scikit-image is not installed")


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("evaluate_edges")


def line(column, shape=(300, 400)):
    """One vertical line; 0.75 % of the diagonal of 500 pixels is 3.75."""
    edges = np.zeros(shape, bool)
    edges[:, column] = True
    return edges


def test_pixels_match_within_the_tolerance_alone(tool):
    truth = line(100)
    for column, found in ((100, 300), (103, 300), (104, 0)):
        assert tool.Pairs(line(column), truth).matched(line(column)).sum() == found


def test_pixels_match_one_to_one(tool):
    """Of two lines beside one boundary one is right."""
    both = line(99) | line(101)
    counts = tool.count([both], [line(100)])
    assert counts.tolist() == [[300, 600, 300, 300]]


def test_a_pixel_is_right_if_any_human_has_it_and_recall_counts_every_human(tool):
    counts = tool.count([line(100)], [line(100), line(300)])
    assert counts.tolist() == [[300, 300, 300, 600]]
    precision, recall, f = tool.rates(counts)
    assert (precision[0], recall[0]) == (1, 0.5)
    assert f[0] == pytest.approx(2 / 3)


def test_figures_of_two_levels(tool):
    """Precision 0.5 at recall 1, precision 1 at recall 0.5: F is 2/3 at both; R50 is 1; AP is the curve's mean."""
    counts = np.array([[[100, 200, 100, 100], [50, 50, 50, 100]]], float)
    figures = tool.summary(counts)
    assert figures["ODS"] == pytest.approx(2 / 3)
    assert figures["OIS"] == pytest.approx(2 / 3)
    assert figures["R50"] == 1
    grid = np.linspace(0, 1, 101)
    assert figures["AP"] == pytest.approx(np.where(grid < 0.5, 0, 1.5 - grid).mean(), abs=1e-6)


def test_the_best_threshold_may_differ_from_photo_to_photo(tool):
    """At level 0 the first photo is perfect and the second half wrong; at level 1 the other way round."""
    good, bad = [100, 100, 100, 100], [50, 100, 50, 100]
    figures = tool.summary(np.array([[good, bad], [bad, good]], float))
    assert figures["OIS"] == 1
    assert figures["ODS"] == 0.75


def test_boundaries_lie_left_of_and_above_where_labels_change(tool):
    labels = np.zeros((4, 5), int)
    labels[:, 3:] = 1
    assert np.argwhere(tool.outlines(labels).all(axis=0)).tolist() == [[2]]


def test_an_empty_level_counts_nothing_but_the_humans(tool):
    counts = tool.count([line(100), np.zeros((300, 400), bool)], [line(100)])
    assert counts.tolist() == [[300, 300, 300, 300], [0, 0, 0, 300]]


def test_the_nearest_pixels_are_matched(tool):
    edges = line(101) | line(103)
    taken = tool.Pairs(edges, line(100)).matched(edges)
    assert taken.tolist() == [True, False] * 300


def test_more_pairs_are_better_than_nearer_ones(tool):
    """Pixels 3 and 4 of a row, boundaries at 0 and 3: the pair at distance 0 gives way to two at distances 3 and 1."""
    edges, truth = np.zeros((2, 300, 400), bool)
    edges[10, 3:5] = True
    truth[10, [0, 3]] = True
    assert tool.Pairs(edges, truth).matched(edges).all()


def test_dense_edges_are_matched_in_time(tool):
    """Every pixel within reach of many others; SciPy's largest matching hung on such pixels of single photos."""
    rng = np.random.default_rng(0)
    edges, truth = rng.random((2, 200, 300)) < 0.3
    assert tool.Pairs(edges, truth).matched(edges).sum() > 0.95 * truth.sum()
