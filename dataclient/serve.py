"""What a data client does while a round runs: publish keys when it opens, release the test set after commits close.

Everything is journaled first, so a restarted client continues where it was: the hashes that keys were issued for before
the keys leave this machine, and transactions before they are sent. The test set is published only once its release is
on chain, so that nobody can train on it.
"""

from collections.abc import Callable, Sequence, Set

import structlog

from dataclient.pins import Keeper
from dataclient.served_tasks import ServedTask, TaskReader, served_tasks
from dataclient.submit import finish_interrupted
from dataclient.task_folder import Issued, Prepared, TaskHome
from dataclient.telling import Told
from pole.chain.contracts import Contracts
from pole.chain.structs import Phase, Round, TaskState
from pole.encryption import MasterKey
from pole.errors import JournalError, KeyRefused, StoreError
from pole.learning.advance import advance_due, keep_anchor
from pole.learning.functional_keys import issue_keys, issued_rank, warning_rank
from pole.learning.round_files import fetch_manifest
from pole.node.context import RoleContext
from pole.node.loop import Node, Waiting, soonest
from pole.node.pins import UNPIN_AFTER_S
from pole.storage.cid import Cid
from pole.task.manifest import InnerProductEncryption, Manifest

log = structlog.get_logger()

_STORE_RETRY_S = 5

NOTHING_OPEN = Waiting("a task of mine to serve", None, "publish its functional keys when its round opens")


class Server:
    """One step at a time of serving all tasks of a client; `act` is called again and again by a node."""

    def __init__(self, client: RoleContext) -> None:
        self._client = client
        self._reader = TaskReader(client)
        self.tasks: list[ServedTask] = []
        self._refused: set[bytes] = set()
        self._served: dict[int, tuple[int, str]] = {}

    def act(self) -> Waiting | None:
        """Does what is due; returns what it waits for next, or None when no task of its own is open."""
        try:
            return self._act()
        except StoreError as exc:  # a full disk now must not cost the bond: the deadline is still ahead
            retry_at_s = self._client.chain.last_time + _STORE_RETRY_S
            return Waiting(f"the content store to work again ({exc})", retry_at_s, "go on")

    def _act(self) -> Waiting | None:
        client = self._client
        finish_interrupted(client)
        client.chain.block_number()  # by which the reader knows how long a task has been over
        self.tasks = tasks = served_tasks(client, self._reader)
        rounds = [(lane, lane.learning_chain.latest_round()) for lane in client.contracts.lanes]
        mine = {served.task.task_id: served for served in tasks if served.is_open}
        for lane, latest in rounds:
            self._note_end(lane, latest)
            if latest is not None and latest.task_id in mine:
                self._publish_released(lane, latest, mine[latest.task_id])
        if not mine:
            return None
        waits = []
        for lane, latest in rounds:
            if latest is not None and not latest.phase.is_over and latest.task_id in mine:
                self._served[lane.lane] = (latest.round_id, mine[latest.task_id].home.name)
                waits.append(self._serve_round(lane, latest, mine[latest.task_id]))
            else:
                advance_due(client.chain, lane, client.address)
        return soonest(waits) if waits else self._waiting_for_turn(tasks, [latest for _, latest in rounds])

    def _note_end(self, lane: Contracts, latest: Round | None) -> None:
        """Says what the round that this lane served last has cost, once it is over."""
        round_id, name = self._served.get(lane.lane, (0, ""))
        if not round_id or latest is None or (latest.round_id == round_id and not latest.phase.is_over):
            return
        del self._served[lane.lane]
        spent = self._client.chain.spending.take()
        how = f"{lane.round_name(round_id)} of {name} has ended; it cost me {spent}"
        log.info(how, gas=spent.gas, gas_wei=spent.wei)

    def _waiting_for_turn(self, tasks: Sequence[ServedTask], rounds: Sequence[Round | None]) -> Waiting:
        """`rounds`: the newest of every lane."""
        names = ", ".join(served.home.name for served in tasks if served.is_open)
        others = [each for each in rounds if each is not None and not each.phase.is_over]
        if len(others) < len(rounds):
            return Waiting(f"a round for {names} to open", None, "publish its functional keys")
        then = f"a round for {names} can open"
        return soonest(
            [
                Waiting(
                    f"the round of another task ({each.task_id}, {each.phase.name.lower()}) to end",
                    each.deadline or None,
                    then,
                )
                for each in others
            ]
        )

    def _serve_round(self, lane: Contracts, current: Round, served: ServedTask) -> Waiting:
        now_s = self._client.chain.block_time()
        is_in_time = now_s < current.deadline
        if current.phase is Phase.KEYS and is_in_time and current.previous_hash not in self._refused:
            if keep_anchor(self._client.chain, lane, current):
                current = lane.learning_chain.round(current.round_id)
            if current.is_bound:
                self._publish_keys(lane, current, served)
        elif current.phase is Phase.RELEASE and is_in_time and now_s > current.commits_closed_at:
            self._release(lane, current, served)
        else:
            advance_due(self._client.chain, lane, self._client.address)
        return waiting_in_round(lane.learning_chain.round(current.round_id), served.home.name)

    # --- keys --------------------------------------------------------------------------------------------------------

    def _publish_keys(self, lane: Contracts, current: Round, served: ServedTask) -> None:
        client = self._client
        manifest = fetch_manifest(client.store, served.task.terms.manifest)
        try:
            keys = self._issue(current, served, manifest)
        except KeyRefused as exc:
            self._refused.add(current.previous_hash)
            log.error("keys refused, the bond of this task will be lost", task=served.home.name, reason=str(exc))
            text = f"at risk: the bond of {served.home.name}. Its keys must not be issued: {exc}"
            client.notices.tell(f"risk/keys/{served.task.task_id}", text)
            return
        client.journal.remember(f"pins/keys/{served.task.task_id}/{current.round_id}", {"keys": str(keys)})
        lane.learning_chain.publish_keys(current.round_id, current.previous_hash, keys)
        log.info("functional keys published", task=served.home.name, round_id=current.round_id, keys=str(keys))

    def _issue(self, current: Round, served: ServedTask, manifest: Manifest) -> Cid:
        """CID of the round's keys; of the manifest for an unencrypted task, which has none to give."""
        if not isinstance(manifest.encryption, InnerProductEncryption):
            return served.task.terms.manifest
        home, this = served.home, current.previous_hash
        issued = [bytes.fromhex(text) for text in home.issued().previous_hashes]
        keys = issue_keys(MasterKey.load(home.master_key), manifest, this, [past for past in issued if past != this])
        if this not in issued:
            home.keep_issued(Issued(previous_hashes=[*home.issued().previous_hashes, this.hex()]))
        warn_of_leak(home, manifest)
        return self._client.store.put(keys.to_bytes())

    # --- test set ----------------------------------------------------------------------------------------------------

    def _release(self, lane: Contracts, current: Round, served: ServedTask) -> None:
        prepared = require_prepared(served.home)
        lane.learning_chain.release_test_set(current.round_id, prepared.test_set_cid, prepared.salt_bytes)
        self._publish_released(lane, lane.learning_chain.round(current.round_id), served)

    def _publish_released(self, lane: Contracts, latest: Round, served: ServedTask) -> None:
        """Puts the test set into the store once its release is mined, also after a restart in between."""
        prepared = require_prepared(served.home)
        if not latest.is_test_set_released or self._client.store.has(prepared.test_set_cid):
            return
        self._client.store.put_file(served.home.test_set)
        log.info(
            "test set released",
            task=served.home.name,
            round_id=latest.round_id,
            lane=lane.lane + 1,
            cid=prepared.test_set,
        )


