"""GeoJSON: outlines in image pixels, or on a map."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.text import PIXEL_DECIMALS, Json, numbers, object_facts
from fastsam_onnx.log import warn
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.polygon import Polygon

if TYPE_CHECKING:
    from fastsam_onnx.images.geotiff import Georeference


Affine = Sequence[float]
OF_THE_PICTURE = ("index", "box")
"""Facts of an object that are no properties here: the feature's id, and pixels where outlines may be on a map."""
MOST_STRETCHED = 1000
"""How many times as long as wide a pixel may be on a map; more is an affine in another order."""


def to_geojson(
    found: Instances, *, affine: Affine | None = None, crs: str | int | None = None, tolerance: float = 0.0
) -> Json:
    """A GeoJSON FeatureCollection of Polygons and MultiPolygons.

    Properties of an object are those of its record in `to_dict`, but for its box. Rings are closed and wound as RFC
    7946 asks: outlines counter-clockwise in the coordinates' own axes, holes the other way.

    Args:
        found: The objects.
        affine: (a, b, c, d, e, f) from image pixels to coordinates: X = a*x + b*y + c, Y = d*x + e*y + f. rasterio's
            `transform[:6]`; GDAL's order is another (c, a, b, f, d, e). By default that of the GeoTIFF, if the photo
            was the path or the bytes of one; else image pixels, y down, which (1, 0, 0, 0, 1, 0) gives in any case.
            Coordinates keep a hundredth of a pixel.
        crs: Coordinate reference system of the coordinates, "EPSG:32633", 32633 or a URN. Without it readers take them
            for degrees of longitude and latitude (RFC 7946), which those of a UTM zone are not. It becomes the member
            "crs" of GeoJSON 2008, which GDAL, QGIS and geopandas read. By default that of the GeoTIFF, if its affine
            is taken; a warning is logged if the file does not say it in a way that is understood.
        tolerance: Distance in pixels by which an outline may stray to save points; 0 is exact.

    Raises:
        OptionError: If the affine is not six finite numbers, or flattens the plane, the crs is something else or stands
            without an affine, or the tolerance is not a number of at least 0. Pixels that are a thousand times as long
            as wide, as of an affine in GDAL's order, are a warning.
    """
    check_found(found)
    if affine is None and found.georeference is not None:
        affine, crs = _placed_by_file(found, found.georeference, crs)
    named = {} if crs is None else _named_crs(crs)
    if crs is not None and affine is None:
        raise OptionError(f"crs={options.shown(crs)} needs affine=, which makes coordinates of image pixels")
    tolerance = options.number("tolerance", tolerance, 0)
    placing = _Placing.from_affine(affine)
    features = []
    for index, instance in enumerate(found):
        parts = [placing.rings(polygon) for polygon in instance.mask.polygons(tolerance)]
        geometry: Json | None = None
        if parts:
            many = len(parts) > 1
            geometry = {"type": "MultiPolygon" if many else "Polygon", "coordinates": parts if many else parts[0]}
        facts = object_facts(index, instance)
        properties = {name: value for name, value in facts.items() if name not in OF_THE_PICTURE}
        features.append({"type": "Feature", "id": index, "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", **named, "features": features}


def _placed_by_file(
    found: Instances, place: Georeference, crs: str | int | None
) -> tuple[Affine | None, str | int | None]:
    """The affine and crs of a GeoTIFF, whose own crs counts less than a given one."""
    if crs is None:
        # GeoTIFFs have longitude first; EPSG:4326 would have latitude first.
        crs = "OGC:CRS84" if place.crs == "EPSG:4326" and place.affine else place.affine and place.crs
    name = found.source or "the GeoTIFF"
    if place.affine is None:
        warn("%s: its place on a map is not understood: %s; outlines are in pixels", name, place.missing)
    elif crs is None:
        warn(
            "%s: what its coordinates are is not understood: %s; say crs=, or readers take them for degrees",
            name,
            place.missing,
        )
    return place.affine, crs


def _named_crs(crs: str | int) -> Json:
    """The member "crs" of GeoJSON 2008."""
    text = str(crs) if isinstance(crs, str) else f"EPSG:{options.integer('crs', crs, 1, options.MOST_INDEX)}"
    match = re.fullmatch(r"(?i)(EPSG|OGC|ESRI|IAU_2015):([A-Za-z0-9]+)", text)
    if match:
        authority, code = match.groups()
        version = "1.3" if authority.upper() == "OGC" else ""
        text = f"urn:ogc:def:crs:{authority.upper()}:{version}:{code}"
    if not re.fullmatch(r"urn:ogc:def:crs:[\w.]+:[\w.]*:[\w.]+", text):
        raise OptionError(
            f'crs must be like "EPSG:32633", 32633 or "urn:ogc:def:crs:EPSG::32633", got {options.shown(crs)}'
        )
    return {"crs": {"type": "name", "properties": {"name": text}}}


def six_numbers(affine: Affine) -> npt.NDArray[np.float64]:
    """(6,) the coefficients of an affine; OptionError if it is something else."""
    values = options.numbers("affine", affine)
    if values.shape != (6,):
        raise OptionError(
            f"affine must be six numbers a, b, c, d, e, f, as rasterio's transform[:6], got shape {values.shape}"
        )
    return values


@dataclass(frozen=True)
class _Placing:
    """From image pixels to coordinates on a map.

    Attributes:
        matrix: (2, 3) float64: a, b, c and d, e, f.
        decimals: Number of decimals that keep a hundredth of a pixel.
        mirrored: True if the map's axes turn the other way.
    """

    matrix: npt.NDArray[np.float64]
    decimals: int
    mirrored: bool

    @classmethod
    def from_affine(cls, affine: Affine | None) -> _Placing:
        """The placing of six numbers; OptionError if they place nothing."""
        values = six_numbers((1, 0, 0, 0, 1, 0) if affine is None else affine)
        matrix = values.reshape(2, 3)
        largest = np.abs(matrix[:, :2]).max(axis=1, keepdims=True)
        linear = matrix[:, :2] / np.where(largest > 0, largest, 1)  # so that products neither overflow nor vanish
        determinant = float(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])
        if determinant == 0:
            raise OptionError(f"affine {values.tolist()} maps the photo onto a line: a*e - b*d is 0")
        sides = [math.hypot(*matrix[:, 0]), math.hypot(*matrix[:, 1])]
        if max(sides) > MOST_STRETCHED * min(sides):
            warn(
                "affine %s makes pixels of %g x %g: it must be a, b, c, d, e, f, as rasterio's transform[:6]; GDAL's "
                "order is c, a, b, f, d, e, that of world files a, d, b, e, c, f",
                *(values.tolist(), *sides),
            )
        pixel = min(*sides, sys.float_info.max)
        return cls(matrix, PIXEL_DECIMALS - math.floor(math.log10(pixel)), determinant < 0)

    def rings(self, polygon: Polygon) -> list[Any]:
        """A GeoJSON polygon: the outline, then the holes."""
        return [self._ring(ring) for ring in (polygon.exterior, *polygon.holes)]

    def _ring(self, ring: FloatArray) -> list[Any]:
        # Clockwise with y down is counter-clockwise in the numbers, which is what RFC 7946 asks.
        ordered = ring[::-1] if self.mirrored else ring
        closed = np.concatenate([ordered, ordered[:1]]).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            placed = closed @ self.matrix[:, :2].T + self.matrix[:, 2]
        if not np.isfinite(placed).all():
            raise OptionError(f"affine {self.matrix.ravel().tolist()} gives coordinates beyond all numbers")
        return numbers(placed, self.decimals)
