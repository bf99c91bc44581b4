"""A folder of pictures as one file: a zip archive."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from fastsam_onnx.formats.registry import files_of
from fastsam_onnx.masks.instances import Instances

_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of every file, the earliest that zip knows: the bytes depend on the result alone."""


def zip_files(found: Instances, form: str, **options: Any) -> bytes:
    """A zip archive of the files of a folder.

    Args:
        found: The objects.
        form: A format that is a folder.
        options: The format's own.

    Raises:
        OptionError: As in `files_of`.
        OutputError: If a picture cannot be encoded.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:  # PNGs do not get smaller
        for name, data in files_of(found, form, **options):
            files.writestr(zipfile.ZipInfo(name, _DATE), data)
    return archive.getvalue()
