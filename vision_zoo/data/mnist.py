"""MNIST: 70,000 handwritten digits, 28 x 28, light on dark."""

from vision_zoo.data.dataset import Dataset
from vision_zoo.data.idx import load_idx_dataset
from vision_zoo.images.preprocess import InputFormat

LABELS = tuple("0123456789")
INPUT = InputFormat(
    channels=1, height=28, width=28, crop="none", centring="center_of_mass", polarity="light_on_dark"
)

DATASET = Dataset(
    name="mnist",
    title="MNIST handwritten digits",
    licence="CC BY-SA 3.0",
    source="https://yann.lecun.com/exdb/mnist/",
    labels=LABELS,
    input=INPUT,
    mean=(0.1307,),
    std=(0.3081,),
    train_images=60_000,
    test_images=10_000,
    loader=lambda data_dir: load_idx_dataset("mnist", "MNIST", data_dir, labels=LABELS, target=INPUT),
)
