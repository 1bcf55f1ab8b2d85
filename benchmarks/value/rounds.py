"""The same as in bulk through real rounds on anvil: init, submit, default miners, a verifier, fetch-model."""

import argparse
import csv
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.value.bulk import given_away, plain_scores
from benchmarks.value.sets import ValueSet
from dataclient.sources.load import load_source, training_and_test
from dataclient.sources.plain import PlainData, Split
from dataclient.task_file import read_task_file
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from scripts.demo.report import gas_of_run
from testbed.chain import development_chain
from testbed.markdown import markdown_table
from testbed.processes import Actor, DemoFailed, Stage, stage

HEADER = ("set", "split", "linear", "boosting", "commissioned", "gap", "given away", "seconds", "gas of all")
SPLITS, MINERS = 3, 2
CHAIN_ID = 1337  # what ape takes a network by address for
POLL_S, PATIENCE_S = 1.0, 1_200.0
TEST_SCORE = re.compile(r"^test \w+\s+([\d.]+) %", re.MULTILINE)


def played(sets: list[ValueSet], given: argparse.Namespace) -> bool:
    """Prints a line per round as it ends; whether all reach their target."""
    folder = Path(tempfile.mkdtemp(prefix="pole-value-"))
    try:
        with development_chain("anvil", chain_id=CHAIN_ID) as chain, stage(folder, chain) as built:
            built.deploy()
            return _play(built, sets, given)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _play(built: Stage, sets: list[ValueSet], given: argparse.Namespace) -> bool:
    client, verifier = built.actor("client", "dataclient", 1), built.actor("verifier", "verifier", 2)
    miners = [built.actor(f"miner-{n}", "miner", 2 + n) for n in range(1, MINERS + 1)]
    built.start(["verifier", "run", "--stake", "2"], verifier)
    built.start(["dataclient", "serve"], client)
    for seed, miner in enumerate(miners, start=1):
        built.start(["miner", "run", "--device", "cpu", "--threads", "1", "--seed", str(seed)], miner)
    lines, is_reached = [], True
    for each in sets:
        source = _written(built.folder, each.name, each.load(given.data_dir))
        gaps = []
        for seed in range(given.splits or SPLITS):
            line, gap = _commissioned(built, client, source, f"{each.name}-{seed}", seed, given)
            print(" | ".join(line), flush=True)
            lines.append(line)
            gaps.append(gap)
        is_reached &= float(np.mean(gaps)) >= -each.tolerance
    print("\n" + markdown_table(list(HEADER), lines))
    return is_reached


def _written(folder: Path, name: str, data: PlainData) -> list[str]:
    """A file as a client has it, and the options that say how to read it."""
    if not data.has_columns:
        np.savez(folder / f"{name}.npz", x=data.x, y=np.array(data.class_names)[data.labels])
        return [str(folder / f"{name}.npz")]
    assert data.feature_names is not None
    with (folder / f"{name}.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*data.feature_names, "the label"])
        for row, label in zip(data.x.tolist(), _labels(data), strict=True):
            table.writerow([*row, label])
    options = ["--label", "the label"]
    return [str(folder / f"{name}.csv"), *options, *(["--target", "quantity"] if data.quantity_names else [])]


def _labels(data: PlainData) -> list[Any]:
    if data.quantity_names:
        return list(data.labels[:, 0].tolist())
    return [data.class_names[label] for label in data.labels.tolist()]


def _commissioned(
    built: Stage, client: Actor, source: list[str], name: str, seed: int, given: argparse.Namespace
) -> tuple[list[str], float]:
    """One round: the default proposal but for the time limit."""
    start, file = time.monotonic(), built.folder / f"{name}.toml"
    options = ["--seed", str(seed), "--time-limit", str(round(given.seconds)), "--protect", given.protect]
    built.run(["dataclient", "init", *source, "--name", name, "--out", str(file), *options])
    task = read_task_file(file).task
    training, test = training_and_test(load_source(task.data), task.data)
    chain = ChainClient.connect(built.chain.rpc_url, Deployment.load(built.deployment))
    before = _gas(chain)
    rounds = Contracts.of(chain).learning_chain.round_count()
    built.run(["dataclient", "submit", str(file)], client)
    _until_over(built, chain, rounds + 1)
    said = built.run(["dataclient", "fetch-model", name, "--out", str(built.folder / f"{name}-model")], client)
    found = TEST_SCORE.search(said)
    if found is None:
        raise DemoFailed(f"fetch-model of {name} names no test score:\n{said}")
    score = float(found[1])
    linear, boosting = plain_scores(Split(training, test))
    gap = score - max(linear, boosting)
    scores = [f"{value:.1f}" for value in (linear, boosting, score)]
    share = f"{100 * given_away(task, training.x[0].size):.0f} %"
    spent = [f"{time.monotonic() - start:.0f}", f"{_gas(chain) - before:,}"]
    return [name.rpartition("-")[0], str(seed), *scores, f"{gap:+.1f}", share, *spent], gap


def _gas(chain: ChainClient) -> int:
    return sum(sum(amounts) for amounts in gas_of_run(chain).succeeded.values())


def _until_over(built: Stage, chain: ChainClient, round_id: int) -> None:
    """Waits for the round to end. Raises DemoFailed if a role ends first, or nothing happens for long."""
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE_S:
        if failed := built.failed():
            raise DemoFailed(f"{failed[0]} ended with an error; see its log")
        latest = Contracts.of(chain).learning_chain.latest_round()
        if latest is not None and latest.round_id >= round_id and latest.phase.is_over:
            return
        time.sleep(POLL_S)
    raise DemoFailed(f"round {round_id} did not end within {PATIENCE_S:.0f} s")
