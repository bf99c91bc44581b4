"""A letterbox seen from the outside: the picture that the network gets, and places of the photo in it."""

import numpy as np


def boxed(letterbox, image):
    """(h, w, 3) uint8: the tensor of a photo as a picture."""
    return np.rint(letterbox.tensor(image)[0] * 255).astype(np.uint8).transpose(1, 2, 0)


def points_to_input(letterbox, points):
    """Points of the photo, (n, 2) x, y, in the input."""
    return np.asarray(points, np.float64) * letterbox.scale + (letterbox.left, letterbox.top)
