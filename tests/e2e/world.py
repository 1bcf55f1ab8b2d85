"""A chain, the contracts and the roles as processes of their own, driven and watched from outside by a test."""

import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from web3.types import RPCEndpoint

from dataclient.submit import read_orders, submit
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Ballot, BallotPhase, Phase, Pot, Round
from pole.journal.journal import Journal
from pole.node.context import context_of
from testbed.chain import development_chain, web3_at
from testbed.processes import Actor, Stage
from tests.e2e.clock import Clock
from tests.e2e.scripted import Participant
from tests.e2e.secrecy import with_keys
from tests.e2e.site import DEPLOYER, deploy_site, development_account
from tests.e2e.tasks import write_task

T = TypeVar("T")
P = TypeVar("P", bound=Participant)

POLL_S = 0.1
PATIENCE_S = 60.0
_TAIL_LINES = 40
_ROLE_POLL_S, _HASTY_POLL_S = "0.5", "0.3"
_TICK_S = 1.0
_SETTLE_S = 0.5


class World:
    """One anvil, one deployment, and the processes that a test starts.

    Account numbers are those of the development chain; 0 deployed. `close` ends everything. A transaction is mined at
    once, and another block comes every second, unless `is_hasty` is False: then a transaction waits for the next
    block as on a real chain, up to a second, and processes load their own libraries. Block time is that of the clock on
    the wall either way.
    """

    def __init__(self, folder: Path, *, is_hasty: bool = True, lanes: int = 1) -> None:
        self.folder = folder
        self._resources = ExitStack()
        chain = self._resources.enter_context(development_chain("anvil", block_time_s=None))
        self._role_poll_s = _HASTY_POLL_S if is_hasty else _ROLE_POLL_S
        self.stage = Stage(folder, replace(chain, rpc_url=with_keys(chain.rpc_url)), is_forking=is_hasty)
        self._resources.callback(self.stage.stop)
        self.site = deploy_site(chain.rpc_url, folder, lanes)
        self.chain = ChainClient.connect(chain.rpc_url, self.site.deployment)
        self.contracts = Contracts.of(self.chain)
        self._numbers: dict[str, int] = {}
        self._participants: dict[int, Participant] = {}
        self._commands: dict[str, list[str]] = {}
        self._wrappers: dict[str, list[str]] = {}
        self._clock = Clock(web3_at(chain.rpc_url), _TICK_S) if is_hasty else None
        if self._clock:
            self._resources.callback(self._clock.close)
        else:
            self.thaw()

    def close(self) -> None:
        """Stop all processes and the chain, and remove the folder."""
        for participant in self._participants.values():
            participant.close()
        self._resources.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- processes ---------------------------------------------------------------------------------------------------

    def actor(self, name: str, role: str, index: int) -> Actor:
        self._numbers[name] = index
        return self.stage.actor(name, role, index)

    def start(self, actor: Actor, *arguments: str) -> None:
        """Start a role, `python -m [wrapper] <role> <arguments>`; it may not end before the test says so."""
        assert not self.is_running(actor), f"{actor.name} runs already"
        self._commands[actor.name] = list(arguments)
        command = [*self._wrappers.get(actor.name, []), actor.role, *arguments, "--poll-interval", self._role_poll_s]
        self.stage.start(command, actor)

    def wrap(self, actor: Actor, wrapper: str, *arguments: str) -> None:
        """Run an actor under a module of this folder from now on; it gets the arguments before the role's name."""
        # A copy where the roles run: an installed package named `tests` hides this folder from them.
        shutil.copy(Path(__file__).with_name(f"{wrapper}.py"), self.folder)
        self._wrappers[actor.name] = [wrapper, *arguments]

    def kill(self, actor: Actor) -> None:
        """SIGKILL: the process gets no chance to write anything."""
        process = self.stage.processes.pop(actor.name)
        assert process.poll() is None, f"{actor.name} ended by itself, with status {process.returncode}"
        process.kill()
        process.wait()

    def restart(self, actor: Actor) -> None:
        """Start a killed role again, with the arguments it had; its log goes on."""
        self.start(actor, *self._commands[actor.name])

    @contextmanager
    def paused(self, actor: Actor) -> Iterator[None]:
        """The process stands still meanwhile, as on a machine that is far too busy."""
        process = self.stage.processes[actor.name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def is_running(self, actor: Actor) -> bool:
        return actor.name in self.stage.processes

    def check_processes(self) -> None:
        """Nothing that was started has ended, and nothing failed in a way that it did not expect itself."""
        ended = {name: process.poll() for name, process in self.stage.processes.items() if process.poll() is not None}
        assert not ended, f"ended unexpectedly, with status: {ended}"
        crashed = [path.name for path in self.logs() if "Traceback (most recent call last)" in path.read_text()]
        assert not crashed, f"a traceback is in {crashed}"

    def logs(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))

    def tails(self) -> str:
        """The end of every process's log."""
        return "\n".join(f"--- {path.name}\n{_tail(path)}" for path in self.logs())

    # --- scripted participants ---------------------------------------------------------------------------------------

    def scripted(self, kind: type[P], index: int) -> P:
        """The participant with this account; the same one each time."""
        known = self._participants.get(index)
        if known is None:
            known = self._participants[index] = kind(self.site, index)
        assert isinstance(known, kind)
        return known

    def commission(self, client: Actor, rows: Path, name: str, **terms: Any) -> int:
        """What `python -m dataclient submit` does, without the time that it takes to start; returns the task's id."""
        file = write_task(self.folder / f"{name}.toml", rows, **terms)
        chain = ChainClient.connect(self.site.rpc_url, self.site.deployment, poll_s=0.1)
        account = development_account(self.number(client))
        path = client.home / f"journal-{self.site.deployment.identity}.sqlite"
        with Journal(path, is_exclusive=False) as journal:
            context = context_of("dataclient", chain, account, journal, self.site.store, client.home)
            [order] = read_orders(context, [file], is_new=False)
            return submit(context, order).task_id

    def number(self, actor: Actor) -> int:
        """Of the account that an actor was given."""
        return self._numbers[actor.name]

    # --- time --------------------------------------------------------------------------------------------------------

    def until(self, what: str, look: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
        """Poll until `look` returns something true, and return it; fails if a process ends meanwhile."""
        deadline = time.monotonic() + patience_s
        while True:
            found = look()
            if found:
                return found
            self.check_processes()
            assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}; {self.summary()}"
            time.sleep(POLL_S)

    def pass_deadline(self, deadline_s: int) -> None:
        """Move the chain's clock there, as if everybody had waited."""
        ahead_s = deadline_s - self.chain.block_time()
        if ahead_s > 0:
            self.rpc("evm_increaseTime", ahead_s)
            self.mine()

    def freeze(self) -> None:
        """No blocks from now on but those that the test mines: what it sees stays as it is, until `thaw`."""
        if self._clock:
            self._clock.pause()
            self.rpc("evm_setAutomine", False)
            return
        self.rpc("evm_setIntervalMining", 0)
        seen = None  # a block may be on its way
        while seen != (seen := self.chain.block_number()):
            time.sleep(_SETTLE_S)

    def thaw(self) -> None:
        """Blocks come again."""
        if self._clock:
            self.rpc("evm_setAutomine", True)
            self._clock.resume()
        else:
            self.rpc("evm_setIntervalMining", 1)

    def mine(self) -> None:
        self.rpc("evm_mine")

    def has_sent(self, actor: Actor) -> bool:
        """Whether a transaction of an actor waits to be mined."""
        address: Any = actor.address
        count = self.chain.web3.eth.get_transaction_count
        return count(address, "pending") > count(address, "latest")

    def lose_transactions(self) -> None:
        """The node forgets what waits to be mined."""
        self.rpc("anvil_dropAllTransactions")

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """A block per transaction meanwhile, in every world."""
        self.rpc("evm_setAutomine", True)
        try:
            yield
        finally:
            self.thaw()

    def reorganise(self, from_block: int) -> None:
        """Replace the chain from this block on by empty blocks, one more of them."""
        self.rpc("anvil_reorg", self.chain.block_number() - from_block + 1, [])
        self.mine()

    def rpc(self, method: str, *parameters: Any) -> None:
        reply = self.chain.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in reply, reply

    # --- rounds ------------------------------------------------------------------------------------------------------

    def round_of(self, task_id: int) -> Round | None:
        """The newest round of the lane that has this task, if it is the task's."""
        latest = self.contracts.of_task(task_id).learning_chain.latest_round()
        return latest if latest is not None and latest.task_id == task_id else None

    def open_round(self) -> None:
        """Send the transaction, from nobody in particular, and do not wait for it."""
        contract: Any = self.site.deployment.contracts["LearningChain"]
        chain = self.chain.web3.eth.contract(address=contract.address, abi=contract.abi)
        chain.functions.openRound().transact({"from": development_account(DEPLOYER).address})

    def in_phase(self, task_id: int, phase: Phase) -> Round:
        """Wait until the task's round is in a phase."""

        def look() -> Round | None:
            current = self.round_of(task_id)
            return current if current is not None and current.phase is phase else None

        return self.until(f"task {task_id} to be in phase {phase.name}", look)

    def ended(self, task_id: int) -> Round:
        """Wait until the task's round is over."""

        def look() -> Round | None:
            current = self.round_of(task_id)
            return current if current is not None and current.phase.is_over else None

        return self.until(f"the round of task {task_id} to end", look)

    def voting(self, task_id: int, phase: BallotPhase) -> Ballot:
        """Wait until the ballot on the task's round is in a phase."""

        def look() -> Ballot | None:
            current = self.round_of(task_id)
            ballot = (
                self.contracts.verifier_committee.ballot(current.ballot_id)
                if current is not None and current.ballot_id
                else None
            )
            return ballot if ballot is not None and ballot.phase is phase else None

        return self.until(f"the ballot on task {task_id} to be in phase {phase.name}", look)

    def has_committed(self, task_id: int, miner: Actor | Participant) -> bool:
        current = self.round_of(task_id)
        return (
            current is not None
            and self.contracts.of_task(task_id).learning_chain.place_of(current.round_id, miner.address) != 0
        )

    # --- money -------------------------------------------------------------------------------------------------------

    def credited_since(self, block: int) -> dict[str, int]:
        """Wei credited by the reservoir after a block, by payee."""
        return self._sums("RewardReservoir", "Credited", "payee", "amountWei", block)

    def minted_since(self, block: int) -> dict[str, int]:
        """Units of the reward token minted after a block, by owner."""
        minted: dict[str, int] = defaultdict(int)
        for event in self.chain.logs("RewardToken", "Transfer", from_block=block + 1):
            minted[event.arguments["to"]] += event.arguments["value"]
        return minted

    def slashed_since(self, block: int) -> dict[str, int]:
        """Wei of stake lost after a block, by verifier."""
        return self._sums("VerifierCommittee", "Slashed", "verifier", "amountWei", block)

    def _sums(self, contract: Any, event: str, who: str, amount: str, block: int) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for entry in self.chain.logs(contract, event, from_block=block + 1):
            sums[entry.arguments[who]] += entry.arguments[amount]
        return sums

    def held_wei(self) -> int:
        """The reservoir's ether, after checking that its books account for every wei of it."""
        block = self.chain.block_number()
        address: Any = self.site.deployment.address("RewardReservoir")
        balance_wei = int(self.chain.web3.eth.get_balance(address, block))
        booked = {pot.name: int(self.chain.call("RewardReservoir", "total", pot, block=block)) for pot in Pot}
        booked["CREDITS"] = int(self.chain.call("RewardReservoir", "totalCredits", block=block))
        assert balance_wei == sum(booked.values()), f"the reservoir has {balance_wei} wei, its books say {booked}"
        return balance_wei

    def summary(self) -> str:
        """Where the chain stands, for failures."""
        latest = self.contracts.learning_chain.latest_round()
        ballot = (
            self.contracts.verifier_committee.ballot(latest.ballot_id)
            if latest is not None and latest.ballot_id
            else None
        )
        return f"block time {self.chain.block_time()}, round {latest}, ballot {ballot}"


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
