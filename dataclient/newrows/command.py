"""`predict`, which needs no chain."""

from pathlib import Path
from typing import Any

import click

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("predict")
@click.argument("bundle_dir", type=click.Path(file_okay=False, path_type=Path))
@click.argument("rows", type=click.Path(path_type=Path))
@click.option(
    "--out", type=_FILE, default=Path("predictions.csv"), show_default=True, help=".csv, .parquet, or - (stdout)."
)
@click.option(
    "--label", help="Column or array with the true class, labels or quantity, to score by.  [default: as in training]"
)
@click.option("--id", "identity", help="Column that is carried through to the predictions.")
@click.option("--encoding", help="Of a text file.  [default: found out]")
@click.option("--delimiter", help="Between the columns of a text file.  [default: found out]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def predict_command(bundle_dir: Path, rows: Path, *, out: Path, force: bool, **given: Any) -> None:
    """Predict plain ROWS with a model from fetch-model: a table, an .npz file, an image or a folder of images.

    Columns may come in any order; those that the model does not use are ignored, and rows keep their order. Rows are
    read as the training rows were.
    """
    from dataclient.bundle import read_bundle
    from dataclient.newrows.read import new_rows
    from dataclient.newrows.rows import Wanted
    from dataclient.predict import Tally, predict
    from dataclient.predictions import STANDARD_OUTPUT, check_out, write_predictions
    from dataclient.told import prediction_lines

    bundle, tally = read_bundle(bundle_dir), Tally()
    check_out(out, rows, is_overwriting=force)
    found = predict(bundle, new_rows(rows, bundle, Wanted(**given)), tally)
    write_predictions(out, bundle, found, is_overwriting=force)
    for line in prediction_lines(tally, bundle, out):
        click.echo(line, err=out == STANDARD_OUTPUT)
