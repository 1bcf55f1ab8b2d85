"""Exact evaluation with torch, on CPUs and GPUs: the fast implementation of docs/exact-evaluation.md.

Shares no code with the plain numpy reference beside it, so that each checks the other.
"""

from pole.exact.fast.network import ExactNetwork
from pole.exact.fast.preparation import prepare

__all__ = ["ExactNetwork", "prepare"]
