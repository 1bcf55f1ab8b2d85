"""Encrypted tasks whose rows have quantities or labels, from the rows to the prediction, by the command lines."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pole.chain.structs import Phase, TaskState
from tests.e2e.company import Company

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FEATURES, LABELS = 8, ("big", "red", "round")
PROBABILITIES = [f"probability {name}" for name in LABELS]


def write(path: Path, seed: int, rows: int, target: str) -> Path:
    """A CSV of features and, in the last column, what is linear in them."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, FEATURES))
    price = 500 + 100 * x @ np.arange(1, FEATURES + 1) / FEATURES + random.normal(size=rows)
    tags = ["|".join(name for name, value in zip(LABELS, row, strict=False) if value > 0) for row in x]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(FEATURES)), target])
        last = tags if target == "tags" else [f"{value:.2f}" for value in price]
        writer.writerows([*(f"{value:.4f}" for value in row), cell] for row, cell in zip(x, last, strict=True))
    return path


@pytest.mark.parametrize(
    ("target", "column", "metric", "required_ppm", "header"),
    [
        ("quantity", "price", "rmse", 250_000, ["row", "price [EUR]", "far_outside"]),
        ("labels", "tags", "multilabel_f1", 600_000, ["row", "labels", "far_outside", *PROBABILITIES]),
        pytest.param(
            *("labels", "tags", "multilabel_accuracy", 600_000, ["row", "labels", "far_outside", *PROBABILITIES]),
            marks=pytest.mark.full,
        ),
    ],
)
def test_round__quantities_or_labels__model_of_the_block_predicts_them(
    company: Company, target: str, column: str, metric: str, required_ppm: int, header: list[str]
) -> None:
    world, stage, folder = company.world, company.world.stage, company.world.folder
    company.gather()
    name = f"{metric}-task"
    rows, file = write(folder / f"{name}.csv", 1, 200, column), folder / f"{name}.toml"
    command = ["dataclient", "init", str(rows), "--label", column, "--target", target, "--metric", metric]
    command += ["--unit", "EUR"] if target == "quantity" else []
    command += ["--out", str(file), "--name", name, "--vectors", "7", "--time-limit", "20"]
    stage.run([*command, "--required-train-ppm", str(required_ppm)])
    said = stage.run(["dataclient", "submit", str(file)], company.client)
    task_id = world.contracts.task_market.task_count()
    assert f"is now task {task_id}" in said
    world.until("the miner's commit", lambda: world.has_committed(task_id, company.miner))
    world.pass_deadline(world.in_phase(task_id, Phase.TRAINING).deadline)  # commits stay open until time is up
    ended = world.ended(task_id)
    assert ended.phase is Phase.FINALISED
    assert world.contracts.task_market.task(task_id).state is TaskState.SOLVED
    block = world.contracts.block_ledger.header(ended.height)
    assert block.train_ppm >= required_ppm
    bundle, out = folder / f"{name}-model", folder / f"{name}-predictions.csv"
    report = stage.run(["dataclient", "fetch-model", name, "--out", str(bundle)], company.client)
    assert (
        f"test {metric.replace('_', ' ')}  {block.test_ppm / 10_000:.2f} %, the same as the verifiers voted" in report
    )
    audited = stage.run(["dataclient", "audit", name], company.client)
    assert audited.count("every prediction is as the committee found it") == 2
    new = write(folder / f"{name}-new.csv", 2, 50, column)
    said = stage.run(["dataclient", "predict", str(bundle), str(new), "--label", column, "--out", str(out)])
    assert f"wrote 50 predictions to {out}" in said
    score = float(said.split(f"{metric} ")[1].split(" %")[0])
    assert score > required_ppm / 10_000 / 2
    with out.open(newline="") as written:
        found = list(csv.reader(written))
    assert found[0] == header
    assert len(found) == 51
    if target == "quantity":
        assert 300 < np.mean([float(row[1]) for row in found[1:]]) < 700
