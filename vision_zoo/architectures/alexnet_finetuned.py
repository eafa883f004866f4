"""AlexNetFinetuned: report A's transfer experiment, torchvision's AlexNet with a new head."""

from collections.abc import Mapping

from torch import Tensor, nn

from vision_zoo.architectures.imagenet import Scale, require_colour

_SIDE = 224  # to which the report scaled its images
_FEATURES = 256 * 6 * 6


class AlexNetFinetuned(nn.Module):
    """torchvision's AlexNet convolutions (Krizhevsky 2014) on 224 x 224 pixels, then one dense layer on 9,216 features.

    Takes 3 channels of any size and scales to 224; a recipe whose `mean` has three values repeats a grayscale image.
    `pretrained` in a recipe loads ImageNet weights, to be frozen. `full_classifier` keeps torchvision's three dense
    layers with dropout and replaces only the last one.
    """

    def __init__(
        self, *, channels: int, image_size: int, classes: int, full_classifier: bool = False
    ) -> None:
        super().__init__()
        require_colour("alexnet_finetuned", channels)
        self.image_size = image_size
        convolutions = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.features = nn.Sequential(Scale(_SIDE), convolutions)
        self.classifier = (
            nn.Sequential(
                nn.Flatten(),
                nn.Dropout(),
                nn.Linear(_FEATURES, 4096),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(4096, 4096),
                nn.ReLU(),
                nn.Linear(4096, classes),
            )
            if full_classifier
            else nn.Sequential(nn.Flatten(), nn.Linear(_FEATURES, classes))
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits

    @property
    def last_stage(self) -> tuple[nn.Module, ...]:
        """The convolutions after the last pooling but one."""
        return tuple(self.features[1].children())[6:]

    def load_pretrained(self, weights: Mapping[str, Tensor]) -> None:
        """Take torchvision's weights by its names (`features.0.weight`); KeyError or RuntimeError.

        Those of the first two dense layers are taken where `weights` has them and this network the layers.
        """
        own = self.features[1].state_dict()
        self.features[1].load_state_dict({name: weights[f"features.{name}"] for name in own})
        for index, ours in ((1, 2), (4, 5)) if len(self.classifier) > 2 else ():
            if f"classifier.{index}.weight" in weights:
                self.classifier[ours].load_state_dict(
                    {name: weights[f"classifier.{index}.{name}"] for name in ("weight", "bias")}
                )
