"""Exact evaluation: predictions and scores that are the same bits on every machine, in plain numpy.

What it computes is specified in docs/exact-evaluation.md; this is the reference, and needs no torch.
"""

from pole.exact.model import ExactModel, read_model
from pole.exact.plan import Plan, plan_model
from pole.exact.scores import score_ppm

__all__ = ["ExactModel", "Plan", "plan_model", "read_model", "score_ppm"]
