"""What the default trainer tries, and one model in training under a recipe."""

import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from miner.training.augmentation import Augmentation
from miner.training.stacked import clip_each
from pole.task.manifest import AnyModel, GraphModel

RECIPE_VERSION = 5
"""Another with every change of what the default method makes of a job, so that measurements say what they measured."""
GRADIENT_NORM = 1.0
AVERAGED_EPOCHS = 5
SHORTEST_BATCH = 8
HELD_OUT_BATCH = 256

State = dict[str, torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """`rate`: share of the peak rate; `decay`: of the weights; `dropout`: in every dropout layer that a graph has."""

    rate: float
    decay: float
    dropout: float
    is_augmented: bool = True


# In the order in which they are tried: time may be up after any of them.
RECIPES = (
    Recipe(rate=1.0, decay=0.01, dropout=0.2),
    Recipe(rate=1.0, decay=0.01, dropout=0.5),
    Recipe(rate=1 / 3, decay=0.01, dropout=0.3),
    Recipe(rate=1.0, decay=1.0, dropout=0.1),
    Recipe(rate=1.0, decay=0.01, dropout=0.2, is_augmented=False),
)


def recipes_for(spec: AnyModel, *, has_augmentation: bool) -> list[Recipe]:
    """Those that differ for this model: dropout is a graph's own choice, and not every row can be augmented."""
    has_dropout = isinstance(spec, GraphModel) and any(layer.type == "dropout" for layer in spec.layers)
    alike = [
        Recipe(
            each.rate,
            each.decay,
            each.dropout if has_dropout else 0.0,
            each.is_augmented and has_augmentation,
        )
        for each in RECIPES
    ]
    return list(dict.fromkeys(alike))


@dataclass(frozen=True)
class Rows:
    """Training rows on the device, as the model in training sees them; `y`: int64 [n]."""

    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True)
class Ways:
    """What all recipes of a job share."""

    peak_rate: float
    loss: Loss
    augment: Augmentation | None


class Apprentice:
    """A model that learns under one recipe at a constant rate; what counts is the average of its last epochs.

    `learned`: numbers of the rows to learn from, int64 [n]; [networks, n] of a model that is several in one.
    """

    def __init__(
        self, model: nn.Module, rows: Rows, learned: torch.Tensor, recipe: Recipe, ways: Ways, seed: int
    ) -> None:
        self.model, self.rows, self._learned, self._loss = model, rows, learned, ways.loss
        self._augment = ways.augment if recipe.is_augmented else None
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.rate * ways.peak_rate, weight_decay=recipe.decay, fused=True
        )
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = recipe.dropout or module.p
        self._average = copy.deepcopy(model).eval()
        self._recent: deque[State] = deque(maxlen=AVERAGED_EPOCHS)

    def learn(self, batch_rows: int) -> float:
        """One epoch; returns the mean loss. A last short batch is left out: batch statistics of a row do not exist."""
        self.model.train()
        order = torch.rand(self._learned.shape, generator=self._generator).argsort(dim=-1).to(self._learned.device)
        batches = list(torch.split(self._learned.gather(-1, order), batch_rows, dim=-1))
        if len(batches) > 1 and batches[-1].shape[-1] < SHORTEST_BATCH:
            batches.pop()
        loss = torch.stack([self._step(batch) for batch in batches]).mean()
        self._recent.append({name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()})
        return float(loss)

    def _step(self, batch: torch.Tensor) -> torch.Tensor:
        x, y = self.rows.x[batch], self.rows.y[batch]
        if self._augment is not None:
            x = self._augment(x, self._generator)
        outputs, networks = self.model(x), 1
        if batch.ndim == 2:  # the mean loss of all networks, whose parameters have nothing to do with each other
            outputs, y, networks = outputs.flatten(0, 1), y.flatten(0, 1), len(batch)
        loss = self._loss(outputs, y)
        self._optimizer.zero_grad()
        (networks * loss).backward()  # type: ignore[no-untyped-call]
        if batch.ndim == 2:
            clip_each(self.model, GRADIENT_NORM)
        else:
            nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        self._optimizer.step()
        return loss.detach()

    def averaged(self) -> nn.Module:
        """The same module each time, with the mean of the last epochs' weights (counters are those of the last)."""
        with torch.no_grad():
            for name, tensor in self._average.state_dict().items():
                recent = [state[name] for state in self._recent]
                tensor.copy_(torch.stack(recent).mean(dim=0) if tensor.is_floating_point() else recent[-1])
        return self._average

    @torch.inference_mode()
    def outputs(self, asked: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the averaged model yields on the rows of these numbers, of every network its own."""
        model, longest = self.averaged(), max(len(each) for each in asked)
        if self._learned.ndim == 1:
            (alone,) = asked
            return [torch.cat([model(self.rows.x[part]) for part in torch.split(alone, HELD_OUT_BATCH)])]
        padded = torch.stack([torch.cat([each, each[:1].expand(longest - len(each))]) for each in asked])
        yielded = model(self.rows.x[padded])
        return [yielded[i, : len(each)] for i, each in enumerate(asked)]