class ClientNode(Node):
    """`is_idle`: no task of this client is pending or in a round. The others: see `dataclient.pins`."""

    def __init__(
        self,
        context: RoleContext,
        unpin_after_s: int = UNPIN_AFTER_S,
        needed_elsewhere: Callable[[], Set[Cid]] = frozenset,
    ) -> None:
        super().__init__(context)
        self._server = Server(context)
        self._keeper = Keeper(context, unpin_after_s, needed_elsewhere)
        self._told = Told(context)
        self.is_idle = False

    def at_stake(self) -> str:
        names = [each.home.name for each in self._server.tasks if each.task.state is TaskState.IN_ROUND]
        return f"the bond of {', '.join(names)}" if names else ""

    def act(self) -> Waiting:
        waiting = self._server.act()
        self._told.act(self._server.tasks)
        if not any(served.task.state is TaskState.IN_ROUND for served in self._server.tasks):
            self._keeper.act(self._server.tasks)
        self.is_idle = waiting is None
        return waiting or NOTHING_OPEN


def require_prepared(home: TaskHome) -> Prepared:
    """The secrets of a submitted task. Raises JournalError if they are lost."""
    prepared = home.prepared()
    if prepared is None:
        raise JournalError(
            f"{home.folder} lacks prepared.json, without which the test set cannot be released; restore it"
        )
    return prepared


def leaked_rank(home: TaskHome, manifest: Manifest) -> int:
    """Rank per segment of all keys that were ever issued for a task."""
    return issued_rank(manifest, [bytes.fromhex(text) for text in home.issued().previous_hashes])


def warn_of_leak(home: TaskHome, manifest: Manifest) -> None:
    rank, warning = leaked_rank(home, manifest), warning_rank(manifest)
    if rank > warning:
        log.warning(
            "the keys issued so far may let others recover this task's data: timed release is not privacy",
            task=home.name,
            rank=rank,
            warning_rank=warning,
        )


def waiting_in_round(current: Round, name: str) -> Waiting:
    """What the client waits for in a round of its own task, until when, and what comes then."""
    until_s = current.deadline or None
    match current.phase:
        case Phase.KEYS if not current.is_bound:
            what = f"block {current.anchor_block} after the opening, which the keys of {name} depend on"
            return Waiting(what, current.opened_at + 1, "publish them")
        case Phase.KEYS:
            return Waiting(f"the key window of {name} to pass, no keys were issued", until_s, "lose the bond")
        case Phase.TRAINING:
            what = f"miners of {name} ({current.qualified_count} qualified)"
            return Waiting(what, until_s, "release the test set, or overtime begins")
        case Phase.OVERTIME:
            what = f"late miners of {name} ({current.submission_count} committed)"
            return Waiting(what, until_s, "release the test set, or get the reward back")
        case Phase.RELEASE:
            until_s = current.commits_closed_at + 1
            return Waiting(f"the next block, to release the test set of {name}", until_s, "release it")
        case Phase.REVEAL:
            what = f"miners of {name} to reveal ({current.revealed_count} of {current.submission_count})"
            return Waiting(what, until_s, "let the verifiers vote")
        case Phase.VOTING:
            return Waiting(f"the verifiers' votes on {name}", until_s, "see the block appended and the winner paid")
        case _:
            return Waiting(f"the round of {name} to end", until_s, "wait for you to collect the model with fetch-model")
