"""A miner that follows the gradient chain: enrol, open, train, propose, again. Source: DGG, Algorithm 1"""

import os
import time
from dataclasses import dataclass

import torch

from miner.gradient.chain_watcher import ChainWatcher
from miner.gradient.losses import lost_bonds
from miner.gradient.search import Found, Search, begin_search
from miner.gradient.settlement import Settlement
from miner.gradient.task import LoadedTask, load_task
from miner.limits import MinerLimits, NotWorthIt
from pole.chain.gradient_structs import Height, HeightPhase
from pole.errors import (
    BadInput,
    ContentTooLarge,
    DataInvalid,
    ManifestInvalid,
    ModelInvalid,
    StoreError,
    TransactionReverted,
)
from pole.gradient.advance import advance_gradient_due
from pole.gradient.claim import LONG_BLOCK_SEGMENTS, cheap_bond_wei
from pole.gradient.network import prepare_torch
from pole.gradient.pace import choose_threads
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.node.figures import STEPS
from pole.node.loop import Node, Waiting
from pole.node.pins import UNPIN_AFTER_S

# Whoever meets these is looking at a bad task, not at a bad day: nothing gets better by trying again.
HOPELESS = (NotWorthIt, ManifestInvalid, DataInvalid, ModelInvalid, ContentTooLarge)


@dataclass(frozen=True)
class GradientOptions:
    """The miner's own choices. See `python -m miner gradient run --help`.

    `threads` 0: as many as measurement finds best. `lost_bonds`: how many may be lost before it stops enrolling.
    `bond_wei`: None for one that makes verifying long blocks cheap.
    """

    device: torch.device
    threads: int
    limits: MinerLimits
    withdraw_over_wei: int | None
    check_steps: int = 300
    lost_bonds: int = 0
    bond_wei: int | None = None
    unpin_after_s: int = UNPIN_AFTER_S


@dataclass(frozen=True)
class _HeightSearch:
    """A search, and the block that it is on top of."""

    height: int
    previous_hash: bytes
    search: Search


