"""A small network that draws an object, or the answer to a box or a point, anew from what lies around it in the photo.

The everything network sees the whole photo at a few hundred pixels, and its masks are sums of prototypes. A prompt says
where to look closer, and so does an object that was found: the decoder gets the photo's own pixels around the box, the
prototypes and the candidates that fit best, and says the mask, and the IoU that it expects of it. It belongs to one
network, whose prototypes it knows, and travels in that network's file. Beside it may stand a corrector: the same
network with other weights, for answers that were drawn and had a point more, and for rough masks.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, product
from fastsam_onnx.errors import ModelError
from fastsam_onnx.masks.decoder_file import changed, file_of
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.masks.refine import calm, fills_a_side
from fastsam_onnx.masks.views import LARGEST_LOGIT, PRIORS, SIDE, SURE_LOGIT, Looks, View, logits_of
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.runtime import RuntimeOptions, failures, opening

if TYPE_CHECKING:
    import onnxruntime as ort

LOUDEST = 16.0
"""How much a point counts at most; where the decoder does not obey it, it counts twice as much each time."""
MOST_DRAWINGS = 8
"""Maximum number of times that an answer is drawn until it obeys the points."""
CUT_SHARE = 0.15
"""Share of a side of the view that a mask reaches, above which the view cuts it; chosen by eye: it ends there."""
WIDENED = 0.25
"""What is looked at beyond a mask that was cut, in sides."""


class Decoder:
    """The decoder of a network, or its corrector; opened at the first prompt, in each process by itself.

    Any number of threads may use it at once.

    Attributes:
        corrector: Draws what corrects an answer that it is shown; None without.
    """

    def __init__(
        self,
        text: str,
        runtime: RuntimeOptions,
        name: str,
        *,
        change: str | None = None,
        corrector: Decoder | None = None,
    ) -> None:
        """Keep what it is made of.

        Args:
            text: An ONNX file, see `file_of`, as it stands in the network's metadata.
            runtime: Options of ONNX Runtime.
            name: Name of the network's file in messages.
            change: What makes the corrector of it, see `changed`; None for the decoder itself.
            corrector: Of a decoder, if the network has one.
        """
        self._text, self._runtime, self._name, self._change = text, runtime, name, change
        self.corrector = corrector
        self._opened: tuple[int, ort.InferenceSession] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def answer(self, photos: FloatArray, maps: FloatArray, corrects: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Logits and promises of views, by the corrector where there is one.

        Args:
            photos: (n, 3, SIDE, SIDE) float32, of `View.photo`.
            maps: (n, m, COARSE, COARSE) float32, of `maps_of`.
            corrects: (n,): an answer so far stands among the maps.

        Returns:
            (n, SIDE, SIDE) float32 logits, and (n,) float32 promised IoU, 0 to 1.

        Raises:
            ModelError: If one of them cannot be opened, or does not fit the network.
        """
        if self.corrector is None or not corrects.any():
            return self.run(photos, maps)
        if corrects.all():
            return self.corrector.run(photos, maps)
        logits, promises = np.empty((len(photos), SIDE, SIDE), np.float32), np.empty(len(photos), np.float32)
        for network, rows in ((self, ~corrects), (self.corrector, corrects)):
            logits[rows], promises[rows] = network.run(photos[rows], maps[rows])
        return logits, promises

    def run(self, photos: FloatArray, maps: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same by this one alone."""
        session = self._session()
        try:
            logits, promises = session.run(["logits", "promise"], {"photo": photos, "maps": maps})
        except failures() as error:
            raise ModelError(f"{self._name}: its {self._kind} failed: {error}") from error
        if logits.shape != (len(photos), SIDE, SIDE) or promises.shape != (len(photos),):
            raise ModelError(f"{self._name}: its {self._kind} answers with {logits.shape} and {promises.shape}")
        return logits, np.nan_to_num(1 / (1 + np.exp(-promises)))

    def _session(self) -> ort.InferenceSession:
        if self._opened is None or self._opened[0] != os.getpid():
            with opening():
                if self._opened is None or self._opened[0] != os.getpid():
                    self._opened = os.getpid(), self._open()  # threads of a session do not live on in a forked process
        return self._opened[1]

    def _open(self) -> ort.InferenceSession:
        try:
            model = file_of(self._text)
            if self._change is not None:
                model = changed(model, self._change)
        except (ValueError, zlib.error) as error:
            raise ModelError(f"{self._name}: its {self._kind} is damaged: {error}") from error
        return self._runtime.create_further_session(model, name=f"the {self._kind} of {self._name}")

    @property
    def _kind(self) -> str:
        return "decoder" if self._change is None else "corrector"


@dataclass(frozen=True, eq=False, repr=False)
class Question:
    """What the decoder is asked.

    Attributes:
        box_xyxy: (4,) in pixels of the photo, around which it looks.
        coefficients: (k, nm) of the candidates that fit the box best, best first; the first PRIORS are looked at.
        asked: True if the box was asked for, so that the answer ends where it ends; False if it is a candidate's.
        points: (m, 2) x, y in pixels of the photo.
        signs: (m,) 1 foreground, -1 background.
        before: The answer so far, which the last of the points corrects, or without points a rough mask: it stands in
            the best candidate's place, and the corrector draws. None to show the candidate.
    """

    box_xyxy: FloatArray
    coefficients: FloatArray
    asked: bool
    points: npt.ArrayLike = ()
    signs: Sequence[float] = ()
    before: MaskLike | None = None

    def clicked(self, points: npt.ArrayLike, foreground: BoolArray, before: MaskLike | None = None) -> Question:
        """The same with points (m, 2) x, y that are foreground or not, and the answer so far that they correct."""
        return replace(self, points=points, signs=np.where(foreground, 1.0, -1.0).tolist(), before=before)

    def wider(self, bounds: tuple[int, int, int, int], image_size: tuple[int, int]) -> Question:
        """The same about a box that holds its own and these bounds, x1, y1, x2, y2, with room around, in the photo."""
        ends = np.array([self.box_xyxy, bounds], np.float32)
        low, high = ends[:, :2].min(axis=0), ends[:, 2:].max(axis=0)
        room = WIDENED * (high - low)
        box = np.concatenate([low - room, high + room]).clip(0, [*image_size, *image_size])
        return replace(self, box_xyxy=box.astype(np.float32))

    def louder(self, obeyed: BoolArray) -> Question | None:
        """The same, but points that were not obeyed (m,) count twice as much, up to LOUDEST; None if none can."""
        signs = np.where(obeyed, self.signs, np.clip(np.multiply(self.signs, 2), -LOUDEST, LOUDEST)).tolist()
        return None if signs == list(self.signs) else replace(self, signs=signs)


@dataclass(frozen=True, eq=False, repr=False)
class Drawing:
    """What the decoder draws when it is asked.

    Attributes:
        question: What was asked.
        mask: The answer, calm and tight.
        is_cut: True if the mask ends where the view ends.
    """

    question: Question
    mask: PendingMask
    is_cut: bool

    @property
    def promise(self) -> float:
        """IoU that the decoder expects of it, 0 to 1."""
        return self.mask.predicted_iou or 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Closer:
    """A closer look at one photo.

    Attributes:
        decoder: Network that draws.
        image: (H, W, 3) uint8 RGB, the photo.
        prototypes: (nm, h, w) float32 for the whole input.
        letterbox: Place of the photo in the network's input.
        kept: What was made of the photo for the drawings before; None to keep nothing.
    """

    decoder: Decoder
    image: ByteArray
    prototypes: FloatArray
    letterbox: Letterbox
    kept: Looks | None = None

    @property
    def corrects(self) -> bool:
        """True if there is a corrector; a decoder alone knows what is corrected first better by its candidate."""
        return self.decoder.corrector is not None

    def keeping(self) -> Closer:
        """The same for several drawings of one thread: what it makes of the photo for one is kept for the next."""
        return replace(self, kept=Looks(self.image, self.prototypes))

    def draw(self, questions: Sequence[Question]) -> list[PendingMask]:
        """Masks that answer questions.

        Args:
            questions: What is asked.

        Raises:
            ModelError: If the decoder cannot be used.
        """
        views = self._views(questions)
        looks = self.kept or Looks(self.image, self.prototypes)
        photos, maps = [], []
        for view, asked in zip(views, questions, strict=True):
            photo, seen = looks.at(view)
            photos.append(photo)
            maps.append(_maps(view, seen, asked))
        corrects = np.array([question.before is not None for question in questions])
        logits, promises = self.decoder.answer(np.stack(photos), np.stack(maps), corrects)
        return [drawn_mask(*one) for one in zip(logits, views, promises.tolist(), strict=True)]

    def draw_whole(self, questions: Sequence[Question], looks: int, cut_share: float = CUT_SHARE) -> list[Drawing]:
        """What is drawn of each question; what the end of the view cuts is drawn again in a wider one.

        Args:
            questions: What is asked.
            looks: Maximum number of times that each is drawn.
            cut_share: Share of a side of the view that a mask must reach to be cut by it.

        Raises:
            ModelError: If the decoder cannot be used.
        """
        waiting, drawings = dict(enumerate(questions)), {}
        for _ in range(looks):
            if not waiting:
                break
            asked = list(waiting.items())
            for (place, question), whole in zip(asked, self.draw(list(waiting.values())), strict=True):
                mask = calm(whole)
                drawing = Drawing(question, mask.tight(), fills_a_side(mask, 1, cut_share))
                drawings[place] = drawing
                del waiting[place]
                if drawing.is_cut:
                    waiting[place] = question.wider(drawing.mask.bounds, self.letterbox.image_size)
        return [drawings[place] for place in range(len(questions))]

    def showing(self, question: Question, mask: Mask) -> Question:
        """The same with a mask that somebody drew as the answer so far.

        Of what is thinner than the cells of the view every cell is shown that it touches: most of it would fall between
        their middles.
        """
        [view] = self._views([question])
        shares = view.shares(mask)
        is_thin = 2 * np.count_nonzero(shares > 0.5) < shares.sum()
        touched = np.where(shares > 0, SURE_LOGIT, -SURE_LOGIT).astype(np.float32)
        return replace(question, before=drawn_mask(touched, view, None) if is_thin else mask)

    def _views(self, questions: Sequence[Question]) -> list[View]:
        return [View.around(question.box_xyxy, self.letterbox) for question in questions]


def maps_of(view: View, prototypes: FloatArray, question: Question) -> FloatArray:
    """What the decoder gets beside the photo: (nm + PRIORS + 2, COARSE, COARSE) float32.

    Args:
        view: Surroundings of the question's box.
        prototypes: (nm, h, w) for the whole input.
        question: What is asked.
    """
    return _maps(view, view.prototypes(prototypes), question)


def _maps(view: View, seen: FloatArray, question: Question) -> FloatArray:
    """The same from the prototypes that the view sees."""
    known = question.coefficients
    chosen = np.arange(PRIORS).clip(max=len(known) - 1)
    priors = product(known[chosen], seen.reshape(len(seen), -1)).clip(-LARGEST_LOGIT, LARGEST_LOGIT)
    priors = priors.reshape(-1, *seen.shape[1:])
    if question.before is not None:
        priors[0] = logits_of(question.before.sample(*view.centres()))
    box = view.box(question.box_xyxy) if question.asked else np.zeros(seen.shape[1:], np.float32)
    spots = view.points(question.points, question.signs)
    made = np.concatenate([seen, priors, box[None], spots[None]])
    return made.astype(np.float32, copy=False)


def drawn_mask(logits: FloatArray, view: View, predicted_iou: float | None) -> PendingMask:
    """The mask (SIDE, SIDE) of a view, in the photo; nothing is expected of what somebody else drew."""
    x, y = view.places()
    return PendingMask(logits, 0, 0, view.columns, view.rows, x, y, view.letterbox.image_size, predicted_iou)
