"""The explorer's server inside the test's process, on a port of its own."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from explorer.contents import Contents
from explorer.site import Site
from explorer.web.app import create_app
from pole.storage.store import Store
from testbed.chain import free_port


@contextmanager
def served(sites: Sequence[Site], store: Store | None = None, follows: bool = False) -> Iterator[str]:
    """The address; `follows`: the indexers run too."""
    contents = Contents(store)
    app = create_app(sites, contents)
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    threads = [threading.Thread(target=server.run)]
    threads += [threading.Thread(target=site.follow) for site in sites if follows]
    for thread in threads:
        thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.pages.stopping.set()
        server.should_exit = True
        for site in sites:
            site.stop()
        for thread in threads:
            thread.join()
        contents.close()
