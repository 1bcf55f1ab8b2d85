"""Exact scores of a task's models, as its manifest defines them. Needs no torch."""

from pole.exact.model import ExactModel, read_model
from pole.exact.plan import Plan, plan_model
from pole.task.manifest import Manifest
from pole.task.scores import Form, Integers, form_of, score_ppm


def plan_of(manifest: Manifest) -> Plan:
    """The layers of the task's model. Raises ManifestInvalid."""
    return plan_model(manifest.model, manifest.feature_shape, manifest.outputs)


def has_raw_features(manifest: Manifest) -> bool:
    """Whether the features are the mapped integers themselves."""
    return manifest.mapping.normalisation == "none"


def form_of_task(manifest: Manifest) -> Form:
    """What the task's metric looks at, and what its roots bind."""
    return form_of(manifest.metric)


def model_of(manifest: Manifest, content: bytes) -> ExactModel:
    """A model file of the task. Raises ModelInvalid unless it fits the manifest, and is finite."""
    return read_model(content, plan_of(manifest), has_raw_features(manifest))


def task_score_ppm(manifest: Manifest, predictions: Integers, labels: Integers) -> int:
    """The task's metric over all rows, floored. Source: PoLe, Algorithm 2 (CalcAccuracy)"""
    return score_ppm(predictions, labels, manifest.metric, manifest.outputs)
