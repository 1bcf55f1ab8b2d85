"""The default training method. To the target: AdamW under a cosine schedule with warm restarts, on half-whitened
features. Beyond it: `miner.training.careful`.

All data lives on the device; on CUDA, larger models train in bfloat16. What is yielded is always a plain float32 model
on the CPU, with the whitening folded into its first layer.
"""

import copy
import itertools
import math
import time
from collections.abc import Iterator

import structlog
import torch
from torch import nn

from miner.training.api import Trained, TrainingJob, TrainingProgress
from miner.training.augmentation import augmentation_for
from miner.training.careful import CarefulTrainer
from miner.training.checkpoint import forget, load_checkpoint, save_checkpoint
from miner.training.losses import loss_for
from miner.training.whitening import HALF, foldable_layers, is_exact, whitening_of
from pole.task.estimate import estimate_ppm
from pole.task.manifest import TorchvisionModel

MIN_STEPS_PER_MEASUREMENT = 25
SECONDS_PER_CHECKPOINT = 15.0
FIRST_CYCLE_STEPS = 400
FIRST_CYCLE_EPOCHS = 5
LOWEST_RATE_SHARE = 0.02
WEIGHT_DECAY = 0.01
GRADIENT_NORM = 1.0
QUICK_SHARE = 0.2  # of the time, if the target takes that long
BFLOAT16_FROM_PARAMETERS = 1_000_000
EXACTNESS_ROWS = 512

log = structlog.get_logger()

# The first optimizer loads torch's compiler, which takes a second. A miner imports this before any clock runs.
torch.optim.AdamW([nn.Parameter(torch.zeros(1))])


def train(job: TrainingJob) -> Iterator[nn.Module | Trained]:
    """Reaches the target first, then trains for rows that nobody has seen; time that is left goes to the target."""
    yield from train_and_then(job, CarefulTrainer)


def train_and_then(job: TrainingJob, kind: type[CarefulTrainer]) -> Iterator[nn.Module | Trained]:
    """`kind` of trainer is for the rows that nobody has seen."""
    quick = DefaultTrainer(job)
    start_s, is_qualified = job.seconds_left(), False
    for model in quick.run():
        yield model
        is_qualified = quick.best_ppm >= job.target_ppm
        if is_qualified or job.is_over() or job.seconds_left() < (1 - QUICK_SHARE) * start_s:
            break
    careful = kind(job, quick.peak_rate, quick.loss)
    yield from careful.run()
    if not is_qualified and not careful.is_qualified:
        yield from quick.run()


