"""EfficientNet-Lite (Tan and Le, 2019, without squeeze-and-excitation, with ReLU6): made for 8-bit arithmetic."""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from vision_zoo.architectures.imagenet import Scale, require_colour
from vision_zoo.architectures.normalised import Normalised
from vision_zoo.core.errors import UsageError

_STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_LOWEST_RESOLUTION = 2  # stages, the last
_STEM, _HEAD, _REDUCTION = 32, 1280, 32
_MULTIPLE = 8  # of channels
_EPSILON, _MOMENTUM = 1e-3, 0.01  # of batch normalisation
_DROPOUT = 0.2
_NAMES = {
    "expand.0": "_expand_conv",
    "expand.1": "_bn0",
    "depthwise.1": "_depthwise_conv",
    "depthwise.2": "_bn1",
    "project.0": "_project_conv",
    "project.1": "_bn2",
}


def _normalised(*layers: nn.Module, channels: int, activation: bool = True) -> nn.Sequential:
    after = (nn.ReLU6(),) if activation else ()
    return Normalised(*layers, nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM), *after)


def _padding(kernel: int, stride: int, side: int) -> nn.ZeroPad2d:
    """TensorFlow's `same`: for stride 2 on an even side, one pixel more at the right and at the bottom."""
    total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    before, after = total // 2, total - total // 2
    return nn.ZeroPad2d((before, after, before, after))


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, pointwise projection; added to its input where the shapes agree."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int, side: int
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = _normalised(nn.Conv2d(inputs, inner, 1, bias=False), channels=inner)
        self.depthwise = _normalised(
            _padding(kernel, stride, side),
            nn.Conv2d(inner, inner, kernel, stride=stride, groups=inner, bias=False),
            channels=inner,
        )
        self.project = _normalised(
            nn.Conv2d(inner, outputs, 1, bias=False), channels=outputs, activation=False
        )

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.project(self.depthwise(self.expand(images)))
        return images + projected if self.residual else projected


class EfficientNetLite0(nn.Module):
    """4.65 million parameters with 1,000 classes; 0.39 billion multiply-adds at 224 x 224.

    Takes 3 channels of any size and scales to `resolution` pixels square. `pretrained` in a recipe loads ImageNet
    weights. `width` and `depth` multiply the channels and the blocks of a stage, as in the larger networks.
    """

    width: ClassVar[float] = 1.0
    depth: ClassVar[float] = 1.0
    published_resolution: ClassVar[int] = 224

    def __init__(
        self, *, channels: int, image_size: int, classes: int, resolution: int | None = None
    ) -> None:
        super().__init__()
        require_colour("efficientnet_lite", channels)
        resolution = self.published_resolution if resolution is None else resolution
        if resolution < _REDUCTION:
            raise UsageError(f"resolution {resolution} is out of range; expected {_REDUCTION} or more")
        self.image_size = image_size
        stem = _normalised(
            _padding(3, 2, resolution), nn.Conv2d(3, _STEM, 3, stride=2, bias=False), channels=_STEM
        )
        blocks = self._blocks(-(-resolution // 2))
        head = _normalised(nn.Conv2d(self._channels(_STAGES[-1][-1]), _HEAD, 1, bias=False), channels=_HEAD)
        scale = nn.Identity() if image_size == resolution else Scale(resolution)
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.features = nn.Sequential(scale, stem, nn.Sequential(*blocks), head, pool)
        self.classifier = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(_HEAD, classes))

    def _channels(self, channels: int) -> int:
        """The nearest multiple of 8 to so many times the width, not below nine tenths of it."""
        wanted = channels * self.width
        nearest = max(_MULTIPLE, int(wanted + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
        return nearest + _MULTIPLE if nearest < 0.9 * wanted else nearest

    def _repeats(self, stage: int) -> int:
        """Blocks of a stage; the first and the last one are never deeper."""
        blocks = _STAGES[stage][0]
        return blocks if stage in (0, len(_STAGES) - 1) else math.ceil(blocks * self.depth)

    def _blocks(self, side: int) -> list[InvertedResidual]:
        """All of them, for features of so many pixels square."""
        made = []
        inputs = _STEM
        for stage, (_, kernel, first_stride, expansion, channels) in enumerate(_STAGES):
            outputs = self._channels(channels)
            for block in range(self._repeats(stage)):
                stride = 1 if block else first_stride
                made.append(
                    InvertedResidual(
                        inputs, outputs, kernel=kernel, stride=stride, expansion=expansion, side=side
                    )
                )
                inputs, side = outputs, -(-side // stride)
        return made

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits

    @property
    def last_stage(self) -> tuple[nn.Module, ...]:
        """The layers of the lowest resolution."""
        _, _, blocks, head, _ = self.features
        count = sum(self._repeats(len(_STAGES) - stage) for stage in range(1, _LOWEST_RESOLUTION + 1))
        return (*list(blocks.children())[-count:], head)

    def load_pretrained(self, weights: Mapping[str, Tensor]) -> None:
        """Take the published weights of all but the dense layer by their names; KeyError or RuntimeError."""
        self.features.load_state_dict(
            {name: weights[_published(name)] for name in self.features.state_dict()}
        )


class EfficientNetLite1(EfficientNetLite0):
    """5.42 million parameters with 1,000 classes; 0.60 billion multiply-adds at 240 x 240."""

    depth = 1.1
    published_resolution = 240


class EfficientNetLite2(EfficientNetLite0):
    """6.09 million parameters with 1,000 classes; 0.86 billion multiply-adds at 260 x 260."""

    width = 1.1
    depth = 1.2
    published_resolution = 260


def _published(name: str) -> str:
    """The published name of one of our features' tensors."""
    part, *rest, tensor = name.split(".")
    if part == "1":
        return f"{'_conv_stem' if rest == ['1'] else '_bn0'}.{tensor}"
    if part == "3":
        return f"{'_conv_head' if rest == ['0'] else '_bn1'}.{tensor}"
    block, *layer = rest
    return f"_blocks.{block}.{_NAMES['.'.join(layer)]}.{tensor}"
