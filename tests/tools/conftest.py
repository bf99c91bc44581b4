"""Tests of tools/ find it from wherever they are run, and are left out where it is not: in the source distribution."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
collect_ignore_glob = [] if (ROOT / "tools").is_dir() else ["test_*.py"]
