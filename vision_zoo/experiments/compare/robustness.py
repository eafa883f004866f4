"""Perturbations of test images: shifts, noise and blur of given strength.

Strengths are fractions of the image's side and of the pixels' range, so that they mean the same at every size.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]

SHIFTS = (1 / 16, 1 / 8)
NOISE = (0.05, 0.15)
BLUR = (0.02, 0.05)


def shifted(images: Images, strength: float) -> Images:
    """Moved right and down by `strength` of the side, the border repeated: `[n, height, width, channels]`."""
    pixels = max(1, round(strength * images.shape[1]))
    padded = np.pad(images, ((0, 0), (pixels, 0), (pixels, 0), (0, 0)), mode="edge")
    return np.ascontiguousarray(padded[:, : images.shape[1], : images.shape[2]])


def noisy(images: Images, strength: float) -> Images:
    """Gaussian noise with a standard deviation of `strength` of the range, the same for the same images."""
    noise = np.random.default_rng(0).standard_normal(images.shape, dtype=np.float32)
    return np.clip(np.rint(images + 255 * strength * noise), 0, 255).astype(np.uint8)


def blurred(images: Images, strength: float) -> Images:
    """A Gaussian blur with a standard deviation of `strength` of the side."""
    from scipy.ndimage import gaussian_filter

    sigma = strength * images.shape[1]
    blurred_images = gaussian_filter(images.astype(np.float32), sigma=(0, sigma, sigma, 0), mode="nearest")
    return np.asarray(np.clip(np.rint(blurred_images), 0, 255), dtype=np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Images], Images]] = {
    **{f"shifted by {strength:.0%}": partial(shifted, strength=strength) for strength in SHIFTS},
    **{f"noise of {strength:.0%}": partial(noisy, strength=strength) for strength in NOISE},
    **{f"blurred by {strength:.0%}": partial(blurred, strength=strength) for strength in BLUR},
}
"""By name, which says the strength."""
