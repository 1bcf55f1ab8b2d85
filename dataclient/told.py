"""What commands say in the end, a line each."""

from pathlib import Path

from dataclient.bundle import Bundle
from dataclient.predict import Tally


def prediction_lines(tally: Tally, bundle: Bundle, out: Path) -> list[str]:
    """What was told while rows were read, how many were predicted, and how well."""
    lines = [*tally.notes, f"wrote {tally.rows} predictions to {out}"]
    if tally.accuracy is not None:
        lines.append(f"accuracy {100 * tally.accuracy:.2f} %")
    manifest = bundle.description.manifest
    score = None if manifest.metric == "accuracy" else tally.score_ppm(manifest)
    if score is not None:
        lines.append(f"{manifest.metric} {_percent(score)}")
    if tally.clipped:
        share = f"{100 * tally.clipped_fraction:.1f} % of the values lay outside the range of the training data"
        lines.append(f"{share}; {tally.far_rows} row(s) far outside, named in far_outside")
    return lines


def model_lines(bundle: Bundle) -> list[str]:
    """Whose model it is, and how its scores compare with the vote."""
    description, origin = bundle.description, bundle.description.origin
    metric = description.manifest.metric.replace("_", " ")
    return [
        f"model {description.model}, by {origin.winner}, block {origin.height}",
        f"train {metric} {_compared(description.own_train_ppm, origin.voted_train_ppm)}",
        f"test {metric}  {_compared(description.own_test_ppm, origin.voted_test_ppm)}",
    ]


def _compared(own_ppm: int, voted_ppm: int) -> str:
    """Evaluation is exact, so on the same rows the two are equal, or somebody did not tell the truth."""
    if own_ppm == voted_ppm:
        return f"{_percent(own_ppm)}, the same as the verifiers voted, to the row"
    return (
        f"{_percent(own_ppm)}, but the verifiers voted {_percent(voted_ppm)}: they judged other rows, or voted falsely"
    )


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"
