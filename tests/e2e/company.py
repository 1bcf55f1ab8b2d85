"""The usual participants of an end-to-end test, each a real process."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.processes import Actor
from tests.e2e.world import World

_MINER = ["run", "--device", "cpu", "--threads", "1", "--seed", "1", "--trainer", "testbed.patient:train"]
SHOWN = pytest.StashKey[World]()
"""Whose logs a failed test shows."""
COMMANDS = {"dataclient": ["serve"], "miner": _MINER, "verifier": ["run", "--stake", "2"]}


@dataclass
class Company:
    """A world with a data client, a miner and two verifiers of equal stake, all real processes."""

    world: World
    client: Actor
    miner: Actor
    verifiers: list[Actor]
    is_orderly: bool = True

    @property
    def actors(self) -> list[Actor]:
        return [self.client, self.miner, *self.verifiers]

    def gather(self, but: Actor | None = None) -> None:
        """Start whoever is missing, and wait until the verifiers have their seats."""
        for actor in self.actors:
            if actor != but and not self.world.is_running(actor):
                self.world.start(actor, *COMMANDS[actor.role])
        seats = {verifier.address for verifier in self.verifiers}
        self.world.until("the verifiers' seats", lambda: seats <= set(self.world.contracts.verifier_committee.seated()))


def found(folder: Path, *, is_hasty: bool = True) -> Company:
    """Nobody runs yet. `is_hasty`: see `World`."""
    world = World(folder, is_hasty=is_hasty)
    verifiers = [world.actor("verifier-1", "verifier", 17), world.actor("verifier-2", "verifier", 3)]
    return Company(world, world.actor("client", "dataclient", 1), world.actor("miner-1", "miner", 2), verifiers)
