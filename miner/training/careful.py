"""Trains for rows that nobody has seen: recipes are tried on rows held out, and the best is repeated on all rows.

Small sets are cross-validated, of larger ones a fifth is held out. A trial says after how many epochs to stop; the
model that is yielded has then learned from every row for as long.
"""

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from miner.training.api import Trained, TrainingJob, TrainingProgress
from miner.training.augmentation import augmentation_for
from miner.training.recipes import Apprentice, Loss, Recipe, Rows, Ways, recipes_for
from miner.training.stacked import can_be_stacked, stacked
from miner.training.whitening import HALF, Whitening, foldable_layers, unmixing_of, whitening_of
from pole.task.estimate import estimate_ppm
from pole.task.scores import PPM, Target, form_of, predictions_of, score_ppm

FOLDS = 5
CROSS_VALIDATED_ROWS = 2_000
MOST_EPOCHS = 200
FEWEST_EPOCHS = 5
PATIENCE = 20  # epochs without a better score after which a trial ends
SMOOTHED_EPOCHS = 5  # one epoch's score is noisy, and the best of many noisy ones is a lucky one
TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 5.0)
OF_CONFIDENCE = ("log_loss", "brier")  # metrics for which it matters how sure a network is of itself
LEAST_LOSS_WEIGHT, LOSS_WEIGHT_OF_A_ROW = 0.1, 60.0
TRIAL_SHARE = 0.4  # of the time left; repeating its epochs on all rows takes about as long
LONGER = 3  # times the epochs of the trial, if the target takes that long


@dataclass(frozen=True)
class Trial:
    """What held-out rows say of a recipe. `merits`: smoothed, after each epoch: the score less some of the loss."""

    recipe: Recipe
    merits: list[float]
    epoch_s: float

    @property
    def epochs(self) -> int:
        return 1 + max(range(len(self.merits)), key=self.merits.__getitem__)

    @property
    def merit(self) -> float:
        return max(self.merits)


