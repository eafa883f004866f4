"""A network's weights as a safetensors file."""

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vision_zoo.core import atomic
from vision_zoo.core.errors import RunError


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a network's weights as safetensors.

    Raises:
        StorageError: the file cannot be written.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    atomic.write_bytes(path, safetensors.torch.save(contiguous))


def load_weights(path: Path, network: nn.Module) -> None:
    """Load weights written by `save_weights` into `network`.

    Raises:
        RunError: the file is missing, not readable, damaged, or of another architecture.
    """
    try:
        network.load_state_dict(safetensors.torch.load(path.read_bytes()))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; restore it, or train again with another --out") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    except (SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); train again") from error
    except RuntimeError as error:
        raise RunError(
            f"{path} holds the weights of another architecture than recipe.json; train again"
        ) from error