class GradientMiner(Node):
    """All that a search is comes from the chain, so `act` may die at any line: the next process repeats the steps."""

    def __init__(self, context: RoleContext, options: GradientOptions) -> None:
        super().__init__(context)
        self.options = options
        self.gradient_chain = context.contracts.gradient_chain
        self.blocks_ended = 0
        self._settlement = Settlement(context, options.withdraw_over_wei, options.unpin_after_s)
        self._followed: Height | None = None
        self._loaded: LoadedTask | None = None
        self._search: _HeightSearch | None = None
        self._declined: dict[int, str] = {}
        self._lost = options.lost_bonds
        prepare_torch(options.device, options.threads or None)

    @property
    def _address(self) -> str:
        return self.context.address

    def act(self) -> Waiting:
        context = self.context
        current = self.gradient_chain.current()
        self._settle(current)
        hindrance = self._enrol()
        if advance_gradient_due(context.chain, context.contracts, context.address):
            current = self.gradient_chain.current()
        if hindrance is not None:
            return hindrance
        match current.phase:
            case HeightPhase.IDLE:
                return self._between_tasks()
            case HeightPhase.VOTING:
                ballot = context.contracts.verifier_committee.ballot(current.ballot_id)
                what = f"the verifiers' vote on height {current.height} ({ballot.phase.name.lower()})"
                return Waiting(what, ballot.deadline or None, "train on what was accepted")
        return self._compete(current)

    # --- between blocks ----------------------------------------------------------------------------------------------

    def _settle(self, current: Height) -> None:
        """What is due for decided heights, those too that a process before this one proposed for."""
        followed, is_idle = self._followed, current.phase is HeightPhase.IDLE
        ended = followed if followed is not None and (is_idle or followed.height < current.height) else None
        search, steps = self._search, 0
        if ended is not None and search is not None and search.height == ended.height:
            steps, self._search = search.search.steps, None
        self.blocks_ended += self._settlement.settle(current, ended, steps)
        self._followed = None if is_idle else current

    def at_stake(self) -> str:
        followed = self._followed
        has_proposed = followed is not None and self._settlement.has_proposed(followed.height)
        return "my bond of the gradient chain" if has_proposed else ""

    def _enrol(self) -> Waiting | None:
        """Bonds the account unless it is, exactly once, also through a crash; or says why not.

        Whoever loses a bond trains on a machine that the verifiers disagree with: another one would be lost as well.
        """
        miner, journal = self.gradient_chain.miner(self._address), self.context.journal
        if miner.bond_wei:
            return None
        lost = lost_bonds(self.context)
        if lost:
            text = f"slashed on the gradient chain: {lost} bond(s) lost so far: the verifiers found a proposal invalid"
            self.context.notices.tell(f"slashed/{lost}", text)
            if lost > self._lost:
                self.context.log.warning(text)
                self._lost = lost
        if lost > self.options.lost_bonds:
            what = f"somebody to find out why {lost} bond(s) were lost, and to allow for that with --lost-bonds {lost}"
            return Waiting(what, None, "enrol again")
        number = int((journal.recall("enrolments") or {"done": 0})["done"]) + 1
        bond_wei = self._bond_wei()
        self.context.contracts.gradient_chain.enrol(bond_wei, key=f"enrol/{number}")
        journal.remember("enrolments", {"done": number})
        self.context.log.info(f"enrolled with a bond of {wei_to_ether(bond_wei)} ether")
        return None

    def _bond_wei(self) -> int:
        """By default so much that verifiers need few samples of long blocks, if that is at most half of what it has."""
        parameters, given_wei = self.gradient_chain.parameters(), self.options.bond_wei
        if given_wei is not None:
            if given_wei < parameters.miner_bond_wei:
                least = wei_to_ether(parameters.miner_bond_wei)
                raise BadInput(f"--bond {wei_to_ether(given_wei)}: the least bond of this chain is {least} ether")
            return given_wei
        committee, task = self.context.contracts.verifier_committee, self.gradient_chain.active_task()
        reward_wei = parameters.min_block_reward_wei if task is None else task.terms.block_reward_wei
        members = max(1, len(committee.seated()), committee.parameters().min_seated)
        wanted_wei = max(parameters.miner_bond_wei, cheap_bond_wei(LONG_BLOCK_SEGMENTS, members, reward_wei))
        is_rich = 2 * wanted_wei <= self.context.chain.balance_wei(self._address)
        return wanted_wei if is_rich else parameters.miner_bond_wei

    def _between_tasks(self) -> Waiting:
        """Opens the next task, taking turns with whoever else might."""
        if self.gradient_chain.pending_count() == 0:
            return Waiting("a gradient task", None, "open it and train")
        if not self.context.contracts.verifier_committee.seated():
            return Waiting("a verifier to take a seat: without any, no block is accepted", None, "open the next task")
        client, key = self.context.chain, f"gradient-open/{self.gradient_chain.height() + 1}"
        if client.turns.is_mine(key, [], self._address, client.block_number()):
            try:
                self.context.contracts.gradient_chain.open_task(key=key)
            except TransactionReverted as exc:
                self.context.log.debug(f"somebody else opened the task: {exc}")
        return Waiting("the next task to open", None, "train")

    # --- at a height -------------------------------------------------------------------------------------------------

    def _compete(self, current: Height) -> Waiting:
        height, deadline = current.height, current.deadline
        me = self.gradient_chain.miner(self._address)
        if me.has_proposal:
            return Waiting("other miners' proposals to come in", deadline, "see what the verifiers say")
        if me.exit_at:
            return Waiting("the enrolment to end", me.exit_at, "go (python -m miner gradient leave)")
        if me.enrolled_at_block >= self.gradient_chain.header_block(height - 1):
            return Waiting(f"height {height}, which began before I enrolled, to end", deadline, "train on the next")
        if current.task_id in self._declined:
            why = self._declined[current.task_id]
            return Waiting(f"gradient task {current.task_id} to end ({why})", None, "look for the next")
        try:
            return self._train(current)
        except HOPELESS as exc:
            self._declined[current.task_id] = str(exc)
            self.context.log.warning(f"gradient task {current.task_id}: I do not train: {exc}")
            return Waiting(f"gradient task {current.task_id} to end ({exc})", None, "look for the next")
        except StoreError as exc:
            return Waiting(f"content that is not available yet ({exc})", deadline, "train")

    def _train(self, current: Height) -> Waiting:
        """Trains until there is a block to propose, or the chain moved on."""
        if current.phase is HeightPhase.SEARCH:
            search = self._search_of(current)
            self._say(Waiting(f"a step that is block {current.height}", current.deadline, "propose it"))
        elif self._search is None or self._search.height != current.height:
            return Waiting("other miners' proposals to come in", current.deadline, "see what the verifiers say")
        else:
            search = self._search
        found = self._run(current, search.search)
        if found is not None:
            self._propose(current, search.previous_hash, found)
        return Waiting("proposals to come in", current.deadline, "see what the verifiers say")

    def _run(self, current: Height, search: Search) -> Found | None:
        """Steps while the height is searched. What was found before others' proposals came in counts as well."""
        started, steps = time.monotonic(), search.steps
        with ChainWatcher(self.context.chain, self.gradient_chain, self.context.chain.pause_s()) as watcher:
            while True:
                view = watcher.view
                if view.height.height != current.height or search.has_block(view.threshold):
                    break
                if view.height.phase is not HeightPhase.SEARCH or view.threshold == 0:
                    break
                if search.is_at_end:
                    watcher.wait()
                else:
                    search.advance()
        STEPS.inc(search.steps - steps)
        took_s = max(time.monotonic() - started, 1e-9)
        self.context.log.debug(f"height {current.height}: {(search.steps - steps) / took_s:.0f} steps/s")
        is_block = view.height.height == current.height and search.has_block(view.threshold)
        return search.publish(self.context.store) if is_block else None

    def _search_of(self, current: Height) -> _HeightSearch:
        """This height's search; it goes on where it was if the proposals for it were rejected.

        It begins anew if a reorg has exchanged the block below: what was found on top of the old one is worth nothing.
        """
        previous_hash = self.gradient_chain.header_hash(current.height - 1)
        known = self._search
        if known is None or (known.height, known.previous_hash) != (current.height, previous_hash):
            loaded = self._loaded_for(current)
            loaded.start_from(self.context.store, self.gradient_chain.header(current.height - 1))
            search = begin_search(loaded, previous_hash, self._address)
            self._search = known = _HeightSearch(current.height, previous_hash, search)
        return known

    def _loaded_for(self, current: Height) -> LoadedTask:
        if self._loaded is None or self._loaded.task.task_id != current.task_id:
            self._say(Waiting(f"gradient task {current.task_id} to be fetched and checked", current.deadline, "train"))
            task, options = self.gradient_chain.task(current.task_id), self.options
            loaded = load_task(self.context.store, task, options.limits, options.device, options.check_steps)
            if not options.threads and options.device.type == "cpu":
                counts = sorted({1, max(1, (os.cpu_count() or 1) // 2), os.cpu_count() or 1})
                threads = choose_threads(loaded.network, loaded.samples, counts)
                self.context.log.info(f"gradient task {task.task_id}: {threads} thread(s) are fastest here")
            self._loaded = loaded
        return self._loaded

    def _propose(self, current: Height, previous_hash: bytes, found: Found) -> None:
        """Once per search of a height: a search that goes on after a rejection is another one."""
        self._settlement.keep(current, found.published)
        try:
            self.context.contracts.gradient_chain.propose(
                current.height,
                previous_hash,
                found.step,
                found.sign_digest,
                found.published.proof,
                found.published.weights,
                key=f"propose/{current.height}/{current.search_started_at}/{previous_hash.hex()[:8]}",
            )
        except TransactionReverted as exc:
            self._settlement.note_refused(current.height)
            self.context.log.debug(f"height {current.height}: came too late: {exc}")
            return
        self.context.log.info(f"height {current.height}: proposed step {found.step}, digest {found.sign_digest}")
