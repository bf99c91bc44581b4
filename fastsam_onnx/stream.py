"""Many photos: a few are computed ahead by threads, results are handed out in order."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.images.load import ImageSource, PILImage, is_file_object, is_pil, source_name
from fastsam_onnx.options import choice, integer
from fastsam_onnx.runtime import default_threads

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation

Item = TypeVar("Item")
Result = TypeVar("Result")
Find = Callable[[Sequence[ImageSource]], list["Segmentation"]]


@dataclass(frozen=True)
class Failure:
    """Stands in a stream in the place of an item that failed.

    Attributes:
        index: Number of the item, counted from 0.
        source: Path of the item, with a frame's number ("clip.mp4#12"), or words ("array (480, 640, 3) uint8").
        error: Exception that a call would have raised.
    """

    index: int
    source: str
    error: FastSAMError

    def __str__(self) -> str:
        return f"item {self.index}, {self.source}: {self.error}"


def default_workers() -> int:
    """Two, if there are at least two cores: one photo is decoded or drawn while another is in the network.

    On two idle cores two measured 1.10 times as fast as a plain loop, one 1.01; on busy ones neither gains anything.
    """
    return min(2, default_threads())


def stream(
    find: Find, photos: Iterable[ImageSource], *, batch: int, workers: int | None, on_error: Literal["raise", "yield"]
) -> Generator[Segmentation | Failure, None, None]:
    """The results of many photos, in their order.

    Args:
        find: The results of some photos.
        photos: All of them.
        batch: As in `FastSAM.stream`.
        workers: As in `FastSAM.stream`.
        on_error: As in `FastSAM.stream`.

    Raises:
        OptionError: If an option is outside its range, at once.
    """
    choice("on_error", on_error, ("raise", "yield"))
    size = integer("batch", batch)
    threads = default_workers() if workers is None else integer("workers", workers)
    done = ordered_map(partial(_find_each, find), _chunks(photos, size), workers=threads)
    return _in_place(done, on_error)


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Generator[Result, None, None]:
    """`map` by threads that work ahead, 2 * workers items at most, with the results in order.

    The items are taken in the caller's thread. An exception of the function is raised in the place of its result, one
    of the items after the results before it. When the iterator ends, or is closed or forgotten, the items under way are
    finished, those that wait are dropped, and no thread is left.
    """
    pending: deque[Future[Result]] = deque()
    trouble: BaseException | None = None
    iterator: Iterator[Item] | None = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastsam-onnx")
    try:
        while iterator is not None or pending:
            while iterator is not None and len(pending) < 2 * workers:
                try:
                    item = next(iterator)
                except StopIteration:
                    iterator = None
                except Exception as error:
                    trouble, iterator = error, None
                else:
                    pending.append(pool.submit(function, item))
                    del item
            if pending:
                yield pending.popleft().result()
        if trouble is not None:
            raise trouble
    finally:
        with suppress(RuntimeError):  # collected in one of the threads, which cannot wait for itself, and ends
            pool.shutdown(cancel_futures=True)


def own_copy(source: ImageSource) -> ImageSource:
    """The same photo, as something that stays as it is when its maker goes on to the next one."""
    if isinstance(source, np.ndarray):
        return source.copy()
    with suppress(Exception):  # the call that is to come says better what is wrong with it
        if is_file_object(source):
            return io.BytesIO(source.read())
        if isinstance(source, bytearray | memoryview):
            return bytes(source)
        if is_pil(source):  # its maker may go on to the next page, or draw on it
            copied: PILImage = source.copy()
            copied.filename = getattr(source, "filename", "")  # type: ignore[attr-defined]  # its name in messages
            return copied
    return source


def named_frames(
    results: Generator[Segmentation | Failure, None, None], video: object, numbers: deque[int]
) -> Generator[Segmentation | Failure, None, None]:
    """The results of a video's frames, named by the file and their number.

    Args:
        results: One for each frame that was taken, in their order.
        video: The file, or something else.
        numbers: Numbers of the frames that were taken; each is taken out with its result.
    """
    name = Path(video).name if isinstance(video, str | os.PathLike) else "video"
    with closing(results):
        for result in results:
            number = numbers.popleft()
            yield result if isinstance(result, Failure) else replace(result, source=f"{name}#{number}")


def _chunks(photos: Iterable[ImageSource], size: int) -> Iterator[list[tuple[int, ImageSource]]]:
    """Numbered photos, `size` at a time; those before an error of their maker come before the error."""
    chunk = []
    try:
        for numbered in enumerate(photos):
            chunk.append(numbered)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _find_each(find: Find, chunk: list[tuple[int, ImageSource]]) -> list[Segmentation | Failure]:
    if len(chunk) > 1:
        with suppress(FastSAMError):  # then one by one, to learn which it was
            return [*find([source for _, source in chunk])]
    results: list[Segmentation | Failure] = []
    for index, source in chunk:
        if isinstance(source, io.BytesIO):  # an `own_copy`, which was read with the others
            source.seek(0)
        try:
            results += find([source])
        except FastSAMError as error:
            results.append(Failure(index, source_name(source), error))
    return results


def _in_place(
    done: Generator[list[Segmentation | Failure], None, None], on_error: str
) -> Generator[Segmentation | Failure, None, None]:
    with closing(done):  # a traceback that somebody keeps would keep the threads too
        for results in done:
            for result in results:
                if on_error == "raise" and isinstance(result, Failure):
                    result.error.add_note(
                        f"item {result.index} of the stream: {result.source}; "
                        'on_error="yield" gives a Failure in its place, and goes on'
                    )
                    raise result.error
                yield result
