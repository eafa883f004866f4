"""Settings of a recipe that say how a user's own folder of pictures is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from vision_zoo.core.choices import FolderChannels, FolderCrop
from vision_zoo.recipes.settings import Group

if TYPE_CHECKING:
    from vision_zoo.data.dataset import Dataset
    from vision_zoo.data.split_rule import SplitRule
    from vision_zoo.images.preprocess import InputFormat
    from vision_zoo.recipes.recipe import DataSettings


@dataclass(frozen=True, kw_only=True)
class FolderSettings(Group):
    """How the pictures of `folder:PATH` are read and split; other datasets have the defaults.

    `fold` is the part that is held out for test, counted from 1, and the number of parts.
    """

    crop: Annotated[FolderCrop, "How images become square: centre crop, stretch, or pad with a border."] = (
        "centre"
    )
    channels: Annotated[FolderChannels, "Channels of the images; auto keeps gray folders gray."] = (
        "colour"  # as in runs that do not say
    )
    split: Annotated[
        str | None,
        "CSV file with file and split (train, validation, test). Default: split.csv in the folder.",
    ] = None
    group_by: Annotated[str | None, "Regular expression; paths with the same match stay in one split."] = None
    fold: tuple[int, int] | None = None

    @property
    def split_rule(self) -> "SplitRule":
        """The rule of the split."""
        from vision_zoo.data.split_rule import SplitRule

        file = None if self.split is None else Path(self.split).expanduser()
        return SplitRule(file=file, group_by=self.group_by, fold=self.fold)


def dataset_of(settings: "DataSettings", *, target: "InputFormat | None" = None) -> "Dataset":
    """The dataset that a recipe names; a folder's images are brought to `target` where it is given.

    Raises as `find_dataset`.
    """
    from vision_zoo.data import find_dataset

    return find_dataset(
        settings.dataset,
        image_size=settings.image_size,
        crop=settings.crop,
        channels=settings.channels,
        split=settings.split_rule,
        target=target,
    )
