"""One training loop for all experiments: AdamW, the whole data set on the device, mixed precision on a GPU."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

BATCH = 128
EVALUATED_AT_ONCE = 2000
_MODEL, _OPTIMIZER = "model.", "optimizer."


@dataclass(frozen=True)
class Rows:
    """Features float32 [n, ...] and labels int64 [n] of the training and the test part."""

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.train_x.shape[1:])


@dataclass
class Curve:
    """Per epoch, from 1: accuracies in percent, seconds of training by the clock and of CPU, evaluation not counted."""

    train: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


class Training:
    """A model in training on rows that stay on the device. `seed` orders the mini-batches.

    `epochs`: with it, the rate falls to zero along a cosine over so many; without, it stays.
    """

    def __init__(
        self,
        model: nn.Module,
        rows: Rows,
        device: torch.device,
        *,
        seed: int,
        lr: float = 1e-3,
        batch: int = BATCH,
        epochs: int | None = None,
    ) -> None:
        self.model, self._device, self._batch = model.to(device), device, batch
        self._train = torch.from_numpy(rows.train_x).to(device), torch.from_numpy(rows.train_y).to(device)
        self._test = torch.from_numpy(rows.test_x).to(device), torch.from_numpy(rows.test_y).to(device)
        trained = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=lr, fused=True)
        self._lr, self._steps = lr, 0
        self._decay_steps = epochs and epochs * self._batches_per_epoch
        self._order = torch.Generator().manual_seed(seed)
        self.curve = Curve()

    def epoch(self) -> None:
        """One pass over the rows, then both accuracies."""
        wall, cpu = time.perf_counter(), time.process_time()
        for chosen in self._batches():
            self.step(chosen)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self.curve.wall_s.append(time.perf_counter() - wall)
        self.curve.cpu_s.append(time.process_time() - cpu)
        self.curve.train.append(accuracy(self.model, *self._train))
        self.curve.test.append(accuracy(self.model, *self._test))

    def step(self, chosen: Tensor) -> None:
        self.model.train()
        with _precision(self._device):
            loss = functional.cross_entropy(self.model(self._train[0][chosen]), self._train[1][chosen])
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._decay_steps:
            rate = 0.5 * self._lr * (1 + math.cos(math.pi * self._steps / self._decay_steps))
            self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()
        self._steps += 1

    def steps_until(
        self, threshold: float, *, on: Literal["train", "test"], most: int, every: int = 10
    ) -> tuple[int, float]:
        """Steps until an accuracy reaches `threshold` percent, looked at every few, and the accuracy then."""
        rows = self._train if on == "train" else self._test
        done, reached = 0, accuracy(self.model, *rows)
        while reached < threshold and done < most:
            for chosen in self._batches():
                self.step(chosen)
                done += 1
                if done % every == 0 or done == most:
                    reached = accuracy(self.model, *rows)
                    if reached >= threshold or done == most:
                        break
        return done, reached

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs to go on from here."""
        moments = self._optimizer.state_dict()["state"]
        return {
            **{f"{_MODEL}{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"{_OPTIMIZER}{i}.{name}": tensor for i, kept in moments.items() for name, tensor in kept.items()},
            "order": self._order.get_state(),
            "steps": torch.tensor(self._steps),
            "curve": torch.tensor(list(asdict(self.curve).values()), dtype=torch.float64),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError or RuntimeError for the state of another model."""
        self.model.load_state_dict(_under(_MODEL, state))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(_OPTIMIZER, state).items():
            index, _, kind = name.partition(".")
            moments.setdefault(int(index), {})[kind] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        self._order.set_state(state["order"])
        self._steps = int(state["steps"])
        self.curve = Curve(*state["curve"].tolist())

    @property
    def _batches_per_epoch(self) -> int:
        return max(1, len(self._train[1]) // self._batch)

    def _batches(self) -> Iterator[Tensor]:
        """Whole batches only: batch norm needs more than a row or two."""
        order = torch.randperm(len(self._train[1]), generator=self._order).to(self._device)
        for i in range(self._batches_per_epoch):
            yield order[i * self._batch : (i + 1) * self._batch]


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


@torch.inference_mode()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """In percent."""
    model.eval()
    right = 0
    for start in range(0, len(y), EVALUATED_AT_ONCE):
        part = slice(start, start + EVALUATED_AT_ONCE)
        with _precision(x.device):
            right += int((model(x[part]).argmax(dim=1) == y[part]).sum())
    return 100 * right / len(y)


def accuracy_of(model: nn.Module, x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    device = next(model.parameters()).device
    return accuracy(model, torch.from_numpy(x).to(device), torch.from_numpy(y).to(device))


def _precision(device: torch.device) -> "torch.autocast | nullcontext[None]":
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()
