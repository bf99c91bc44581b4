"""The time and the number of each frame of a video, from the container where it tells them, else from the times."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from fastsam_onnx.images.contents import Contents, read_contents

USUALLY_REGULAR = 0.8
"""Share of frames that come one after the other in a video of steady rate."""
MOSTLY_REGULAR = 0.5
"""The same in one that is damaged."""


class Clock:
    """The time of the last frame, and how many frames went missing before it.

    Attributes:
        fps: Frames per second.
        seconds: Time of the last frame.
        lost: Number of frames that went missing so far.
        owed: Number of reads without a frame that no gap in time has explained yet.
        jumps: (number of a frame, its time) before each gap that nothing explains, in a video of steady rate.
    """

    def __init__(self, fps: float, path: Path | None, declared: int | None) -> None:
        """Begin before the first frame.

        Args:
            fps: Frames per second.
            path: The file; None for a camera or somebody's capture.
            declared: Number of frames that the file declares, about; None if it does not.
        """
        self.fps, self.seconds, self.lost, self.owed = fps, 0.0, 0, 0
        self.jumps: list[tuple[int, float]] = []
        self._path, self._declared = path, declared
        self._is_first, self._is_as_expected, self._is_trusted = True, True, True
        self._regular, self._steps = 0, 0
        self._late = 0.0

    @cached_property
    def contents(self) -> Contents:
        """What the container says. It is read once something is not as expected: that means to go through the file."""
        return Contents() if self._path is None else read_contents(self._path)

    @property
    def count(self) -> int | None:
        """Number of all frames of the video; None if the container does not tell it for certain."""
        return len(self.contents.seconds) if self._tells else None

    def reaches(self, declared: int) -> bool:
        """True if the last frame comes when the last of so many should: of a variable rate fewer fill the time."""
        return self.seconds * self.fps > declared - 1.5

    def seconds_of(self, number: int, places: int) -> float:
        """Time of a lost frame by its number, which is so many places before that of the last frame."""
        if self._tells:
            return float(self.contents.seconds[number])
        return self.seconds - places / self.fps

    def read(self, told: float, failures: int, number: int) -> int:
        """Look at the time of the frame that was just read; gives the number of frames lost before it.

        A decoder that orders frames anew fails before it gives the frames before the lost one. So failures are
        remembered until time makes a jump; without failures and damage a jump is a pause of a video of variable rate.

        Args:
            told: The frame's time as the reader tells it.
            failures: Number of reads without a frame since the last one.
            number: Number of the frame, if none is lost.
        """
        self.owed += failures
        steps = round((told + self._late - self.seconds) * self.fps)
        self._is_as_expected &= steps == (0 if self._is_first else 1) and not self.owed
        lost = None if self._is_as_expected and not self._renumbers else self._lost_by_contents(told, number)
        if lost is None:
            lost = self._lost_by_time(told + self._late, steps, number)
        self._regular += steps == 1 and not self._is_first
        self._steps += not self._is_first
        self._is_first = False
        self.lost += lost
        return lost

    @property
    def _tells(self) -> bool:
        return self._is_trusted and self.contents.has_frames(self.fps)

    @cached_property
    def _renumbers(self) -> bool:
        """True if frames may be missing although times are regular: readers of AVI count the chunks that they meet."""
        return self.contents.counts_chunks and not self.contents.is_whole

    def _lost_by_contents(self, told: float, number: int) -> int | None:
        """The number of lost frames by the container; None if it does not tell."""
        place = self.contents.number_at(told) if self._tells else None
        if self._is_first and not self.contents.is_exact and told > 0:
            place = None
        if place is None or place < number:
            self._is_trusted = False
            return None
        self.owed, self.seconds = 0, float(self.contents.seconds[place])
        self._late = self.seconds - told
        return place - number

    def _lost_by_time(self, told: float, steps: int, number: int) -> int:
        if not self._is_first and told <= self.seconds:  # a source without a clock, or times that run backwards
            lost = self.owed
            self.seconds += (lost + 1) / self.fps
        else:
            gap = steps if self._is_first else max(steps - 1, 0)
            is_lost = gap > 0 and (self.owed > 0 or (self._is_steady(MOSTLY_REGULAR) and not self.contents.is_whole))
            if self._declared is not None and number + gap >= self._declared:  # a damaged time
                is_lost = False
            if gap and not is_lost and not self._is_first and self._steps and self._is_steady(USUALLY_REGULAR):
                self.jumps.append((number - 1, self.seconds))
            lost = gap if is_lost else 0
            self.seconds = told
        self.owed = max(self.owed - lost, 0)
        return lost

    def _is_steady(self, share: float) -> bool:
        """True if so many frames came one after the other so far."""
        return self._regular >= share * self._steps
