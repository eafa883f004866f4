"""The first stages of EfficientNet-Lite0, for small pictures and little time.

Their ImageNet weights are where training begins, not features to keep.
"""

from torch import nn

from vision_zoo.architectures.efficientnet_lite0 import EfficientNetLite0
from vision_zoo.core.errors import UsageError

_STAGES = 7


class TruncatedEfficientNetLite0(EfficientNetLite0):
    """0.33 million parameters with 1,000 classes and four stages; 7 million multiply-adds at 48 x 48.

    Takes 3 channels of any size, and images as they are unless there is a `resolution` to scale them to. The features
    are the mean of the last stage's over the image.
    """

    def __init__(
        self, *, channels: int, image_size: int, classes: int, resolution: int | None = None, stages: int = 4
    ) -> None:
        if not 1 <= stages <= _STAGES:
            raise UsageError(f"stages {stages} is out of range; expected 1 to {_STAGES}")
        super().__init__(
            channels=channels, image_size=image_size, classes=classes, resolution=resolution or image_size
        )
        self.stages = stages
        scale, stem, blocks, _, pool = self.features
        kept = list(blocks.children())[: sum(self._repeats(stage) for stage in range(stages))]
        self.features = nn.Sequential(scale, stem, nn.Sequential(*kept), nn.Identity(), pool)
        features = kept[-1].get_parameter("project.0.weight").shape[0]
        self.classifier = nn.Sequential(nn.Linear(features, classes))

    @property
    def last_stage(self) -> tuple[nn.Module, ...]:
        """The layers of the last stage that is kept."""
        _, _, blocks, _, _ = self.features
        return tuple(list(blocks.children())[-self._repeats(self.stages - 1) :])
