"""How long a data client pins what it published for a gradient task, and the weights that were trained.

As with the learning chain, the newest weights are pinned as soon as the task is over, since their miner will unpin them
one day. Files and weights stay until `--unpin-after` after `gradient fetch`; a task without a block needs none of them.
"""

import time
from collections.abc import Iterator

import structlog

from dataclient.gradient.status import newest_header
from dataclient.gradient.task_folder import OrderHome, all_order_homes
from pole.chain.gradient_structs import GradientTask
from pole.gradient.manifest import fetch_gradient_manifest
from pole.node.context import RoleContext
from pole.node.pins import Pins
from pole.storage.cid import Cid

LOOK_EVERY_S = 5.0
_PIN_WITHIN_S = 5.0
_PLANNED = "gradient/pins/planned/"
_WEIGHTS = "gradient/pins/weights/"
_FETCHED = "gradient/fetched/"

log = structlog.get_logger()


class GradientKeeper:
    """Looks after the pins of all gradient tasks of a client on one deployment; `dataclient.pins` lets go of them."""

    def __init__(self, client: RoleContext, unpin_after_s: int) -> None:
        self._client, self._unpin_after_s = client, unpin_after_s
        self._pins = Pins(client.journal, client.store, log)
        self._needed: set[Cid] = set()
        self._look_at_s = 0.0

    def act(self) -> set[Cid]:
        """Pins weights, plans what to unpin; returns what has to stay. Raises StoreError, and can be called again."""
        if time.monotonic() >= self._look_at_s:
            self._needed = {cid for home, task in self._tasks() for cid in self._look(home, task)}
            self._look_at_s = time.monotonic() + LOOK_EVERY_S
        return self._needed

    def _tasks(self) -> Iterator[tuple[OrderHome, GradientTask]]:
        """Those on this chain that are not planned to be unpinned yet."""
        planned = self._client.journal.facts(_PLANNED)
        for home in all_order_homes(self._client.home):
            submitted = home.submitted()
            if submitted is None or submitted.deployment != self._client.chain.deployment.identity:
                continue
            if f"{_PLANNED}{submitted.task_id}" not in planned:
                yield home, self._client.contracts.gradient_chain.task(submitted.task_id)

    def _look(self, home: OrderHome, task: GradientTask) -> set[Cid]:
        """What a task still needs."""
        if task.state.is_over and task.blocks_done:
            self._keep_weights(home, task)
        files = self._published(task)
        if not self._is_ended(task):
            return files
        at_s = self._client.chain.block_time() + self._unpin_after_s
        self._pins.let_go_at(files, at_s)
        self._client.journal.remember(f"{_PLANNED}{task.task_id}", {"at_s": at_s})
        return set()

    def _is_ended(self, task: GradientTask) -> bool:
        """Whether nobody needs its files any more, but for the time that --unpin-after adds."""
        return task.state.is_over and (not task.blocks_done or self._recalled(_FETCHED, task) is not None)

    def _keep_weights(self, home: OrderHome, task: GradientTask) -> None:
        if self._recalled(_WEIGHTS, task) is not None:
            return
        header = newest_header(self._client.contracts.gradient_chain, task)
        if header is not None and header.weights is not None:
            self._client.store.pin(header.weights, _PIN_WITHIN_S)
            self._client.journal.remember(f"{_WEIGHTS}{task.task_id}", {"weights": str(header.weights)})
            said = f"gradient task {task.state.name.lower()} with {task.blocks_done} blocks"
            log.info(f"{said}; its weights wait for your gradient fetch", task=home.name, weights=str(header.weights))

    def _published(self, task: GradientTask) -> set[Cid]:
        """All that this client pins for a task."""
        manifest = fetch_gradient_manifest(self._client.store, task.terms.manifest)
        rows = {Cid.parse(file.cid) for file in (*manifest.data.training_set, manifest.test_set)}
        trained = self._recalled(_WEIGHTS, task)
        found = {task.terms.manifest, task.terms.genesis_weights, *rows}
        return found if trained is None else {*found, Cid.parse(trained["weights"])}

    def _recalled(self, what: str, task: GradientTask) -> dict[str, str] | None:
        return self._client.journal.recall(f"{what}{task.task_id}")


def note_fetched(client: RoleContext, task: GradientTask) -> None:
    """The client has the last weights of a task: from now on the time of --unpin-after runs."""
    if task.state.is_over:
        client.journal.remember(f"{_FETCHED}{task.task_id}", {"at_s": client.chain.block_time()})
