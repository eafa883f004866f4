"""PatchLSTM: report A's recurrent network; a 4 x 4 grid of patches is a sequence of 16 tokens."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError

_GRID = 4


class PatchLSTM(nn.Module):
    """Patches in reading order → one LSTM layer (hidden 128) → dense on the last hidden state.

    The side is a multiple of 4. The report's last layer applies softmax; here the loss does, see
    `Recipe.softmax_before_loss`.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        if image_size % _GRID or image_size < _GRID:
            raise UsageError(
                f"patch_lstm cuts the image into 4 x 4 patches: {image_size} pixels are not a multiple of 4"
            )
        self.patch_size = image_size // _GRID
        self.lstm = nn.LSTM(channels * self.patch_size**2, 128, batch_first=True)
        self.classifier = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        batch, channels = images.shape[:2]
        patches = images.reshape(batch, channels, _GRID, self.patch_size, _GRID, self.patch_size)
        tokens = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, _GRID * _GRID, -1)
        states, _ = self.lstm(tokens)
        logits: Tensor = self.classifier(states[:, -1])
        return logits
