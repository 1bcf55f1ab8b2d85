"""The usual participants of a gradient test: miners and verifiers as real processes, tasks that take seconds."""

import csv
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataclient.gradient.submit import submit_order
from dataclient.gradient.task_folder import GradientOrder
from dataclient.sources.load import SourceOptions
from pole.chain.client import ChainClient
from pole.chain.contracts import GradientChain
from pole.chain.gradient_structs import GradientHeader, GradientTask, Height, HeightPhase
from pole.errors import TransactionReverted
from pole.journal.journal import Journal
from pole.node.context import context_of
from testbed.processes import Actor
from tests.e2e.scripted import Participant
from tests.e2e.site import development_account
from tests.e2e.tasks import LABEL, write_rows
from tests.e2e.world import World

MINE = ["gradient", "run", "--device", "cpu", "--threads", "1", "--check-steps", "20"]
VERIFY = ["run", "--stake", "2"]
REWARD_WEI = 10**16
STEPS = 150


@dataclass
class GradientCompany:
    """A world with a client, two miners and two verifiers of equal stake. Tests start the miners that they need."""

    world: World
    client: Actor
    miners: list[Actor]
    verifiers: list[Actor]
    is_orderly: bool = True

    @property
    def gradient_chain(self) -> GradientChain:
        return GradientChain(self.world.chain)

    def gather(self, *miners: Actor) -> None:
        """Start the verifiers and these miners, unless they run, and wait for seats and enrolments."""
        for actor in (*miners, *self.verifiers):
            if not self.world.is_running(actor):
                self.world.start(actor, *(MINE if actor.role == "miner" else VERIFY))
        seats = {verifier.address for verifier in self.verifiers}
        self.world.until("the verifiers' seats", lambda: seats <= set(self.world.contracts.verifier_committee.seated()))
        enrolled = [miner.address for miner in miners]
        self.once("enrolments", lambda: all(self.gradient_chain.miner(address).bond_wei for address in enrolled))

    def dismiss(self) -> None:
        """End all miners: the next test starts those that it needs."""
        for miner in self.miners:
            if self.world.is_running(miner):
                self.world.kill(miner)

    def commission(self, name: str, **changes: Any) -> int:
        """What `dataclient gradient submit` does, without the time that it takes to start; returns the task's id."""
        world = self.world
        chain = ChainClient.connect(world.site.rpc_url, world.site.deployment, poll_s=0.1)
        account = development_account(world.number(self.client))
        path = self.client.home / f"journal-{world.site.deployment.identity}.sqlite"
        with Journal(path, is_exclusive=False) as journal:
            context = context_of("dataclient", chain, account, journal, world.site.store, self.client.home)
            return submit_order(context, self.order(name, **changes))[0].task_id

    def order(self, name: str, **changes: Any) -> GradientOrder:
        """A small task on clusters that a hidden layer separates in a few hundred steps."""
        rows = self.world.folder / "rows.csv"
        given = {
            "name": name,
            "data": SourceOptions(source=str(rows if rows.exists() else write_rows(rows)), label=LABEL),
            "block_count": 1,
            "block_reward_wei": REWARD_WEI,
            "target_interval_s": 1,
            "learning_rate": 0.01,
            "steps_per_block": STEPS,
            "check_steps": 100,
        }
        return GradientOrder.model_validate({**given, **changes})

    # --- waiting -----------------------------------------------------------------------------------------------------

    def in_phase(self, task_id: int, phase: HeightPhase, patience_s: float = 60.0) -> Height:
        """Wait until the task's height is in a phase."""

        def look() -> Height | None:
            current = self.gradient_chain.current()
            return current if current.task_id == task_id and current.phase is phase else None

        return self.world.until(f"task {task_id} to be in phase {phase.name}", look, patience_s)

    def ended(self, task_id: int, patience_s: float = 90.0) -> GradientTask:
        """Wait until the task is over."""

        def look() -> GradientTask | None:
            task = self.gradient_chain.task(task_id)
            return task if task.state.is_over else None

        return self.world.until(f"task {task_id} to end; {self.gradient_chain.current()}", look, patience_s)

    def once(self, what: str, look: Callable[[], bool], patience_s: float = 60.0) -> None:
        self.world.until(what, look, patience_s)

    def blocks_of(self, task_id: int) -> list[GradientHeader]:
        """The opening block first."""
        headers = [self.gradient_chain.header(height) for height in range(1, self.gradient_chain.height() + 1)]
        return [header for header in headers if header.task_id == task_id]


class ScriptedMiner(Participant):
    """Enrols and proposes as told."""

    @property
    def gradient(self) -> GradientChain:
        return GradientChain(self.chain)

    def enrol(self) -> None:
        if not self.gradient.miner(self.address).bond_wei:
            self.send("GradientChain", "enrol", value_wei=self.gradient.parameters().miner_bond_wei)

    def open_task(self) -> None:
        """Unless somebody else was faster."""
        with suppress(TransactionReverted):
            self.send("GradientChain", "openTask")

    def propose(self, height: int, step: int, digest: int, proof: Any, weights: Any) -> None:
        previous_hash = self.contracts.gradient_chain.header_hash(height - 1)
        self.send("GradientChain", "propose", height, previous_hash, step, digest, proof, weights)


def found(folder: Path) -> GradientCompany:
    """Nobody runs yet."""
    world = World(folder)
    miners = [world.actor(f"miner-{n}", "miner", number) for n, number in ((1, 2), (2, 4))]
    verifiers = [world.actor(f"verifier-{n}", "verifier", number) for n, number in ((1, 17), (2, 3))]
    return GradientCompany(world, world.actor("client", "dataclient", 1), miners, verifiers)


def write_pictures(path: Path, *, rows: int = 48, side: int = 16) -> Path:
    """An .npz of colour pictures of two kinds, bright above or bright below."""
    rng = np.random.default_rng(3)
    y = np.arange(rows) % 2
    x = rng.integers(0, 100, (rows, 3, side, side))
    half = side // 2
    for picture, kind in zip(x, y, strict=True):
        picture[:, kind * half : (kind + 1) * half] += 120
    np.savez(path, x=x.astype(np.uint8), y=y)
    return path


def read_table(text: str) -> list[list[str]]:
    """Cells of what `gradient status` prints."""
    return [row for row in csv.reader(line.replace("│", ",") for line in text.splitlines()) if len(row) > 2]
