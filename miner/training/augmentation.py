"""Random changes of convolutionally mapped images that keep the label, drawn again for every batch.

The mapping layer filters every colour by itself, so shifts, flips and brightness commute with it (up to the border).
Source: PoLe, section 3.4 (data augmentation on the output of the CSML)
"""

from dataclasses import dataclass

import torch

from pole.task.manifest import ConvolutionalMapping, Manifest

SHIFT_SHARE = 8  # crops move an image by up to side / 8
COLOUR_RANGE = 0.2


@dataclass(frozen=True)
class Augmentation:
    """`colours` groups of equally many channels; flips and colour jitter are for colour photographs only."""

    colours: int

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """x: [n, colours * filters, height, width] -> same shape; `generator` lives on the CPU."""
        x = _shifted(x, generator)
        if self.colours < 3:
            return x
        return _jittered(_flipped(x, generator), self.colours, generator)


def augmentation_for(manifest: Manifest) -> Augmentation | None:
    """None where nothing is known about the neighbourhood of features (dense mappings)."""
    if not isinstance(manifest.mapping, ConvolutionalMapping):
        return None
    return Augmentation(colours=manifest.data.shape[0])


def _shifted(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every image moved by its own random offset; what comes in at the border is 0 (the mean of a feature)."""
    n, _, height, width = x.shape
    by_y, by_x = height // SHIFT_SHARE, width // SHIFT_SHARE
    padded = torch.nn.functional.pad(x, (by_x, by_x, by_y, by_y))
    top = torch.randint(0, 2 * by_y + 1, (n, 1), generator=generator) + torch.arange(height)
    left = torch.randint(0, 2 * by_x + 1, (n, 1), generator=generator) + torch.arange(width)
    rows, columns = top.to(x.device), left.to(x.device)
    image = torch.arange(n, device=x.device)
    # Advanced indices around the channel slice put that axis last: [n, height, width, channels].
    cropped = padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def _flipped(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    is_flipped = (torch.rand(len(x), generator=generator) < 0.5).to(x.device)
    return torch.where(is_flipped[:, None, None, None], x.flip(3), x)


def _jittered(x: torch.Tensor, colours: int, generator: torch.Generator) -> torch.Tensor:
    """One factor per image and colour, the same for all channels that come from this colour."""
    factors = 1 + COLOUR_RANGE * (2 * torch.rand(len(x), colours, generator=generator) - 1)
    per_channel = factors.repeat_interleave(x.shape[1] // colours, dim=1).to(x.device)
    return x * per_channel[:, :, None, None]
