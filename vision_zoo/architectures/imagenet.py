"""What networks with ImageNet weights share: they take colour images of one size."""

from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.core.errors import UsageError


class Scale(nn.Module):
    """Bilinear scaling to `side` pixels square."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        size = (self.side, self.side)
        return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def require_colour(architecture: str, channels: int) -> None:
    """Raise UsageError unless there are three channels; the message says how a grayscale image gets them."""
    if channels != 3:
        raise UsageError(
            f"{architecture} needs three channels: give the recipe three values of mean and std; grayscale images "
            "are then repeated"
        )
