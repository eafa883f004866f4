"""The example pictures of the page."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

_PICTURES = Path(__file__).parent / "pictures"


@dataclass(frozen=True)
class Example:
    """A picture's file, what it shows, and whose models know such things."""

    file: str
    name: str
    dataset: str

    def picture(self) -> Image.Image:
        """The picture: gray or in colour, as its dataset's are."""
        with Image.open(_PICTURES / self.file) as image:
            return image.copy()


EXAMPLES = (
    Example("trousers.png", "trousers", "fashion-mnist"),
    Example("t_shirt.png", "T-shirt", "fashion-mnist"),
    Example("bag.png", "bag", "fashion-mnist"),
    Example("ship.png", "ship", "cifar10"),
    Example("aeroplane.png", "aeroplane", "cifar10"),
)
