"""`kill -9` of every role at each step of its journal, before and after every write: nothing is lost or doubled."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pole.chain.structs import Phase, Round
from testbed.processes import Actor
from tests.e2e.company import COMMANDS, SHOWN
from tests.e2e.settled import check_settled, fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows, write_task
from tests.e2e.world import World

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

MAX_ROUNDS = 3
PATIENCE_S = 200.0


def fact(kind: str) -> set[str]:
    return {f"{when} remember {kind}" for when in ("before", "after")}


def fact_once(kind: str) -> set[str]:
    """Made and stored in one database transaction; dying within it leaves nothing."""
    return fact(kind) | {f"{when} remember_once {kind}" for when in ("before", "after")}


def sent(kind: str) -> set[str]:
    """Planned, signed, broadcast (after `sign`), mined (before `settle`), and known to be mined."""
    return {f"{when} {write} {kind}" for when in ("before", "after") for write in ("plan", "sign", "settle mined")}


BOUND = fact_once("journal/account")
OWN_STEPS = {
    "submit": BOUND | sent("submit"),
    "serve": sent("keys") | sent("release"),
    "miner": BOUND | fact("candidate") | fact_once("solution") | sent("commit") | sent("reveal") | fact("reported"),
    "verifier": BOUND | sent("top-up") | fact_once("vote") | sent("vote-commit") | sent("vote-reveal"),
}
ANYBODYS_STEPS = sent("open") | sent("advance/round") | sent("advance/ballot") | sent("tally/ballot")
"""Whoever is first takes them: reaching each in some role is enough."""


class Mortals:
    """A client, a miner and a verifier that die all the time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = world.actor("client", "dataclient", 1)
        self.miner = world.actor("miner-1", "miner", 2)
        self.verifier = world.actor("verifier-1", "verifier", 3)

    def start(self) -> None:
        for actor, name in ((self.client, "serve"), (self.miner, "miner"), (self.verifier, "verifier")):
            self.world.wrap(actor, "restarted_role", str(self.steps_file(name)))
            self.world.start(actor, *COMMANDS[actor.role])

    def submit(self, task_file: Path) -> None:
        """The command of a client that dies as well."""
        world = self.world
        world.wrap(self.client, "restarted_role", str(self.steps_file("submit")))
        world.stage.run(
            ["restarted_role", str(self.steps_file("submit")), "dataclient", "submit", str(task_file)], self.client
        )

    def ended(self, task_id: int) -> Round:
        def look() -> Round | None:
            current = self.world.round_of(task_id)
            return current if current is not None and current.phase.is_over else None

        return self.world.until(f"the round of task {task_id} to end", look, PATIENCE_S)

    def steps_file(self, name: str) -> Path:
        return self.world.folder / f"{name}.steps"

    def steps(self, name: str) -> set[str]:
        """What the role has died at."""
        path = self.steps_file(name)
        return set(path.read_text().splitlines()) if path.exists() else set()

    def missing(self) -> set[str]:
        own = {f"{name}: {step}" for name, steps in OWN_STEPS.items() for step in steps - self.steps(name)}
        return own | (ANYBODYS_STEPS - set().union(*(self.steps(name) for name in OWN_STEPS)))

    @property
    def actors(self) -> list[Actor]:
        return [self.client, self.miner, self.verifier]


@pytest.fixture
def mortals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mortals]:
    with closing(World(tmp_path, is_hasty=False)) as world:
        request.node.stash[SHOWN] = world
        yield Mortals(world)


def test_round__every_role_killed_at_every_journal_step__everybody_is_paid_once(mortals: Mortals) -> None:
    world, paid = mortals.world, {actor.address: 0 for actor in mortals.actors}
    rows = write_rows(world.folder / "rows.csv")
    mortals.submit(write_task(world.folder / "mortal-1.toml", rows, time_limit_s=600))
    mortals.start()
    for number in range(1, MAX_ROUNDS + 1):
        if number > 1:
            world.commission(mortals.client, rows, f"mortal-{number}")
        assert world.contracts.task_market.task_count() == number, "a task was submitted twice"
        ended = mortals.ended(number)
        assert (ended.phase, ended.is_test_set_released) == (Phase.FINALISED, True)
        assert world.contracts.block_ledger.header(ended.height).winner == mortals.miner.address
        task = world.contracts.task_market.task(number)
        paid[mortals.client.address] += PROFILE.market.client_bond_wei
        paid[mortals.miner.address] += task.reward_wei + PROFILE.chain.miner_bond_wei
        paid[mortals.verifier.address] += fees_wei(world.contracts, ended)
        world.until("the miner's report", lambda: "after remember reported" in mortals.steps("miner"), 100)
        if not mortals.missing():
            break
    assert mortals.missing() == set(), "steps that nobody died at"
    assert world.credited_since(0) == paid
    assert world.contracts.verifier_committee.verifier(mortals.verifier.address).stake_wei == 2 * 10**18
    check_settled(world, 0, mortals.actors)
