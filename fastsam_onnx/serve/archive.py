"""Cut-outs as one file: a zip archive of PNGs."""

from __future__ import annotations

import io
import zipfile

from fastsam_onnx import formats
from fastsam_onnx.masks.instances import Instances

_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of every file, the earliest that zip knows: the bytes depend on the result alone."""


def zip_cutouts(found: Instances, *, soft: bool = False, whole: bool = False) -> bytes:
    """A zip archive of the files that `formats.to_cutouts` names and makes.

    Raises:
        OptionError: If the result does not carry its photo.
        OutputError: If a picture cannot be encoded.
    """
    encode = formats.FORMATS["cutouts"].encode
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:  # PNGs do not get smaller
        for name, cutout in formats.to_cutouts(found, soft=soft, whole=whole):
            files.writestr(zipfile.ZipInfo(name, _DATE), encode(cutout, ".png"))
    return archive.getvalue()
