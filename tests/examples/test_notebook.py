"""The notebook runs, and the outputs that it carries are those of a run: pictures, and no errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "tour.ipynb"
LARGEST = 400_000

nbformat = pytest.importorskip("nbformat", reason="needs nbclient (group docs)")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient (group docs)")
pytest.importorskip("ipykernel", reason="needs ipykernel (group docs)")


def kinds(notebook):
    """Per code cell the kinds of its outputs, such as image/jpeg."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [sorted(kind for output in cell.outputs for kind in output.get("data", {})) for cell in cells]


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_and_shows_what_it_carries(tmp_path):
    shutil.copy(EXAMPLES / "coffee.jpg", tmp_path)
    kept = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(run, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert kinds(run) == kinds(kept)
    assert ["image/jpeg", "text/plain"] in kinds(kept)


def test_the_notebook_is_small():
    assert NOTEBOOK.stat().st_size < LARGEST