class DefaultTrainer:
    """The state of one training run; `run` may be stopped after any yield."""

    def __init__(self, job: TrainingJob) -> None:
        torch.manual_seed(job.seed)
        self.job = job
        self.layers = foldable_layers(job.manifest.model)
        has_bias = all(layer.bias for layer in self.layers)
        self.whitening = whitening_of(job.train_x, has_bias, HALF) if self.layers else None
        features = self.whitening.apply(job.train_x) if self.whitening else job.train_x
        self.x = torch.from_numpy(features).to(job.device)
        self.y = torch.from_numpy(job.train_y).to(job.device)
        self.model = job.new_model().to(job.device)
        self.loss = loss_for(job.metric, self.y, job.manifest.outputs)
        self.augment = augmentation_for(job.manifest)
        self.generator = torch.Generator().manual_seed(job.seed)
        self.batch_rows = batch_rows(len(self.y), job.device)
        self.peak_rate, self.is_half_precision = peak_rate(job), is_half_precision(self.model, job.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
        self.schedule = Schedule(len(self.y) // self.batch_rows + 1)
        self.step = load_checkpoint(job.checkpoint_path, self.model, self.optimizer)
        self.best_ppm, self.best_state = -1, copy.deepcopy(self.model.state_dict())

    def run(self) -> Iterator[nn.Module]:
        saved_at, losses = time.monotonic(), []
        for epoch in itertools.count(1):
            for batch in self._batches():
                if self.job.is_over():
                    yield self._finished()
                    return
                losses.append(self._train_on(batch))
            if len(losses) < MIN_STEPS_PER_MEASUREMENT:
                continue
            is_enough = self._measure(epoch, float(torch.stack(losses).mean()))
            losses = []
            if is_enough or time.monotonic() - saved_at > SECONDS_PER_CHECKPOINT:
                save_checkpoint(self.job.checkpoint_path, self.model, self.optimizer, self.step)
                yield self._finished()
                saved_at = time.monotonic()

    def _batches(self) -> Iterator[torch.Tensor]:
        """Shuffled row numbers; a last short batch is left out (batch statistics of a single row do not exist)."""
        order = torch.randperm(len(self.y), generator=self.generator).to(self.job.device)
        batches = torch.split(order, self.batch_rows)
        return iter(batches[:-1] if len(batches) > 1 and len(batches[-1]) < self.batch_rows else batches)

    def _train_on(self, batch: torch.Tensor) -> torch.Tensor:
        """One step of gradient descent; returns the loss, still on the device."""
        self.model.train()
        x = self.x[batch] if self.augment is None else self.augment(self.x[batch], self.generator)
        with torch.autocast(self.job.device.type, dtype=torch.bfloat16, enabled=self.is_half_precision):
            loss = self.loss(self.model(x).float(), self.y[batch])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak_rate * self.schedule.share(self.step, self.job.seconds_left())
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _measure(self, epoch: int, loss: float) -> bool:
        """Whether the model now reaches the target; remembers the best, and goes back to it if training diverged."""
        if not math.isfinite(loss):
            self.model.load_state_dict(self.best_state)
            forget(self.optimizer)
            return False
        train_ppm = estimate_ppm(self.model, self.x, self.y, self.job.metric, self.job.device)
        self.job.report(TrainingProgress(epoch, self.step, loss, train_ppm))
        if train_ppm > self.best_ppm:
            self.best_ppm, self.best_state = train_ppm, copy.deepcopy(self.model.state_dict())
        return self.best_ppm >= self.job.target_ppm

    def _finished(self) -> nn.Module:
        """The best model so far on plain features: whitening folded in, on the CPU."""
        if self.best_ppm < 0:  # time was up before anything was measured
            self.best_state = self.model.state_dict()
        model = copy.deepcopy(self.model).cpu()
        model.load_state_dict(self.best_state)
        if self.whitening is None:
            return model
        folded = model
        for layer in self.layers:
            folded = self.whitening.fold(folded, layer.name)
        sample = self.job.train_x[:EXACTNESS_ROWS]
        if not is_exact(model, folded, sample, self.whitening):
            log.warning("folding the whitening moved the outputs; the folded model is judged as it is")
        return folded


class Schedule:
    """Cosine decay in cycles, each twice as long as the one before, and always done when time is up."""

    def __init__(self, steps_per_epoch: int) -> None:
        self.cycle_start = 0
        self.cycle_steps = max(FIRST_CYCLE_STEPS, FIRST_CYCLE_EPOCHS * steps_per_epoch)
        self.cycle_started_s = time.monotonic()

    def share(self, step: int, seconds_left: float) -> float:
        """Share of the peak rate for this step."""
        if step - self.cycle_start >= self.cycle_steps:
            self.cycle_start, self.cycle_steps, self.cycle_started_s = step, 2 * self.cycle_steps, time.monotonic()
        elapsed = time.monotonic() - self.cycle_started_s
        by_steps = (step - self.cycle_start) / self.cycle_steps
        by_time = elapsed / max(elapsed + seconds_left, 1e-9)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(by_steps, by_time))))
        return LOWEST_RATE_SHARE + (1 - LOWEST_RATE_SHARE) * cosine


def is_half_precision(model: nn.Module, device: torch.device) -> bool:
    """Small models spend their time on launching kernels; bfloat16 does not help them."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return device.type == "cuda" and parameters >= BFLOAT16_FROM_PARAMETERS


def batch_rows(rows: int, device: torch.device) -> int:
    """Small enough for some ten steps per epoch, large enough to keep the device busy."""
    most = 512 if device.type == "cuda" else 128
    return max(1, min(most, max(16, rows // 12), rows))


def peak_rate(job: TrainingJob) -> float:
    """Deep networks without normalisation (VGG-16) diverge at rates that suit all the others."""
    spec = job.manifest.model
    if isinstance(spec, TorchvisionModel):
        return 2e-4 if spec.architecture == "vgg16" else 1e-3
    is_deep = sum(layer.type in ("linear", "conv2d") for layer in spec.layers) > 6
    has_norm = any(layer.type in ("batch_norm", "layer_norm") for layer in spec.layers)
    return 5e-4 if is_deep and not has_norm else 3e-3
