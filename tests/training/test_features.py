"""Cached activations of frozen feature layers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vision_zoo.core.errors import DataError, RunError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.cache import cache_folder
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.exporting.export import export_onnx
from vision_zoo.recipes import find_recipe, recipe_for
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.serving.session import Session
from vision_zoo.training import features, head, train
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.features import can_cache, compute_features
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.weights import load_pretrained

FROZEN = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", frozen=True)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder() / "features"


@pytest.fixture
def classifier() -> ImageClassifier:
    torch.manual_seed(0)
    return build_classifier(FROZEN, find_dataset("mnist-5k"))


def _splits(mnist_5k: Splits) -> dict[str, Split]:
    return {"train": mnist_5k.train.take(np.arange(300)), "test": mnist_5k.test.take(np.arange(70))}


def _compute(classifier: ImageClassifier, splits: dict[str, Split]) -> dict[str, Split]:
    return compute_features(classifier, splits, progress=SilentProgress()).splits


def _expected(classifier: ImageClassifier, split: Split) -> torch.Tensor:
    with torch.no_grad():
        return classifier.eval().features(torch.from_numpy(np.array(split.images)))


def test_cached_features_are_the_layers_own(
    own_cache: Path, classifier: ImageClassifier, mnist_5k: Splits
) -> None:
    splits = _splits(mnist_5k)
    computed, again = _compute(classifier, splits), _compute(classifier, splits)
    for name, split in splits.items():
        expected = _expected(classifier, split).numpy()
        np.testing.assert_allclose(computed[name].images, expected, rtol=1e-4, atol=1e-5)
        assert isinstance(again[name].images, np.memmap)
    assert len(list(own_cache.iterdir())) == 1


def test_a_network_that_does_more_than_its_parts_cannot_be_frozen(
    own_cache: Path, classifier: ImageClassifier, mnist_5k: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = type(classifier.network).forward
    monkeypatch.setattr(type(classifier.network), "forward", lambda self, images: 2 * whole(self, images))
    with pytest.raises(UsageError, match="cannot be frozen: its output is not `classifier`"):
        _compute(classifier, _splits(mnist_5k))


def test_the_head_on_features_is_the_whole_network(classifier: ImageClassifier, mnist_5k: Splits) -> None:
    images = torch.from_numpy(np.array(mnist_5k.test.images[:20]))
    with torch.no_grad():
        whole, parts = classifier.eval()(images), classifier.head(classifier.features(images))
    torch.testing.assert_close(whole, parts)


@pytest.mark.parametrize("place", [0, 150, -1])
def test_a_damaged_cache_is_noticed(
    own_cache: Path, classifier: ImageClassifier, mnist_5k: Splits, place: int
) -> None:
    splits = _splits(mnist_5k)
    _compute(classifier, splits)
    (file,) = own_cache.glob("*/*/features.npy")
    stored = np.load(file, mmap_mode="r+")
    stored[place] += 1
    stored.flush()
    np.testing.assert_allclose(
        _compute(classifier, splits)["train"].images,
        _expected(classifier, splits["train"]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_other_weights_have_another_cache(
    own_cache: Path, classifier: ImageClassifier, mnist_5k: Splits
) -> None:
    _compute(classifier, _splits(mnist_5k))
    torch.manual_seed(1)
    _compute(build_classifier(FROZEN, find_dataset("mnist-5k")), _splits(mnist_5k))
    assert len(list(own_cache.iterdir())) == 2


def test_other_images_have_another_cache_whatever_the_data_is_called(
    own_cache: Path, classifier: ImageClassifier, mnist_5k: Splits
) -> None:
    splits = _splits(mnist_5k)
    _compute(classifier, splits)
    images = np.array(splits["train"].images)
    images[150] = 255 - images[150]  # far from both ends, which are compared with fresh features
    other = {**splits, "train": Split(images, splits["train"].labels)}
    found = _compute(classifier, other)["train"].images
    np.testing.assert_allclose(found, _expected(classifier, other["train"]), rtol=1e-4, atol=1e-5)


def test_only_new_images_are_computed(
    own_cache: Path,
    classifier: ImageClassifier,
    mnist_5k: Splits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = _splits(mnist_5k)
    before = _compute(classifier, splits)
    computed: list[int] = []
    plain = features._batches

    def counted(
        classifier: ImageClassifier, images: NDArray[np.uint8], rows: NDArray[np.int64]
    ) -> Iterator[NDArray[np.float32]]:
        computed.append(len(rows))
        return plain(classifier, images, rows)

    monkeypatch.setattr(features, "_batches", counted)
    monkeypatch.setattr(features, "_agree", lambda *_: True)
    # Another split of the same images, with one more.
    order = np.random.default_rng(0).permutation(300)
    other = {"train": splits["train"].take(order[:200]), "validation": splits["train"].take(order[200:])}
    after = _compute(classifier, {**other, "test": mnist_5k.test.take(np.arange(71))})
    assert computed == [1]
    joined = np.concatenate([after["train"].images, after["validation"].images])
    np.testing.assert_array_equal(joined, before["train"].images[order])
    np.testing.assert_array_equal(after["test"].images[:70], before["test"].images)
    expected = _expected(classifier, mnist_5k.test.take(np.arange(71))).numpy()
    np.testing.assert_allclose(after["test"].images, expected, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_what_was_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classifier: ImageClassifier, mnist_5k: Splits
) -> None:
    splits = {"train": mnist_5k.train.take(np.arange(70))}
    found = []
    for cached in ([], [3], list(range(65))):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(len(cached))))
        if cached:
            _compute(classifier, {"part": splits["train"].take(np.array(cached))})
        found.append(_compute(classifier, splits)["train"].images)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_features_of_other_code_are_computed_anew(
    own_cache: Path, classifier: ImageClassifier, mnist_5k: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = _splits(mnist_5k)
    before = _compute(classifier, splits)["train"].images
    plain = classifier.feature_layers.forward
    monkeypatch.setattr(classifier.feature_layers, "forward", lambda images: 2 * plain(images))
    for _ in range(2):
        after = _compute(classifier, splits)["train"].images
        np.testing.assert_allclose(after, 2 * np.asarray(before), rtol=1e-4, atol=1e-5)
    assert len(list(own_cache.glob("*/*"))) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classifier: ImageClassifier, mnist_5k: Splits
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    splits = _splits(mnist_5k)
    np.testing.assert_allclose(
        _compute(classifier, splits)["test"].images,
        _expected(classifier, splits["test"]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_nothing_is_cached_where_something_random_comes_before() -> None:
    assert can_cache(FROZEN)
    assert not can_cache(FROZEN.override(augmentation=Augmentation(rotation=5)))
    assert not can_cache(FROZEN.override(frozen=False))


def test_frozen_layers_may_keep_their_dropout_in_training(mnist_5k: Splits) -> None:
    torch.manual_seed(0)
    recipe = FROZEN.override(
        architecture="all_cnn", frozen_dropout=True, architecture_arguments={"batch_norm": True}
    )
    classifier = build_classifier(recipe, find_dataset("mnist-5k"))
    images = torch.from_numpy(np.array(mnist_5k.test.images[:8]))
    training = [module for module in classifier.train().feature_layers.modules() if module.training]
    assert len(training) == 3
    assert all(isinstance(module, torch.nn.Dropout) for module in training)
    assert not torch.equal(classifier(images), classifier(images))
    assert torch.equal(classifier.eval()(images), classifier(images))
    assert not can_cache(recipe)


def test_the_dense_layers_published_weights_are_taken_where_they_are_there(tmp_path: Path) -> None:
    import torchvision
    from safetensors.torch import save_file

    recipe = recipe_for("alexnet_finetuned", "mnist")
    classifier = build_classifier(recipe, find_dataset("mnist"))
    published = torchvision.models.alexnet(weights=None).state_dict()
    save_file(published, tmp_path / "weights.safetensors")
    head = classifier.head.state_dict()
    before = head["7.weight"].clone()
    load_pretrained(classifier, "alexnet-imagenet1k", path=tmp_path / "weights.safetensors", data_dir=None)
    for ours, theirs in (("2.weight", "1.weight"), ("2.bias", "1.bias"), ("5.weight", "4.weight")):
        assert torch.equal(head[ours], published[f"classifier.{theirs}"])
    assert torch.equal(head["7.weight"], before)


def test_frozen_layers_stay_in_evaluation_mode(classifier: ImageClassifier) -> None:
    classifier.train()
    assert not any(module.training for module in classifier.feature_layers.modules())
    assert classifier.head.training


def test_alexnets_published_weights_are_loaded(data_dir: Path) -> None:
    dataset = find_dataset("mnist")
    recipe = recipe_for("alexnet_finetuned", "mnist")
    classifier = build_classifier(recipe, dataset)
    before = classifier.feature_layers.state_dict()["1.0.weight"].clone()
    load_pretrained(classifier, recipe.pretrained or "", path=None, data_dir=data_dir)
    after = classifier.feature_layers.state_dict()["1.0.weight"]
    assert not torch.equal(before, after)
    assert after.shape == (64, 3, 11, 11)
    # Trained filters of the first layer are structured: neighbouring pixels resemble each other.
    first, shifted = after[..., :-1].flatten(), after[..., 1:].flatten()
    assert torch.corrcoef(torch.stack([first, shifted]))[0, 1] > 0.5


def test_other_weights_than_alexnets_are_refused(classifier: ImageClassifier, tmp_path: Path) -> None:
    alexnet = build_classifier(recipe_for("alexnet_finetuned", "mnist"), find_dataset("mnist"))
    file = tmp_path / "weights.safetensors"
    for content, message in ((b"broken", "cannot be read"), (None, "another network")):
        if content is None:
            from safetensors.torch import save_file

            save_file({"features.0.weight": torch.zeros(1)}, file)
        else:
            file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_pretrained(alexnet, "alexnet", path=file, data_dir=None)
    with pytest.raises(UsageError, match="has no pretrained weights"):
        load_pretrained(classifier, "alexnet", path=file, data_dir=None)


def test_a_solved_head_is_a_run_like_another(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch with the scores of the cross-validation, whose predictions are kept."""
    monkeypatch.setattr(head, "_MOST_VALIDATED", 1000)
    monkeypatch.setattr(head, "_STEPS", 40)
    monkeypatch.setattr(head, "_STRENGTHS", (1e-3, 1e-2, 1e-1))
    recipe, run = FROZEN.override(optimizer="lbfgs", epochs=1), RunDirectory(tmp_path / "run")
    train.start(recipe, run.path, device="cpu", data_dir=None, progress=SilentProgress())
    metrics, (record,) = run.metrics(), run.history()
    assert metrics.test_accuracy > 0.7  # of random features
    assert record.validation_accuracy == pytest.approx(metrics.test_accuracy, abs=0.1)
    assert run.predictions(run.cross_validation_file).right.mean() == pytest.approx(
        record.validation_accuracy, abs=1e-5
    )
    exported = export_onnx(run.path, tmp_path / "models")
    assert exported.verification.accuracy == pytest.approx(metrics.test_accuracy)

    session, test = Session(exported.path, provider="cpu"), find_dataset(recipe.data.dataset).load(None).test
    calibration = session.metadata.calibration
    assert calibration is not None
    assert (calibration.calibrated_on, calibration.images) == ("cross-validation", 1000)
    prediction = session.predict_all(np.asarray(test.images))
    given = prediction.probabilities[np.arange(len(test)), np.asarray(test.labels)]
    for rate, threshold in calibration.set_thresholds.items():
        assert (given >= threshold).mean() >= float(rate) / 100 - 0.02
    assert session.gaussians is None
    run.cross_validation_logits.write_bytes(b"damaged")
    with pytest.raises(RunError, match="remove it to export without it"):
        export_onnx(run.path, tmp_path / "models")


def test_only_a_dense_layer_on_frozen_features_is_solved(tmp_path: Path, own_cache: Path) -> None:
    with pytest.raises(UsageError, match="lbfgs is for frozen features"):
        FROZEN.override(optimizer="lbfgs", frozen=False)
    two_layers = FROZEN.override(optimizer="lbfgs", architecture="basic_cnn")
    with pytest.raises(UsageError, match="basic_cnn has another head"):
        train.start(two_layers, tmp_path / "run", device="cpu", data_dir=None, progress=SilentProgress())
