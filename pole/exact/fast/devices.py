"""Whether a device multiplies float64 matrices as exactly as exact evaluation needs it."""

import functools

import torch

from pole.errors import InexactMachine

_SIDE = 1 << 10


@functools.cache
def check_products(device: torch.device) -> None:
    """Raises InexactMachine if sums of up to 53 bits are not exact: a GPU's libraries may emulate float64 with less.

    Processors are not asked: float64 is IEEE 754 there.
    """
    if device.type != "cpu" and not has_exact_products(device):
        raise InexactMachine(
            f"{device} multiplies float64 matrices inexactly; turn the emulation of float64 off, or use cpu"
        )


def has_exact_products(device: torch.device) -> bool:
    """Compares a product, whose sums have 53 bits, with the same in integers."""
    generator = torch.Generator().manual_seed(1)
    left = torch.randint(1 << 24, 1 << 25, (_SIDE, _SIDE), generator=generator)
    right = torch.randint(1 << 17, 1 << 18, (_SIDE, 64), generator=generator)
    product = left.to(device, torch.float64) @ right.to(device, torch.float64)
    return bool(torch.equal(product.cpu().long(), left @ right))
