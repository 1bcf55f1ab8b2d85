"""Indexes and is killed at the n-th statement that its database sees: `killed.py RPC DEPLOYMENT FOLDER N`."""

import os
import signal
import sys
from pathlib import Path

from explorer.chain.node import Node
from explorer.site import Site
from pole.chain.deployment import Deployment


def main() -> None:
    rpc_url, deployment, folder, countdown = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    site = Site(Deployment.load(deployment), Node(rpc_url), folder)
    left = [countdown]

    def count(_statement: str) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    site.indexer.connection.set_trace_callback(count)
    site.indexer.catch_up()
    print(countdown - left[0])


if __name__ == "__main__":
    main()
