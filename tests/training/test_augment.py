from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from vision_zoo.core.errors import UsageError
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training.augment import (
    AugmentParams,
    affine_maps,
    apply_augmentation,
    augment,
    draw,
    resample,
    resized_crops,
)


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
        torch.atan2(*affine_maps(len(digits), Augmentation(rotation=30), _generator(3), side=28)[:, 1, :2].T)
    )
    for image, original, angle in zip(turned, digits, angles.tolist(), strict=True):
        expected = Image.fromarray(original.squeeze().numpy()).rotate(angle, Image.Resampling.BILINEAR)
        assert np.abs(image.squeeze().numpy() - np.asarray(expected, dtype=np.float32)).mean() < 3


_PRINTED = Augmentation(
    rotation=10, horizontal_flip=0.5, crop_scale=(0.8, 1.0), crop_tries=10, interpolation="nearest"
)


def _degrees(params: AugmentParams) -> torch.Tensor:
    return torch.rad2deg(torch.atan2(params.maps[:, 1, 0], params.maps[:, 1, 1]))


def test_a_rotation_to_nearest_pixels_is_torchvisions(digits: torch.Tensor) -> None:
    params = draw(8, Augmentation(rotation=10, interpolation="nearest"), _generator(), side=28)
    turned = apply_augmentation(digits, params)[..., 0]
    for image, original, angle in zip(turned, digits[..., 0], _degrees(params).tolist(), strict=True):
        expected = transforms.functional.rotate(original.unsqueeze(0), angle)  # its default is nearest
        assert (image != expected[0]).sum() <= 2  # of 784: places half-way between two pixels
        picture = Image.fromarray(original.numpy()).rotate(angle)
        assert (image != torch.from_numpy(np.array(picture))).sum() <= 2


def test_a_rotation_with_a_shift_is_torchvisions_affine(digits: torch.Tensor) -> None:
    augmentation = Augmentation(rotation=10, translate=0.1, interpolation="nearest")
    params = draw(8, augmentation, _generator(), side=28)
    moved = apply_augmentation(digits, params)[..., 0]
    # p = R (q + s): the picture is moved by -s, in units of half a side.
    shifts = -torch.linalg.solve(params.maps[:, :, :2], params.maps[:, :, 2:]).squeeze(2) * 14
    torch.testing.assert_close(shifts, shifts.round(), atol=1e-4, rtol=0)
    assert shifts.abs().max() <= 3.001
    for image, original, angle, shift in zip(moved, digits[..., 0], _degrees(params), shifts, strict=True):
        expected = transforms.functional.affine(
            original.unsqueeze(0), -float(angle), [round(float(one)) for one in shift], 1.0, [0.0]
        )
        assert (image != expected[0]).sum() <= 2


def test_shifts_are_distributed_as_torchvisions() -> None:
    maps = draw(20_000, Augmentation(translate=0.1), _generator(), side=28).maps
    shares = torch.bincount((maps[:, 0, 2] * 14).round().long() + 3, minlength=7) / len(maps)
    wanted = torch.tensor([0.3, 1, 1, 1, 1, 1, 0.3]) / 5.6  # 2.8 pixels either way, rounded
    torch.testing.assert_close(shares, wanted, atol=0.01, rtol=0)


def test_a_resized_crop_is_torchvisions() -> None:
    images = torch.randint(256, (40, 60, 60, 1), generator=_generator(), dtype=torch.uint8)
    params = draw(40, replace(_PRINTED, rotation=0.0, horizontal_flip=0.0), _generator(), side=60)
    assert params.boxes is not None
    cropped = apply_augmentation(images, params)[..., 0]
    for image, original, box in zip(cropped, images[..., 0].float(), params.boxes, strict=True):
        (left, top), (width, height) = box.tolist()
        expected = transforms.functional.resized_crop(
            original.unsqueeze(0), top, left, height, width, [60, 60], antialias=True
        )
        torch.testing.assert_close(image, expected[0], atol=0.05, rtol=0)


def test_a_rotated_and_cropped_image_is_torchvisions_of_both(digits: torch.Tensor) -> None:
    params = draw(8, _PRINTED, _generator(), side=28)
    assert params.boxes is not None
    expected = resized_crops(resample(digits, params.maps, "nearest"), params.boxes)
    assert torch.equal(apply_augmentation(digits, params), expected)


def test_crops_that_do_not_fit_are_drawn_again() -> None:
    boxes = draw(20_000, _PRINTED, _generator(), side=160).boxes
    assert boxes is not None
    size = boxes[:, 1].float()
    area, ratio = size.prod(1) / 160**2, size[:, 0] / size[:, 1]
    assert boxes[:, 1].max() <= 160
    assert (boxes.sum(1) <= 160).all()
    assert boxes.min() >= 0
    assert 0.79 < area.min() < 0.8
    torch.manual_seed(0)
    transform = transforms.RandomResizedCrop(160, scale=(0.8, 1.0))
    blank = torch.zeros(1, 160, 160)
    theirs = torch.tensor(
        [transform.get_params(blank, [0.8, 1.0], [3 / 4, 4 / 3])[2:] for _ in range(4000)]
    ).float()
    their_area = theirs.prod(1) / 160**2
    torch.testing.assert_close(area.mean(), their_area.mean(), atol=0.005, rtol=0)
    torch.testing.assert_close(ratio.std(), (theirs[:, 1] / theirs[:, 0]).std(), atol=0.005, rtol=0)


def test_a_crop_that_never_fits_is_the_whole_image() -> None:
    always_too_long = replace(_PRINTED, crop_scale=(1.0, 1.0))
    boxes = draw(50, always_too_long, _generator(), side=160).boxes
    assert boxes is not None
    assert (boxes == torch.tensor([[0, 0], [160, 160]])).all()


def test_angles_are_drawn_for_every_image_within_the_range() -> None:
    matrices = affine_maps(1000, Augmentation(rotation=10), _generator(), side=28)
    degrees = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert degrees.abs().max() <= 10.001
    assert degrees.min() < -9
    assert degrees.max() > 9


def test_a_crop_keeps_the_stated_area_inside_the_image() -> None:
    matrices = affine_maps(1000, Augmentation(crop_scale=(0.8, 1.0)), _generator(), side=28)
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
        {"crop_tries": 0},
        {"translate": -0.1},
        {"interpolation": "bicubic"},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        Augmentation(**wrong)  # type: ignore[arg-type]
