"""The search for one block, by either rules: steps until one may be proposed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from miner.gradient.task import LoadedTask
from pole.gradient.cuda_graph import start_trajectory
from pole.gradient.proof import Published, publish_hardened, publish_paper
from pole.gradient.requirements import paper_requirements
from pole.gradient.trajectory import PaperCandidate, PaperSearch
from pole.storage.store import Store


@dataclass(frozen=True)
class Found:
    """A block to propose, with its files in the store."""

    step: int
    sign_digest: int
    published: Published


class Search(Protocol):
    """One height's search. `has_block`: whether something found so far may be proposed below a threshold."""

    @property
    def steps(self) -> int: ...

    @property
    def is_at_end(self) -> bool: ...

    def advance(self) -> None: ...

    def has_block(self, threshold: int) -> bool: ...

    def publish(self, store: Store) -> Found: ...


class HardenedSearch:
    """Along the forced trajectory; its best step so far stays a candidate, since the threshold rises with time."""

    def __init__(self, loaded: LoadedTask, previous_hash: bytes, miner: str) -> None:
        terms = loaded.task.terms
        self._network, self._max_step = loaded.network, terms.max_step
        self._trajectory = start_trajectory(loaded.network, loaded.samples, previous_hash, miner, terms.min_step)

    @property
    def steps(self) -> int:
        return self._trajectory.step

    @property
    def is_at_end(self) -> bool:
        """No later step can be proposed: all that is left is to wait for the threshold to rise."""
        return self._trajectory.step >= self._max_step

    def advance(self) -> None:
        self._trajectory.advance()

    def has_block(self, threshold: int) -> bool:
        best = self._trajectory.best
        return best is not None and best.sign_digest < threshold and best.step <= self._max_step

    def publish(self, store: Store) -> Found:
        """Raises ModelInvalid if training diverged, or as the store does."""
        best, trajectory = self._trajectory.best, self._trajectory
        assert best is not None
        published = publish_hardened(store, self._network, trajectory.previous_hash, trajectory.miner, best)
        return Found(best.step, best.sign_digest, published)


class PaperRulesSearch:
    """The free search of Algorithm 1. A block must also raise the test accuracy, or Algorithm 2 refuses it."""

    is_at_end = False

    def __init__(self, loaded: LoadedTask, previous_hash: bytes, generator: np.random.Generator) -> None:
        network, count = loaded.network, loaded.manifest.requirement_count
        requirements = paper_requirements(previous_hash, count, network.weight_count)
        self._loaded, self._search = loaded, PaperSearch(network, loaded.samples, requirements, generator)
        self._block: PaperCandidate | None = None

    @property
    def steps(self) -> int:
        return self._search.steps

    def advance(self) -> None:
        candidate = self._search.advance()
        if candidate is not None and self._block is None and self._does_improve(candidate):
            self._block = candidate

    def has_block(self, threshold: int) -> bool:
        """All requirements hold, so its digest is 0."""
        return self._block is not None and threshold > 0

    def publish(self, store: Store) -> Found:
        """Raises ModelInvalid if training diverged, or as the store does."""
        assert self._block is not None
        return Found(0, 0, publish_paper(store, self._loaded.network, self._block))

    def _does_improve(self, candidate: PaperCandidate) -> bool:
        network, samples = self._loaded.network, self._loaded.samples
        network.restore(candidate.before)
        before_ppm = network.test_ppm(samples)
        network.restore(candidate.after)
        return network.test_ppm(samples) > before_ppm


def begin_search(loaded: LoadedTask, previous_hash: bytes, miner: str) -> Search:
    """By the task's rules; the network must hold the previous block's weights."""
    if loaded.manifest.rules == "paper":
        # Unpredictable: two miners must not try the same batches.
        return PaperRulesSearch(loaded, previous_hash, np.random.default_rng())
    return HardenedSearch(loaded, previous_hash, miner)
