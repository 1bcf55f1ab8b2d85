"""The data client as a long-running role: serves its tasks until told to stop, or until none is open."""

from dataclient.client import client_of
from dataclient.serve import Server
from pole.cli import RoleContext
from pole.node import Node, Waiting

NOTHING_OPEN = Waiting("a task of mine to serve", None, "publish its functional keys when its round opens")


class ClientNode(Node):
    """`is_idle`: no task of this client is pending or in a round."""

    def __init__(self, context: RoleContext) -> None:
        super().__init__(context)
        self._server = Server(client_of(context))
        self.is_idle = False

    def act(self) -> Waiting:
        waiting = self._server.act()
        self.is_idle = waiting is None
        return waiting or NOTHING_OPEN
