"""How many steps a second this machine makes, and with how many threads it is fastest."""

import statistics
import time
from collections.abc import Sequence

import torch

from pole.gradient.network import FlatNetwork
from pole.gradient.samples import Samples

WARM_UP_STEPS = 5
ROUNDS = 3


def steps_per_second(network: FlatNetwork, samples: Samples, seconds: float = 0.5) -> float:
    """Measured on the first rows; the network's state is as before afterwards."""
    state, size = network.snapshot(), network.manifest.batch_size
    x, y = samples.train_x[:size], samples.train_y[:size]
    for _ in range(WARM_UP_STEPS):
        network.step(x, y)
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not steps:
        network.step(x, y)
        float(network.weights[0])  # waits for the device
        steps += 1
    network.restore(state)
    return steps / elapsed


def choose_threads(network: FlatNetwork, samples: Samples, counts: Sequence[int] = (1, 2), seconds: float = 0.3) -> int:
    """The fastest of these numbers of CPU threads, by the median of interleaved measurements; leaves torch set to it.

    Fewer threads win ties of 5 %: steps on a batch of four are often too small to divide. One thread where devices must
    be alike, since sums over threads round differently.
    """
    if network.manifest.devices == "alike":
        torch.set_num_threads(1)
        return 1
    measured: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(ROUNDS):
        for count in counts:
            torch.set_num_threads(count)
            measured[count].append(steps_per_second(network, samples, seconds))
    chosen = min(counts)
    for count in sorted(counts):
        if statistics.median(measured[count]) > 1.05 * statistics.median(measured[chosen]):
            chosen = count
    torch.set_num_threads(chosen)
    return chosen