class CarefulTrainer:
    """One careful run over a job; `run` ends when all recipes are tried or no time is left for another."""

    trial_share = TRIAL_SHARE

    def __init__(self, job: TrainingJob, peak_rate: float, loss: Loss) -> None:
        self.job, self._ways = job, Ways(peak_rate, loss, augmentation_for(job.manifest))
        self._layers = foldable_layers(job.manifest.model)
        self._whitening = self._coordinates()
        x = self._whitening.apply(job.train_x) if self._whitening else job.train_x
        self._rows = Rows(torch.from_numpy(x).to(job.device), torch.from_numpy(job.train_y).to(job.device))
        self._batch_rows = careful_batch_rows(len(job.train_y))
        self._epochs, self.is_qualified = 0, False

    def run(self) -> Iterator[Trained]:
        """Yields a model trained on all rows for every recipe that does better on held-out rows than those before."""
        best = -math.inf
        for recipe in self._recipes():
            trial = self._tried(recipe)
            if trial is None:
                return
            if trial.merit > best and (model := self._repeated(trial)) is not None:
                best = trial.merit
                yield Trained(model, best)

    def _recipes(self) -> Iterator[Recipe]:
        """What to try, in this order."""
        yield from recipes_for(self.job.manifest.model, has_augmentation=self._ways.augment is not None)

    def _is_hopeless(self, _epoch: int, _merit: float) -> bool:
        """Whether a trial should end that has come to this merit after so many epochs."""
        return False

    def _coordinates(self) -> Whitening | None:
        """Unmixed, where the mapping and the model allow it; else half-whitened; else as they are."""
        job = self.job
        if not self._layers:
            return None
        has_bias = all(layer.bias for layer in self._layers)
        found = None
        if job.previous_hash is not None and job.statistics is not None:
            found = unmixing_of(job.train_x, has_bias, job.manifest, job.previous_hash, job.statistics)
        return found or whitening_of(job.train_x, has_bias, HALF)

    # --- trials ------------------------------------------------------------------------------------------------------

    @cached_property
    def _folds(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of rows to learn from and rows held out, stratified; one pair of a large set."""
        number = fold_numbers(self.job.train_y, FOLDS, self.job.seed)
        count = FOLDS if len(number) <= CROSS_VALIDATED_ROWS else 1
        pairs = [(np.flatnonzero(number != i), np.flatnonzero(number == i)) for i in range(count)]
        device = self.job.device
        return [(torch.from_numpy(a).to(device), torch.from_numpy(b).to(device)) for a, b in pairs if len(a) and len(b)]

    def _tried(self, recipe: Recipe) -> Trial | None:
        """The recipe on held-out rows, all folds side by side; None if time is too short to learn anything from it."""
        start_s = self.job.seconds_left()
        budget_s = self.trial_share * start_s
        groups = self._groups(recipe)
        raw: list[float] = []
        for epoch in range(1, MOST_EPOCHS + 1):
            losses = []
            for apprentice, _ in groups:
                if self.job.is_over():
                    return None
                losses.append(apprentice.learn(self._batch_rows))
            if not all(math.isfinite(loss) for loss in losses):
                break
            score, loss = self._held_out(groups)
            if not math.isfinite(loss):
                break
            raw.append(score - loss_weight(len(self._rows.y)) * loss)
            spent_s = start_s - self.job.seconds_left()
            per_epoch_s = spent_s / epoch
            if epoch == 1 and FEWEST_EPOCHS * per_epoch_s >= budget_s:
                return None
            merits = smoothed(raw)
            self._report(epoch, losses, score)
            if epoch - int(np.argmax(merits)) > PATIENCE or spent_s + per_epoch_s > budget_s:
                break
            if self._is_hopeless(epoch, max(merits)):
                break
        return Trial(recipe, smoothed(raw), per_epoch_s) if raw else None

    def _groups(self, recipe: Recipe) -> list[tuple[Apprentice, list[torch.Tensor]]]:
        """Who learns from the folds, and the rows held out from each: one for all, where the model allows it."""
        models = [self._model(i) for i in range(len(self._folds))]
        if len(models) == 1 or not can_be_stacked(self.job.manifest.model):
            pairs = enumerate(zip(models, self._folds, strict=True))
            return [
                (self._apprentice(model, learned, recipe, i), [held_out]) for i, (model, (learned, held_out)) in pairs
            ]
        shortest = min(len(learned) for learned, _ in self._folds)
        learned = torch.stack([learned[:shortest] for learned, _ in self._folds])  # folds differ by a row at most
        held_out = [rows for _, rows in self._folds]
        return [(self._apprentice(stacked(models), learned, recipe, 0), held_out)]

    def _held_out(self, groups: list[tuple[Apprentice, list[torch.Tensor]]]) -> tuple[float, float]:
        """The task's metric, 1 at best, and the loss on rows held out, the means over all folds.

        The loss is at the best temperature: how sure a network is of itself changes no prediction, and few metrics.
        """
        found = []
        for apprentice, held_out in groups:
            for rows, outputs in zip(held_out, apprentice.outputs(held_out), strict=True):
                found.append(self._scored(outputs, self._rows.y[rows]))
        score, *losses = np.mean(found, axis=0).tolist()
        return score, min(losses)

    def _scored(self, outputs: torch.Tensor, y: torch.Tensor) -> list[float]:
        """The metric, and the loss at every temperature; infinite losses if an output is not finite."""
        form = form_of(self.job.metric)
        is_fixed = form.target is Target.QUANTITY or self.job.metric in OF_CONFIDENCE
        temperatures = (1.0,) if is_fixed else TEMPERATURES
        if not bool(torch.isfinite(outputs).all()):
            return [0.0] + [math.inf] * len(temperatures)
        predictions = predictions_of(outputs.double().cpu().numpy(), form)
        score = score_ppm(predictions, y.cpu().numpy(), self.job.metric, outputs.shape[1]) / PPM
        return [score, *(float(self._ways.loss(outputs / temperature, y)) for temperature in temperatures)]

    # --- all rows ----------------------------------------------------------------------------------------------------

    def _repeated(self, trial: Trial) -> nn.Module | None:
        """The recipe on all rows: for the trial's epochs, and on while the target is not reached."""
        everything = torch.arange(len(self._rows.y), device=self.job.device)
        apprentice = self._apprentice(self._model(FOLDS), everything, trial.recipe, FOLDS)
        for epoch in range(1, LONGER * trial.epochs + 1):
            if self.job.is_over():
                if epoch == 1:
                    return None
                break
            loss = apprentice.learn(self._batch_rows)
            if epoch < trial.epochs:
                continue
            model = apprentice.averaged()
            train_ppm = estimate_ppm(model, self._rows.x, self._rows.y, self.job.metric, self.job.device)
            self.job.report(TrainingProgress(self._epochs, self._epochs, loss, train_ppm))
            if train_ppm >= self.job.target_ppm:
                self.is_qualified = True
                break
        return self._folded(apprentice.averaged())

    def _model(self, number: int) -> nn.Module:
        """Untrained, for rows as `_coordinates` has them."""
        torch.manual_seed(self.job.seed + number)
        model = self.job.new_model().to(self.job.device)
        for layer in self._layers:
            linear = model.get_submodule(layer.name)
            assert isinstance(linear, nn.Linear)
            if self._rows.x.shape[1] != linear.in_features:
                wider = nn.Linear(self._rows.x.shape[1], linear.out_features, layer.bias, device=self.job.device)
                model._modules[layer.name] = wider
        return model

    def _apprentice(self, model: nn.Module, learned: torch.Tensor, recipe: Recipe, number: int) -> Apprentice:
        return Apprentice(model, self._rows, learned, recipe, self._ways, self.job.seed + number)

    def _folded(self, model: nn.Module) -> nn.Module:
        """The model on plain features, on the CPU."""
        folded = copy.deepcopy(model).cpu()
        for layer in self._layers:
            if self._whitening is not None:
                folded = self._whitening.fold(folded, layer.name)
        return folded

    def _report(self, epoch: int, losses: list[float], score: float) -> None:
        self._epochs += 1
        held_out_ppm = round(score * PPM)
        self.job.report(TrainingProgress(self._epochs, epoch, sum(losses) / len(losses), held_out_ppm, True))


def careful_batch_rows(rows: int) -> int:
    """Many small steps for small sets, fewer for large ones."""
    return next(size for limit, size in ((2_000, 32), (10_000, 64), (math.inf, 128)) if rows <= limit)


def loss_weight(rows: int) -> float:
    """Of the loss beside the metric: it tells models apart that score alike, and a score of few rows is mostly luck."""
    return max(LEAST_LOSS_WEIGHT, LOSS_WEIGHT_OF_A_ROW / math.sqrt(rows))


def fold_numbers(y: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for every row: each class (or range of values) is dealt out in turn, in a random order."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(y))
    dealt = shuffled[np.lexsort(y[shuffled].reshape(len(y), -1).T)]
    number = np.empty(len(y), dtype=np.int64)
    number[dealt] = np.arange(len(y)) % folds
    return number


def smoothed(values: list[float]) -> list[float]:
    """The mean of each value and its neighbours, as far as there are any."""
    half = SMOOTHED_EPOCHS // 2
    sums = [0.0, *itertools.accumulate(values)]
    spans = [(max(0, i - half), min(len(values), i + half + 1)) for i in range(len(values))]
    return [(sums[stop] - sums[start]) / (stop - start) for start, stop in spans]
