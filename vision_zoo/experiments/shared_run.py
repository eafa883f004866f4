"""Runs that several processes may train: the first that comes does it, the others wait."""

from pathlib import Path

from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import RunError, RunInUseError
from vision_zoo.core.progress import Progress
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.loop import Watch
from vision_zoo.training.run_directory import RunDirectory


def start_or_resume_shared(
    recipe: Recipe,
    path: Path,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    watch: Watch = train.unwatched,
) -> bool:
    """As `train.start_or_resume`, but while another process has the run, wait until that is done.

    `watch` is shown the records of a run that is there as well.
    """
    run = RunDirectory(path)
    while True:
        run.wait_until_free()
        begun = run.recipe_file.is_file()
        if begun:
            run.require_recipe(recipe)
            if run.history_file.is_file() and not all(watch(record) for record in run.history()):
                return False
        try:
            return train.start_or_resume(
                recipe, path, device=device, data_dir=data_dir, progress=progress, watch=watch
            )
        except RunError as error:
            begun_by_another = not begun and run.recipe_file.is_file()  # in this moment
            if not begun_by_another and not isinstance(error, RunInUseError):
                raise
