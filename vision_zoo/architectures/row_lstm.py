"""RowLSTM: report B's recurrent network; every image row is a time step."""

from torch import Tensor, nn


class RowLSTM(nn.Module):
    """Rows of an image (of RGB the three channels' in a row) → two LSTM layers (hidden 128) → dense on the last step."""

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels * image_size, 128, num_layers=2, batch_first=True)
        self.classifier = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.permute(0, 2, 1, 3).flatten(start_dim=2)
        states, _ = self.lstm(rows)
        logits: Tensor = self.classifier(states[:, -1])
        return logits
