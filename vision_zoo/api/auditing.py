"""What is wrong with a folder of pictures. Label errors need torch, the rest does not."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_zoo.api.arguments import checked, optional_path, progress_shown

if TYPE_CHECKING:
    from vision_zoo.experiments.audit.document import AuditResult, Finding


@dataclass(frozen=True)
class Audit:
    """A finished audit.

    Attributes:
        path: Folder of its output.
        page: The HTML page.
        document: The content of `vision-zoo audit --json`.
    """

    path: Path
    page: Path
    document: "AuditResult"

    @property
    def findings(self) -> dict[str, "Finding"]:
        """Findings by name, the most harmful first."""
        return {finding.name: finding for finding in self.document.findings}


@checked
def audit(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    lists: str | Path | None = None,
    progress: bool = True,
) -> Audit:
    """Find damaged files, duplicates, leaks and probable label errors in `folder`, which has a sub-folder for each class.

    The page and audit.json are written to `out`, or `runs/audit/<folder>`; `lists` is a folder for a text file for each
    finding. Nothing in `folder` is changed.

    Raises:
        DataError: no such folder, or no pictures in class folders.
        UsageError: `out` or `lists` is in `folder`.
        StorageError: a result cannot be written.
    """
    from vision_zoo.data.own_folder import folder_path, is_own_folder
    from vision_zoo.experiments import audit as auditing

    source = folder_path(str(folder)) if is_own_folder(str(folder)) else Path(folder)
    place = optional_path(out) or auditing.default_folder(source)
    with progress_shown(progress) as shown:
        document = auditing.audit(source, out=place, lists=optional_path(lists), progress=shown)
    return Audit(place, place / auditing.PAGE, document)
