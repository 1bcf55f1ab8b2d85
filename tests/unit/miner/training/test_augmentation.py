"""Augmentation of convolutionally mapped images: what moves, what must not."""

import pytest
import torch

from miner.training.augmentation import Augmentation


def image(colours: int, filters: int, side: int = 16) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(6, colours * filters, side, side) + 1


@pytest.mark.parametrize("colours", [1, 3])
def test_augmentation__any_image__keeps_shape_and_dtype(colours: int) -> None:
    x = image(colours, 4)
    changed = Augmentation(colours)(x, torch.Generator().manual_seed(1))
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert not torch.equal(changed, x)


def test_augmentation__grey_image__is_shifted_by_a_whole_offset_and_nothing_else() -> None:
    x = image(1, 2)
    changed = Augmentation(1)(x, torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    for i in range(len(x)):
        offsets = [padded[i, :, dy : dy + 16, dx : dx + 16] for dy in range(5) for dx in range(5)]
        assert sum(torch.equal(changed[i], offset) for offset in offsets) == 1


def test_augmentation__colour_image__all_filters_of_a_colour_share_one_factor() -> None:
    x = torch.ones(8, 3 * 4, 1, 1)  # too small to shift, too plain to flip: only the factors show
    changed = Augmentation(3)(x, torch.Generator().manual_seed(1)).reshape(8, 3, 4)
    assert torch.equal(changed, changed[:, :, :1].expand_as(changed))
    factors = changed[:, :, 0]
    assert len(set(factors.flatten().tolist())) == 24
    assert 0.8 <= float(factors.min()) < float(factors.max()) <= 1.2


def test_augmentation__colour_images__about_half_are_mirrored() -> None:
    x = torch.arange(7.0).expand(400, 3, 1, 7) + 1  # 7 wide: not shifted
    changed = Augmentation(3)(x, torch.Generator().manual_seed(2))
    mirrored = int((changed[:, 0, 0, 0] > changed[:, 0, 0, -1]).sum())
    assert 150 < mirrored < 250


def test_augmentation__same_generator__same_images() -> None:
    x = image(3, 2)
    first, second = (Augmentation(3)(x, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
