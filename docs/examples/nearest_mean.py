"""A miner's own training method: classify by the nearest class mean, as the weights of a single linear layer.

`|x - m|^2 = |x|^2 - 2 <m, x> + |m|^2`, so the nearest mean has the largest `<m, x> - |m|^2 / 2`.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from miner.training.api import TrainingJob, TrainingProgress
from pole.task.estimate import estimate_ppm


def train(job: TrainingJob) -> Iterator[nn.Module]:
    """Yields one model; suits specifications of exactly one linear layer with a bias."""
    model = job.new_model()
    weight, bias = model.parameters()  # raises ValueError for any other specification
    means = np.stack([job.train_x[job.train_y == label].mean(axis=0) for label in range(len(bias))])
    with torch.no_grad():
        weight.copy_(torch.from_numpy(means))
        bias.copy_(torch.from_numpy(-0.5 * (means**2).sum(axis=1)))
    job.report(TrainingProgress(1, 1, 0.0, estimate_ppm(model, job.train_x, job.train_y, job.metric)))
    yield model
