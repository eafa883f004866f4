"""Errors that users can cause or see.

A message says what was wrong, what was expected and what to do. The command line prints it as one line on stderr and
exits with `exit_code`.
"""


class VisionZooError(Exception):
    exit_code = 1


class UsageError(VisionZooError):
    """Options that contradict each other or are out of range."""

    exit_code = 2


class UnknownNameError(VisionZooError):
    """No recipe, architecture, dataset or model of that name."""


class PluginError(VisionZooError):
    """A broken plug-in of an installed package."""


class MissingExtraError(VisionZooError):
    """The command needs packages of an extra."""


class DataError(VisionZooError):
    """A dataset's files are missing, truncated or not what they claim."""


class ImageError(VisionZooError):
    """An image that cannot be decoded or used."""

    def without_frames(self) -> "ImageError":
        """The same to be kept: without its traceback, whose frames hold the decoded image."""
        return type(self)(*self.args)


class BlankImageError(ImageError):
    """An image without any content to classify."""


class SeveralFiguresError(ImageError):
    """An image of several figures, for a model that reads one."""


class ModelError(VisionZooError):
    """An ONNX file that is damaged, foreign or does not match its manifest."""


class WebRuntimeError(VisionZooError):
    """ONNX Runtime Web is missing, damaged, of another version, or cannot be fetched."""


class HubError(VisionZooError):
    """The Hugging Face Hub cannot be reached, refuses, or has no such model."""


class ExportError(VisionZooError):
    """An export that failed verification; nothing was written."""


class RunError(VisionZooError):
    """A run directory or checkpoint that cannot be used."""


class RunInUseError(RunError):
    """Another process is training there."""


class TrainingError(VisionZooError):
    """Training that cannot go on: the loss is no longer finite."""


class DeviceError(VisionZooError):
    """A device or execution provider that cannot run here."""


class StorageError(VisionZooError):
    """A folder or file that cannot be written."""


SAME_COMMAND = "run the same command again to continue"


class Interrupted(VisionZooError):  # noqa: N818  (stopping on request is no error)
    """Stopped by the user; the message says what is saved and how to go on."""

    exit_code = 130
