import numpy as np
import pytest
import torch
from PIL import Image

from vision_zoo.core.errors import UsageError
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training.augment import augment, transforms


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def digits(mnist_5k: Splits) -> torch.Tensor:
    return torch.from_numpy(np.array(mnist_5k.train.images[::500]))


def test_no_change_is_no_change(digits: torch.Tensor) -> None:
    torch.testing.assert_close(
        augment(digits, Augmentation(), _generator()), digits.float(), atol=0.01, rtol=0
    )


def test_flips_mirror_about_half_of_the_images(digits: torch.Tensor) -> None:
    repeated = digits[:1].expand(200, -1, -1, -1)
    flipped = augment(repeated, Augmentation(horizontal_flip=0.5), _generator())
    mirrored = [bool(torch.allclose(image, digits[0].flip(1).float(), atol=0.01)) for image in flipped]
    as_it_was = [bool(torch.allclose(image, digits[0].float(), atol=0.01)) for image in flipped]
    assert all(one != other for one, other in zip(mirrored, as_it_was, strict=True))
    assert 70 < sum(mirrored) < 130


def test_a_rotation_is_pillows_rotation(digits: torch.Tensor) -> None:
    turned = augment(digits, Augmentation(rotation=30), _generator(3))
    angles = torch.rad2deg(
        torch.atan2(*transforms(len(digits), Augmentation(rotation=30), _generator(3), side=28)[:, 1, :2].T)
    )
    for image, original, angle in zip(turned, digits, angles.tolist(), strict=True):
        expected = Image.fromarray(original.squeeze().numpy()).rotate(angle, Image.Resampling.BILINEAR)
        assert np.abs(image.squeeze().numpy() - np.asarray(expected, dtype=np.float32)).mean() < 3


def test_angles_are_drawn_for_every_image_within_the_range() -> None:
    matrices = transforms(1000, Augmentation(rotation=10), _generator(), side=28)
    degrees = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert degrees.abs().max() <= 10.001
    assert degrees.min() < -9
    assert degrees.max() > 9


def test_a_crop_keeps_the_stated_area_inside_the_image() -> None:
    matrices = transforms(1000, Augmentation(crop_scale=(0.8, 1.0)), _generator(), side=28)
    width, height = matrices[:, 0, 0], matrices[:, 1, 1]
    assert (width * height).min() > 0.74  # a side is cut at 1 where the ratio would make it longer
    assert torch.all(matrices[:, 0, 2].abs() + width <= 1.0001)
    assert torch.all(matrices[:, 1, 2].abs() + height <= 1.0001)


def test_a_shift_moves_whole_pixels_and_black_comes_in(digits: torch.Tensor) -> None:
    repeated = digits[:1].expand(300, -1, -1, -1)
    moved = augment(repeated, Augmentation(shift=2), _generator())
    padded = torch.nn.functional.pad(digits[0, :, :, 0].float(), (2, 2, 2, 2))
    expected = {(x, y): padded[y : y + 28, x : x + 28] for x in range(5) for y in range(5)}
    seen = set()
    for image in moved[..., 0]:
        (place,) = (at for at, wanted in expected.items() if torch.allclose(image, wanted, atol=0.05))
        seen.add(place)
    assert seen == set(expected)


def test_a_cutout_is_a_square_of_the_mean_colour(digits: torch.Tensor) -> None:
    repeated = digits[:1].expand(500, -1, -1, -1)
    mean, plain = digits[0].float().mean(), digits[0, :, :, 0].float()
    cut = augment(repeated, Augmentation(cutout=8), _generator())[..., 0]
    sizes = set()
    for image in cut:
        painted = (image - mean).abs() < 0.05
        assert torch.allclose(image[~painted], plain[~painted], atol=0.05)
        rows, columns = painted.any(1).nonzero(), painted.any(0).nonzero()
        sizes.add((len(rows), len(columns)))
        assert painted[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert max(sizes) == (8, 8)
    # The centre is inside, half of the square may not be.
    assert min(size for pair in sizes for size in pair) == 4


def test_the_same_generator_gives_the_same_images(digits: torch.Tensor) -> None:
    everything = Augmentation(rotation=10, shift=2, horizontal_flip=0.5, crop_scale=(0.8, 1.0), cutout=6)
    first, again, other = (augment(digits, everything, _generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": -1},
        {"shift": -1},
        {"shift": 0.5},
        {"cutout": -1},
        {"cutout": 2.5},
        {"horizontal_flip": 1.5},
        {"crop_scale": (0.0, 1.0)},
        {"crop_scale": (0.9, 0.8)},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        Augmentation(**wrong)  # type: ignore[arg-type]
