"""Scores of predicted labels, any number of which belong to a row. Source: docs/exact-evaluation.md, Scores of labels

predictions and labels: 0 or 1, [n, labels].
"""

from pole.task.integers import PPM, Integers, floored_mean


def multilabel_accuracy(predictions: Integers, labels: Integers, _outputs: int) -> int:
    """The share of all pairs of a row and a label that are right."""
    return int((predictions == labels).sum()) * PPM // labels.size


def multilabel_f1(predictions: Integers, labels: Integers, _outputs: int) -> int:
    """The mean F1 over the labels that some row has or is predicted to have; 1 if there is no such label."""
    hits = (predictions & labels).sum(axis=0).tolist()
    counts = (predictions + labels).sum(axis=0).tolist()
    fractions = [(2 * hit, count) for hit, count in zip(hits, counts, strict=True) if count]
    return floored_mean(fractions) if fractions else PPM
