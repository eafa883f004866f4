"""Distillation in a recipe: a network learns the probabilities that a trained one, its teacher, gives.

After Beyer et al., "Knowledge distillation: a good teacher is patient and consistent" (2022): teacher and student see the
very same augmented views of the training images, and many of them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from vision_zoo.core.errors import UsageError
from vision_zoo.recipes.settings import Group

if TYPE_CHECKING:
    from vision_zoo.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class DistillationSettings(Group):
    """What is learnt from a teacher: `distil_from` names the recipe of its run, None for none.

    An epoch is a pass over `distil_views` augmented views of every training image. The loss is the cross-entropy of the
    probabilities of both, whose logits are divided by the temperature T, times T squared.
    """

    distil_from: str | None = None
    distil_views: Annotated[
        Annotated[int, Meta(ge=1, le=1000)],
        "Augmented views of every training image that the teacher labels.",
    ] = 20
    distil_temperature: Annotated[
        Annotated[float, Meta(gt=0, le=100)], "Temperature of the softmax of teacher and student."
    ] = 2.0

    def check(self, recipe: Any) -> None:
        """Raise UsageError where the recipe has settings that say nothing to probabilities of a teacher."""
        unfit = {
            "class weights": recipe.class_weights,
            "label smoothing": recipe.label_smoothing,
            "softmax before loss": recipe.softmax_before_loss,
            "lbfgs": recipe.optimizer.kind == "lbfgs",
        }
        found = next((name for name, given in unfit.items() if given), None)
        if self.distil_from is not None and found is not None:
            raise UsageError(f"distillation learns the teacher's probabilities; omit {found}")


def distilled(recipe: "Recipe", teacher: str) -> "Recipe":
    """`recipe`, taught by the run of `teacher`; crops and mirror images are its views where it has no augmentation."""
    from vision_zoo.recipes.recipe import Augmentation

    views = recipe.augmentation or Augmentation(horizontal_flip=0.5, crop_scale=(0.35, 1.0))
    return recipe.replace(distil_from=teacher, augmentation=views)
