"""A company under faults of node, clocks, disks and balances.

All roles reach the node through one proxy, and their clocks are ten minutes off, in both directions.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pole.chain.deployment import ContractName
from pole.chain.structs import Phase, Round
from testbed.processes import Actor
from tests.e2e.company import Company, found
from tests.e2e.proxy import Proxy
from tests.e2e.secrecy import PATH, with_keys
from tests.e2e.settled import fees_wei
from tests.e2e.site import PROFILE
from tests.e2e.tasks import write_rows
from tests.e2e.world import World

AHEAD_S, BEHIND_S = 600, -600
PATIENCE_S = 200.0


@dataclass
class Trouble:
    """A company whose world can be made to fail."""

    company: Company
    proxy: Proxy
    filled_at: dict[str, int] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.company.world

    def commission(self, name: str, **terms: Any) -> int:
        rows = write_rows(self.world.folder / "rows.csv")
        return self.world.commission(self.company.client, rows, name, **terms)

    def finish(self, task_id: int) -> Round:
        """The round ends as if nothing had been: with a block, and the money where it belongs."""
        world = self.world

        def look() -> Round | None:
            current = world.round_of(task_id)
            return current if current is not None and current.phase.is_over else None

        ended = world.until(f"the round of task {task_id} to end", look, PATIENCE_S)
        assert (ended.phase, ended.is_test_set_released) == (Phase.FINALISED, True)
        assert world.contracts.block_ledger.header(ended.height).winner == self.company.miner.address
        [opened] = world.chain.logs("LearningChain", "RoundOpened", roundId=ended.round_id)
        task, paid_wei = world.contracts.task_market.task(task_id), world.credited_since(opened.block_number)
        assert paid_wei == {
            self.company.client.address: PROFILE.market.client_bond_wei,
            self.company.miner.address: task.reward_wei + PROFILE.chain.miner_bond_wei,
            **{verifier.address: fees_wei(world.contracts, ended) // 2 for verifier in self.company.verifiers},
        }
        return ended

    def block_of(self, event: str, round_id: int) -> int | None:
        contract: ContractName = "BlockLedger" if event == "BlockAppended" else "LearningChain"
        found = self.world.chain.logs(contract, event, roundId=round_id)
        return found[0].block_number if found else None

    def disk_flag(self, actor: Actor) -> Path:
        return self.world.folder / f"{actor.name}.full"

    def fill_disk(self, actor: Actor) -> None:
        self.filled_at[actor.name] = len(self.world.stage.log_of(actor).read_text())
        self.disk_flag(actor).touch()

    def free_disk(self, actor: Actor, complaint: str) -> None:
        """Waits until the actor has noticed that its disk is full."""
        self.says(actor, complaint, self.filled_at[actor.name])
        self.disk_flag(actor).unlink()

    def says(self, actor: Actor, what: str, since: int) -> None:
        """Waits until an actor's log says it, after position `since`."""
        log = self.world.stage.log_of(actor)
        self.world.until(f"{actor.name} to say {what!r}", lambda: what in log.read_text()[since:])

    def marks(self) -> dict[str, int]:
        """How long the logs are now, by actor's name."""
        return {actor.name: len(self.world.stage.log_of(actor).read_text()) for actor in self.company.actors}


@contextmanager
def troubled_company(folder: Path, *, is_hasty: bool) -> Iterator[Trouble]:
    """All of it gathered; `is_hasty`: see `World`."""
    company = found(folder, is_hasty=is_hasty)
    world = company.world
    with closing(world), closing(Proxy(world.site.rpc_url)) as proxy:
        trouble = Trouble(company, proxy)
        world.stage.chain = replace(world.stage.chain, rpc_url=with_keys(proxy.url, PATH))
        skews = [AHEAD_S, BEHIND_S, AHEAD_S, BEHIND_S]
        for actor, skew_s in zip(company.actors, skews, strict=True):
            world.wrap(actor, "tampered", f"clock={skew_s}", f"full={trouble.disk_flag(actor)}")
        company.gather()
        yield trouble
