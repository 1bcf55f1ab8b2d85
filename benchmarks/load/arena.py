"""A chain with the contracts, windows that slow cores cannot miss, and tasks; driven and watched from outside."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account
from web3 import HTTPProvider, Web3

from benchmarks.load.standin import write_task
from dataclient.submit import read_orders, submit
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.profiles import LOCAL
from pole.chain.structs import Pot
from pole.errors import PoleError
from pole.journal.journal import Journal
from pole.learning.idle import publish_idle_task
from pole.node.context import context_of
from pole.storage.store import open_store
from testbed.chain import MNEMONIC, development_chain
from testbed.deployer import deploy_with_web3
from testbed.processes import Actor, Stage, stage

WINDOW_S = 300
"""Of every phase but training, which may take twice as long. All end early once everybody has done what is due."""
STAKE_ETHER = 2
_POLL_S = 0.25
_DEPLOYER = 0
PROFILE = replace(
    LOCAL,
    name="load",
    market=replace(LOCAL.market, max_time_limit_s=2 * WINDOW_S),
    committee=replace(LOCAL.committee, vote_commit_window_s=WINDOW_S, vote_reveal_window_s=WINDOW_S),
    chain=replace(
        LOCAL.chain,
        keys_window_s=WINDOW_S,
        overtime_window_s=WINDOW_S,
        release_window_s=WINDOW_S,
        reveal_window_s=WINDOW_S,
    ),
)
T = TypeVar("T")


class NotInTime(PoleError):
    """What should happen by itself did not."""


@dataclass
class Arena:
    """One chain. Its actors' accounts follow the deployer's, number 0, in the order in which they are cast."""

    stage: Stage
    chain: ChainClient
    contracts: Contracts
    is_interrupted: Callable[[], str] = lambda: ""

    @property
    def folder(self) -> Path:
        return self.stage.folder

    def cast(self, role: str, name: str) -> Actor:
        number = len(list((self.folder / "keys").glob("*.json"))) + 1
        return self.stage.actor(name, role, number)

    def commission(self, client: Actor, number: int, name: str, solutions_wanted: int) -> int:
        """What `python -m dataclient submit` does for account `number`; returns the task's id."""
        file = write_task(self.folder / f"{name}.toml", solutions_wanted, 2 * WINDOW_S)
        chain = ChainClient.connect(self.stage.chain.rpc_url, self.chain.deployment, poll_s=_POLL_S, timeout_s=60)
        store = open_store(self.stage.store("dataclient"))
        path = client.home / f"journal-{chain.deployment.identity}.sqlite"
        with Journal(path, is_exclusive=False) as journal:
            context = context_of("dataclient", chain, _account(number), journal, store, client.home)
            [order] = read_orders(context, [file], is_new=False)
            return submit(context, order).task_id

    def until(self, what: str, look: Callable[[], T], patience_s: float) -> T:
        """Poll until `look` returns something true, and return it; raises NotInTime."""
        deadline = time.monotonic() + patience_s
        while not (found := look()):
            if reason := self.is_interrupted():
                raise NotInTime(f"while waiting for {what}: {reason}")
            if time.monotonic() > deadline:
                newest = [lane.learning_chain.latest_round() for lane in self.contracts.lanes]
                raise NotInTime(f"waited {patience_s:.0f} s for {what}; the newest rounds: {newest}")
            time.sleep(_POLL_S)
        return found

    def ended(self, rounds: int) -> bool:
        """Whether so many rounds are over, on all lanes together."""
        newest = [lane.learning_chain.latest_round() for lane in self.contracts.lanes]
        return sum(each.round_id - (not each.phase.is_over) for each in newest if each is not None) >= rounds

    def unaccounted_wei(self) -> int:
        """Ether of the reservoir beyond what its books say; whatever is not 0 is a defect."""
        block = self.chain.block_number()
        address: Any = self.chain.deployment.address("RewardReservoir")
        booked = sum(int(self.chain.call("RewardReservoir", "total", pot, block=block)) for pot in Pot)
        booked += int(self.chain.call("RewardReservoir", "totalCredits", block=block))
        return int(self.chain.web3.eth.get_balance(address, block)) - booked

    def owed_wei(self) -> int:
        """Ether that belongs to rounds and tasks; with none of them open, somebody was neither paid nor refunded."""
        return self.contracts.reward_reservoir.total_wei(Pot.ESCROW) + self.contracts.reward_reservoir.total_wei(
            Pot.BOND
        )


@contextmanager
def arena(folder: Path, accounts: int, lanes: int = 1) -> Iterator[Arena]:
    """An anvil with one-second blocks and the contracts deployed; everything that runs on it ends with it."""
    with development_chain("anvil", accounts=accounts + 1) as chain, stage(folder, chain) as built:
        web3 = Web3(HTTPProvider(chain.rpc_url, request_kwargs={"timeout": 60}, exception_retry_configuration=None))
        manifest = publish_idle_task(open_store(built.store("deployer")))
        deployment = deploy_with_web3(web3, _account(_DEPLOYER), PROFILE, manifest, lanes=lanes)
        deployment.save(built.deployment)
        chain_client = ChainClient.connect(chain.rpc_url, deployment, timeout_s=60)
        yield Arena(built, chain_client, Contracts.of(chain_client))


def _account(number: int) -> Any:
    Account.enable_unaudited_hdwallet_features()
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
