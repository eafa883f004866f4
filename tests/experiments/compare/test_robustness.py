import numpy as np

from vision_zoo.experiments.compare.robustness import CORRUPTIONS, blurred, noisy, shifted

_IMAGES = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_every_corruption_keeps_shape_and_type_and_changes_pixels() -> None:
    for name, change in CORRUPTIONS.items():
        changed = change(_IMAGES)
        assert changed.shape == _IMAGES.shape, name
        assert changed.dtype == np.uint8, name
        assert not np.array_equal(changed, _IMAGES), name
        assert np.array_equal(change(_IMAGES), changed), name


def test_a_shift_moves_pixels_and_repeats_the_border() -> None:
    moved = shifted(_IMAGES, 1 / 16)  # two pixels
    assert np.array_equal(moved[:, 2:, 2:], _IMAGES[:, :-2, :-2])
    assert np.array_equal(moved[:, 0, 2:], _IMAGES[:, 0, :-2])


def test_noise_has_the_strength_that_is_stated() -> None:
    grey = np.full((8, 32, 32, 1), 128, dtype=np.uint8)
    deviation = float((noisy(grey, 0.05).astype(float) - 128).std())
    assert abs(deviation - 0.05 * 255) < 0.3


def test_a_blur_keeps_the_mean_and_takes_the_detail() -> None:
    soft = blurred(_IMAGES, 0.05)
    assert abs(float(soft.mean()) - float(_IMAGES.mean())) < 2
    assert float(soft.std()) < 0.5 * float(_IMAGES.std())
    red = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert np.array_equal(blurred(red, 0.05), red)  # colours do not run into each other
