"""The hardened trajectory on a GPU: several steps are one CUDA graph, which saves the time of Python and of launches.

Experimental: never run on a GPU. Written from torch's documentation of whole-network capture; its tests need one.
"""

import math

import torch

from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.network import FlatNetwork
from pole.gradient.rules import least_digest
from pole.gradient.samples import Samples
from pole.gradient.trajectory import STEPS_PER_DRAW, Draws, Trajectory

FUSED_STEPS = 16
WARM_UP_STEPS = 3


def start_trajectory(
    network: FlatNetwork, samples: Samples, previous_hash: bytes, miner: str, min_step: int = 1
) -> Trajectory:
    """The trajectory for the network's device; samples must be on it too."""
    kind = FusedTrajectory if network.device.type == "cuda" else Trajectory
    return kind(network, samples, previous_hash, miner, min_step)


class FusedTrajectory(Trajectory):
    """As `Trajectory`, several steps at a time: `advance` returns the last one's number.

    The graph records the movements of the demanded weights. Where one of them may be a new best, the steps are done
    again one by one from a copy of the state, since the graph keeps no gradients of steps in between.
    """

    def __init__(
        self, network: FlatNetwork, samples: Samples, previous_hash: bytes, miner: str, min_step: int = 1
    ) -> None:
        super().__init__(network, samples, previous_hash, miner, min_step)
        # A power of two that divides the interval: no graph runs past a checkpoint or the end of a draw.
        self._fused = math.gcd(network.manifest.checkpoint_interval, math.gcd(FUSED_STEPS, STEPS_PER_DRAW))
        shape, device = (self._fused, DIGEST_BITS), network.device
        self._rows = torch.zeros(self._fused, network.manifest.batch_size, dtype=torch.int64, device=device)
        self._weights = torch.zeros(shape, dtype=torch.int64, device=device)
        self._movements = torch.zeros(shape, dtype=network.dtype, device=device)
        self._graph = self._captured()

    def advance(self) -> int:
        draws, position = self.next_draws()
        start, chosen = self.network.snapshot(), slice(position, position + self._fused)
        self._rows.copy_(draws.batches[chosen])
        self._weights.copy_(torch.from_numpy(draws.weights[chosen]))
        self._graph.replay()
        movements = self._movements.cpu().numpy()
        promising = [
            index
            for index in range(self._fused)
            if self.step + index + 1 >= self.min_step
            and least_digest(movements[index], draws.directions[position + index]) < self._lowest
        ]
        if promising:
            self.network.restore(start)
            self._repeat(draws, position, promising)
        else:
            self.step += self._fused
        return self.step

    def _repeat(self, draws: Draws, position: int, promising: list[int]) -> None:
        """The same steps without the graph, with a closer look at some."""
        for index in range(self._fused):
            self._train(self._batches[position + index])
            self.step += 1
            if index in promising:
                self._consider(draws.directions[position + index], draws.weights[position + index])

    def _captured(self) -> torch.cuda.CUDAGraph:
        state, stream = self.network.snapshot(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._rows.copy_(torch.arange(self._rows.shape[1]).expand_as(self._rows))
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self._fused_step(0)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for index in range(self._fused):
                self._fused_step(index)
        self.network.restore(state)
        return graph

    def _fused_step(self, index: int) -> None:
        weights, chosen = self.network.weights, self._weights[index]
        before = weights.index_select(0, chosen)
        self._train(self._rows[index])
        self._movements[index].copy_(weights.index_select(0, chosen) - before)
