"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28, light on dark."""

from vision_zoo.data.dataset import Dataset
from vision_zoo.data.idx import load_idx_dataset
from vision_zoo.images.preprocess import InputFormat

LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
INPUT = InputFormat(channels=1, height=28, width=28, crop="none", polarity="light_on_dark")

DATASET = Dataset(
    name="fashion-mnist",
    title="Fashion-MNIST articles of clothing",
    licence="MIT",
    source="https://github.com/zalandoresearch/fashion-mnist",
    labels=LABELS,
    input=INPUT,
    mean=(0.2860,),
    std=(0.3530,),
    train_images=60_000,
    test_images=10_000,
    loader=lambda data_dir: load_idx_dataset(
        "fashion-mnist", "FashionMNIST", data_dir, labels=LABELS, target=INPUT
    ),
)
