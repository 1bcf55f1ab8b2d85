"""How long a data client pins what it published and the models it paid for: until some time after it collected them.

A solved task's model is pinned as soon as the round is over, since the winner will unpin it one day. Files and model
stay until `--unpin-after` after the client has collected the model. A task without a model no longer needs its files.
"""

import time
from collections.abc import Callable, Sequence, Set

import structlog

from dataclient.collect import winning_header
from dataclient.served_tasks import ServedTask
from pole.chain.structs import TaskState
from pole.errors import BadInput, StoreError
from pole.learning.round_files import fetch_manifest
from pole.node.context import RoleContext
from pole.node.pins import Pins
from pole.storage.cid import Cid
from pole.task.manifest import InnerProductEncryption

# One attempt must not make the client miss a deadline; what it fetched need not come again.
_PIN_WITHIN_S = 5.0
_RETRY_S = 30.0
_LET_GO_EVERY_S = 5.0
_PLANNED = "pins/planned/"

log = structlog.get_logger()


class Keeper:
    """Looks after the pins of all tasks of a client on one deployment; `act` is called while none is in a round.

    `needed_elsewhere`: what must stay for the other chain.
    """

    def __init__(
        self, client: RoleContext, unpin_after_s: int, needed_elsewhere: Callable[[], Set[Cid]] = frozenset
    ) -> None:
        self._client, self._unpin_after_s, self._needed_elsewhere = client, unpin_after_s, needed_elsewhere
        self._pins = Pins(client.journal, client.store, log)
        self._pin_at_s = self._let_go_at_s = 0.0

    def act(self, tasks: Sequence[ServedTask]) -> None:
        """Pins models, plans what to unpin, unpins what is due. What fails is logged and tried again later."""
        planned = self._client.journal.facts(_PLANNED)
        waiting = [served for served in tasks if f"{_PLANNED}{served.task.task_id}" not in planned]
        try:
            self._keep_models(waiting)
            for served in waiting:
                if self._is_ended(served):
                    self._plan(served)
            if time.monotonic() >= self._let_go_at_s:
                self._let_go_at_s = time.monotonic() + _LET_GO_EVERY_S
                needed = {cid for served in waiting if not self._is_ended(served) for cid in self._published(served)}
                self._pins.let_go(self._client.chain.block_time(), needed | self._needed_elsewhere())
        except (StoreError, BadInput) as exc:
            self._pin_at_s = time.monotonic() + _RETRY_S
            log.warning(f"pins are checked again later: {exc}")

    def _keep_models(self, tasks: Sequence[ServedTask]) -> None:
        if time.monotonic() >= self._pin_at_s:
            for served in tasks:
                if served.task.state is TaskState.SOLVED and not self._is_ended(served):
                    self._keep_model(served)

    def _is_ended(self, served: ServedTask) -> bool:
        """Whether nobody needs its files any more, but for the time that --unpin-after adds."""
        if served.task.state is TaskState.SOLVED:
            return self._client.journal.recall(f"collected/{served.task.task_id}") is not None
        return served.task.state in (TaskState.REFUNDED, TaskState.CANCELLED)

    def _keep_model(self, served: ServedTask) -> None:
        key = f"pins/model/{served.task.task_id}"
        if self._client.journal.recall(key) is not None:
            return
        model = winning_header(self._client, served.task.task_id).model
        if model is not None:
            self._client.store.pin(model, _PIN_WITHIN_S)
            self._client.journal.remember(key, {"model": str(model)})
            log.info("task solved; its model waits for your fetch-model", task=served.home.name, model=str(model))

    def _plan(self, served: ServedTask) -> None:
        at_s = self._client.chain.block_time() + self._unpin_after_s
        self._pins.let_go_at(self._published(served), at_s)
        self._client.journal.remember(f"{_PLANNED}{served.task.task_id}", {"at_s": at_s})

    def _published(self, served: ServedTask) -> set[Cid]:
        """All that this client pins for a task."""
        task_id, prepared = served.task.task_id, served.home.prepared()
        manifest = fetch_manifest(self._client.store, served.task.terms.manifest)
        found = {served.task.terms.manifest, *(Cid.parse(part.cid) for part in served.home.progress().parts)}
        found |= set() if prepared is None else {prepared.test_set_cid}
        if isinstance(manifest.encryption, InnerProductEncryption):
            found.add(Cid.parse(manifest.encryption.public_key))
        for fact in self._client.journal.facts(f"pins/keys/{task_id}/").values():
            found.add(Cid.parse(fact["keys"]))
        model = self._client.journal.recall(f"pins/model/{task_id}")
        return found if model is None else {*found, Cid.parse(model["model"])}
