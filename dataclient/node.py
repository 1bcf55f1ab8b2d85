"""The data client as a long-running role: serves its tasks until told to stop, or until none is open."""

from dataclient.client import client_of
from dataclient.pins import Keeper
from dataclient.serve import Server
from pole.chain.structs import TaskState
from pole.node.context import RoleContext
from pole.node.loop import Node, Waiting
from pole.node.pins import UNPIN_AFTER_S

NOTHING_OPEN = Waiting("a task of mine to serve", None, "publish its functional keys when its round opens")


class ClientNode(Node):
    """`is_idle`: no task of this client is pending or in a round. `unpin_after_s`: see `dataclient.pins`."""

    def __init__(self, context: RoleContext, unpin_after_s: int = UNPIN_AFTER_S) -> None:
        super().__init__(context)
        self._server = Server(client_of(context))
        self._keeper = Keeper(client_of(context), unpin_after_s)
        self.is_idle = False

    def act(self) -> Waiting:
        waiting = self._server.act()
        if not any(served.task.state is TaskState.IN_ROUND for served in self._server.tasks):
            self._keeper.act(self._server.tasks)
        self.is_idle = waiting is None
        return waiting or NOTHING_OPEN
