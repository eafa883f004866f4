"""Which images a run trains on, looks at after every epoch and is scored on."""

import numpy as np

from vision_zoo.data.dataset import Split, Splits
from vision_zoo.data.split import stratified_holdout
from vision_zoo.recipes.recipe import Recipe


def parts_of(splits: Splits, recipe: Recipe) -> dict[str, Split]:
    """What is trained on, what early stopping looks at (with `patience` only) and what is scored at the end."""
    parts = splits.named()
    if recipe.patience is None:
        return {name: split for name, split in parts.items() if name != "validation"}
    if "validation" not in parts:
        held_out = max(1, round(len(splits.train) * recipe.validation_fraction))
        kept, out = stratified_holdout(np.asarray(splits.train.labels), held_out, seed=recipe.seed)
        parts |= {"train": splits.train.take(kept), "validation": splits.train.take(out)}
    return parts
