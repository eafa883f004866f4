"""The tree of errors that users can cause or see.

    VisionZooError
    ├── UsageError          options that contradict each other or are out of range
    ├── UnknownNameError    no recipe, architecture, dataset or model of that name
    ├── PluginError         an installed package's plug-in that is broken
    ├── MissingExtraError   the command needs packages of the `train` extra
    ├── DataError           a dataset's files are missing, truncated or not what they claim
    ├── ImageError          an image that cannot be decoded or used
    │   └── BlankImageError an image without any content to classify
    ├── ModelError          an ONNX file that is damaged, foreign or does not match its manifest
    ├── ExportError         an export that failed verification; nothing was written
    ├── RunError            a run directory or checkpoint that cannot be used
    │   └── RunInUseError   another process is training there
    ├── TrainingError       training that cannot go on (the loss is no longer finite)
    ├── DeviceError         a device or execution provider that cannot run here
    ├── StorageError        a folder or file that cannot be written
    └── Interrupted         stopped by the user; what is saved and how to go on

A message says what was wrong, what was expected and what to do. The command line prints it as one
line on stderr and exits with `exit_code`.
"""


class VisionZooError(Exception):
    exit_code = 1


class UsageError(VisionZooError):
    exit_code = 2


class UnknownNameError(VisionZooError):
    pass


class PluginError(VisionZooError):
    pass


class MissingExtraError(VisionZooError):
    pass


class DataError(VisionZooError):
    pass


class ImageError(VisionZooError):
    pass


class BlankImageError(ImageError):
    pass


class ModelError(VisionZooError):
    pass


class ExportError(VisionZooError):
    pass


class RunError(VisionZooError):
    pass


class RunInUseError(RunError):
    pass


class TrainingError(VisionZooError):
    pass


class DeviceError(VisionZooError):
    pass


class StorageError(VisionZooError):
    pass


class Interrupted(VisionZooError):  # noqa: N818  (stopping on request is no error)
    exit_code = 130
