"""A stand-in for training, so that only the chain and the loops are under load: a tiny task, solved at once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dataclient.drafting.template import render
from dataclient.sources.load import SourceOptions
from dataclient.task_file import Encryption, TaskFile, TermsSection
from miner.training.api import TrainingJob, TrainingProgress
from pole.task.manifest import DenseMapping, Discretisation, GraphModel, Linear
from pole.task.scores import form_of, predictions_of, score_ppm

REQUIRED_PPM = 400_000
_VECTORS, _BITS, _LARGEST = 8, 6, 8.0
_NOISE = 1e-3


def train(job: TrainingJob) -> Iterator[nn.Module]:
    """The nearest class mean as one linear layer, a little different for each seed: no two miners commit to one model.

    For `python -m miner run --trainer benchmarks.load.standin:train`.
    """
    model = job.new_model()
    weight, bias = model.parameters()
    means = np.stack([job.train_x[job.train_y == label].mean(axis=0) for label in range(len(bias))])
    noise = np.random.default_rng(job.seed).normal(0, _NOISE, means.shape)
    with torch.no_grad():
        weight.copy_(torch.from_numpy(means + noise))
        bias.copy_(torch.from_numpy(-0.5 * (means**2).sum(axis=1)))
    # Not by running the model: a load run's miners are threads, and one of them may be tracing another.
    logits = job.train_x @ weight.detach().numpy().T + bias.detach().numpy()
    predicted = predictions_of(logits.astype(np.float64), form_of(job.metric))
    job.report(TrainingProgress(1, 1, 0.0, score_ppm(predicted, job.train_y, job.metric, len(bias))))
    yield model


def write_task(path: Path, solutions_wanted: int, time_limit_s: int) -> Path:
    """A task file over Iris in the clear, with the file's stem as its name."""
    terms = {"reward_ether": "1", "time_limit_s": time_limit_s, "required_train_ppm": REQUIRED_PPM}
    task = TaskFile(
        name=path.stem,
        data=SourceOptions(source="sklearn:iris"),
        discretisation=Discretisation(bits=_BITS, minimum=[0.0], maximum=[_LARGEST]),
        mapping=DenseMapping(vectors=_VECTORS),
        model=GraphModel(layers=[Linear(name="classes", size=3)]),
        encryption=Encryption(scheme="none"),
        terms=TermsSection.model_validate(terms | {"solutions_wanted": solutions_wanted}),
    )
    path.write_text(render(task, ["a task to load the chain with"]))
    return path
