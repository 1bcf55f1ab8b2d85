"""The check of a network that a client makes before it commissions, and a miner before it trains.

A weight that never moves satisfies (`paper`) or violates (`hardened`) every requirement; one whose gradient is only
rounding has a different sign on every device. A network may also be chaotic: rounding differences grow from step to
step until two devices train different networks, and no segment of more than a few steps can be replayed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from pole.errors import ManifestInvalid
from pole.gradient.network import FlatNetwork, Part, Snapshot
from pole.gradient.samples import Samples
from pole.gradient.seeds import COORDINATES, cell_widths
from pole.gradient.verification import drift

STEPS = 300
MIN_MOVED_SHARE = 0.999
MAX_NOISE = 0.01
MAX_DRIFT = 0.25  # of the replay tolerance
NOISE_STEPS = 5
MIN_SURPRISE = 12.0  # a foretold seed is right with a chance of e^-12
STATISTICS_ROWS = 512
_LISTED = 8


@dataclass(frozen=True)
class TensorMovement:
    """`moved_share`: of its weights, after some steps. `noise`: RMS rounding error of its gradient over its RMS, in the
    best of some steps (in any one, rounding may have switched a relu).
    """

    name: str
    weights: int
    moved_share: float
    noise: float


@dataclass(frozen=True)
class Movement:
    """How a network moves within its first steps, per tensor."""

    steps: int
    tensors: tuple[TensorMovement, ...]

    @property
    def moved_share(self) -> float:
        """Share of all weights that moved at least once."""
        weights = sum(tensor.weights for tensor in self.tensors)
        return sum(tensor.weights * tensor.moved_share for tensor in self.tensors) / weights


def check_startup(network: FlatNetwork, samples: Samples, steps: int = STEPS, seed: int = 1) -> Movement:
    """Raises ManifestInvalid, naming the tensors, unless 99.9 % of the weights move, no gradient is mere rounding, and
    a segment can be replayed on other devices (unless the manifest asks for devices alike) but not foretold.

    The network's state is as before afterwards.
    """
    if network.weight_count < network.manifest.requirement_count:
        raise ManifestInvalid(
            f"{network.weight_count} weights for {network.manifest.requirement_count} requirements; use a larger model"
        )
    movement = measure_movement(network, samples, steps, seed)
    noisy = [tensor for tensor in movement.tensors if not tensor.noise <= MAX_NOISE]
    if noisy:
        raise ManifestInvalid(
            f"the gradient of {_listed(noisy)} is rounding noise: devices would not agree on its sign; leave out "
            'biases before a batch_norm ("bias": false)'
        )
    if movement.moved_share < MIN_MOVED_SHARE:
        dead = [tensor for tensor in movement.tensors if tensor.moved_share < MIN_MOVED_SHARE]
        raise ManifestInvalid(
            f"only {movement.moved_share:.2%} of the weights move within {steps} steps, {MIN_MOVED_SHARE:.1%} must: "
            f"{_listed(dead)}; use silu instead of relu, average instead of max pooling, a stem for small images"
        )
    if network.manifest.devices == "any":
        _check_drift(network, samples, seed)
    surprise = measure_surprise(network, samples, seed)
    if not surprise >= MIN_SURPRISE:
        raise ManifestInvalid(
            f"where {network.manifest.checkpoint_interval} steps lead to can be foretold but for {surprise:.2g} of "
            f"{COORDINATES} coordinates; it takes {MIN_SURPRISE:g} to foil miners who choose among trajectories: use a "
            "longer checkpoint interval, a higher learning rate, batch normalisation or a smaller replay tolerance"
        )
    return movement


def measure_drift(network: FlatNetwork, samples: Samples, steps: int, seed: int = 1) -> float:
    """How far float32 and float64 training are apart after some steps on the same batches, as replays measure it."""
    start, reference = network.snapshot(), FlatNetwork(network.manifest, network.device, torch.float64)
    double = samples.to(network.device, torch.float64)
    wide = Snapshot(start.weights.double(), start.buffers.double(), start.counters)
    reference.restore(wide)
    for batch in _random_batches(network, samples, steps, seed):
        network.step(samples.train_x[batch], samples.train_y[batch])
        reference.step(double.train_x[batch], double.train_y[batch])
    end = network.snapshot()
    network.restore(start)
    return drift(reference, wide, reference.state, Snapshot(end.weights.double(), end.buffers.double(), end.counters))


def measure_surprise(network: FlatNetwork, samples: Samples, seed: int = 1) -> float:
    """How many of a seed's coordinates a table of every row's gradient at the segment's start misses.

    Such a table sees the rows one by one, so batch normalisation's statistics are those of many rows, held fixed.
    """
    start, manifest = network.snapshot(), network.manifest
    table = _frozen(network, samples)
    foretold = start.weights.clone()
    for batch in _random_batches(network, samples, manifest.checkpoint_interval, seed):
        x, y = samples.train_x[batch], samples.train_y[batch]
        network.step(x, y)
        table.step(x, y)
        foretold.add_(table.weights - start.weights)
        table.weights.copy_(start.weights)
    old, new = (state.weights.double().cpu().numpy() for state in (start, network.state))
    missed_by = (foretold - network.weights).abs().double().cpu().numpy()
    network.restore(start)
    tensors = [(part.start, part.end) for part in network.weight_parts]
    widths = np.maximum(cell_widths(old, new, tensors, manifest.replay_tolerance), np.finfo(np.float64).tiny)
    return COORDINATES * float(np.minimum(1, missed_by / widths).mean())


def _frozen(network: FlatNetwork, samples: Samples) -> FlatNetwork:
    """The same network, in evaluation mode, with the statistics of many rows."""
    frozen = FlatNetwork(network.manifest, network.device, network.dtype)
    frozen.restore(network.state)
    for module in frozen.model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        frozen.model(samples.train_x[:STATISTICS_ROWS])
    frozen.model.eval()
    return frozen


def _check_drift(network: FlatNetwork, samples: Samples, seed: int) -> None:
    interval, tolerance = network.manifest.checkpoint_interval, network.manifest.replay_tolerance
    measured = measure_drift(network, samples, interval, seed)
    if not measured <= MAX_DRIFT * tolerance:
        raise ManifestInvalid(
            f"after {interval} steps, rounding alone moves a weight by {measured:.2g} of its tensor's movement; the "
            f"tolerance of {tolerance} leaves room for {MAX_DRIFT * tolerance:.2g}: use silu instead of relu, average "
            'instead of max pooling, a smaller learning rate or checkpoint interval, or ask for devices "alike"'
        )


def _random_batches(network: FlatNetwork, samples: Samples, steps: int, seed: int) -> Iterator[torch.Tensor]:
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        rows = generator.choice(len(samples.train_y), network.manifest.batch_size, replace=False)
        yield torch.from_numpy(np.sort(rows)).to(network.device)


def measure_movement(network: FlatNetwork, samples: Samples, steps: int, seed: int = 1) -> Movement:
    """Trains on random batches and goes back. A weight has moved if any of the steps changed it."""
    start, before = network.snapshot(), torch.empty_like(network.weights)
    moved = torch.zeros_like(network.weights, dtype=torch.bool)
    noise = np.full(len(network.weight_parts), np.inf)
    reference = FlatNetwork(network.manifest, network.device, torch.float64)
    for step, batch in enumerate(_random_batches(network, samples, steps, seed)):
        x, y = samples.train_x[batch], samples.train_y[batch]
        if step < NOISE_STEPS:
            noise = np.minimum(noise, _noise(network, reference, x, y))
        before.copy_(network.weights)
        network.step(x, y)
        moved |= network.weights != before
    network.restore(start)
    shares = [float(moved[part.start : part.end].double().mean()) for part in network.weight_parts]
    return Movement(steps, tuple(map(_tensor, network.weight_parts, shares, noise.tolist())))


def _tensor(part: Part, share: float, noise: float) -> TensorMovement:
    return TensorMovement(part.name, part.end - part.start, share, noise)


def _noise(network: FlatNetwork, reference: FlatNetwork, x: torch.Tensor, y: torch.Tensor) -> NDArray[np.float64]:
    """Per tensor: RMS difference between the float32 and the float64 gradient, over the latter's RMS."""
    state = network.snapshot()
    reference.weights.copy_(state.weights)
    reference.buffers.copy_(state.buffers)
    single = torch.autograd.grad(functional.cross_entropy(network.model(x), y), network.parameters)
    double = torch.autograd.grad(functional.cross_entropy(reference.model(x.double()), y), reference.parameters)
    network.restore(state)  # the forward pass has moved the running statistics
    pairs = zip(single, double, strict=True)
    return np.array([float((a.double() - b).norm() / max(float(b.norm()), 1e-300)) for a, b in pairs])


def _listed(tensors: list[TensorMovement]) -> str:
    names = ", ".join(f"{each.name!r} ({each.moved_share:.2%} moved)" for each in tensors[:_LISTED])
    return names + (f" and {len(tensors) - _LISTED} more" if len(tensors) > _LISTED else "")
