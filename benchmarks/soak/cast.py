"""Who takes part in a soak test: two of each role, one that keeps running and one that is killed again and again."""

import random
import signal
import time
from dataclasses import dataclass, field

from benchmarks.load.arena import STAKE_ETHER, Arena
from testbed.processes import Actor, Process

ROLES = ("dataclient", "miner", "verifier")
_MINER = ["run", "--device", "cpu", "--threads", "1", "--trainer", "benchmarks.load.standin:train"]
COMMANDS = {"dataclient": ["serve"], "miner": _MINER, "verifier": ["run", "--stake", str(STAKE_ETHER)]}
_LATEST_KILL_S, _LONGEST_DEATH_S = 8.0, 4.0


@dataclass
class Death:
    """One kill of a round; times are on the monotonic clock."""

    victim: Actor
    at_s: float
    back_at_s: float
    is_dead: bool = False
    is_back: bool = False


@dataclass
class Cast:
    """All actors; accounts are numbered from 1 in the order of `actors`."""

    arena: Arena
    steady: dict[str, Actor]
    mortal: dict[str, Actor]
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))

    @property
    def actors(self) -> list[Actor]:
        return [*self.steady.values(), *self.mortal.values()]

    def number(self, actor: Actor) -> int:
        return self.actors.index(actor) + 1

    def start(self, actor: Actor) -> None:
        command = [actor.role, *COMMANDS[actor.role]]
        command += ["--seed", str(self.number(actor))] if actor.role == "miner" else []
        self.arena.stage.start(command, actor)

    def lasting(self) -> dict[str, Process]:
        """The processes that are never killed, the node among them."""
        stage = self.arena.stage
        roles = {actor.name: stage.processes[actor.name] for actor in self.steady.values()}
        return {"anvil": stage.chain.process, **roles}

    def draw(self, random_source: random.Random) -> Death:
        """Who dies in the round that begins now, when, and for how long."""
        at_s = time.monotonic() + random_source.uniform(0, _LATEST_KILL_S)
        role = random_source.choice(ROLES)
        return Death(self.mortal[role], at_s, at_s + random_source.uniform(0, _LONGEST_DEATH_S))

    def carry_out(self, death: Death) -> None:
        """Kills or revives, if it is time."""
        processes = self.arena.stage.processes
        if not death.is_dead and time.monotonic() >= death.at_s:
            process = processes.pop(death.victim.name)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.kills[death.victim.role] += 1
            death.is_dead = True
        if death.is_dead and not death.is_back and time.monotonic() >= death.back_at_s:
            self.start(death.victim)
            death.is_back = True

    def journal_bytes(self) -> int:
        """All journals, with what is not yet folded into them."""
        return sum(path.stat().st_size for actor in self.actors for path in actor.home.glob("journal-*.sqlite*"))


def cast_for(arena: Arena) -> Cast:
    steady = {role: arena.cast(role, f"{role}-steady") for role in ROLES}
    return Cast(arena, steady, {role: arena.cast(role, f"{role}-mortal") for role in ROLES})
