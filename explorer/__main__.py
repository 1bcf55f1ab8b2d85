"""`python -m explorer`: index deployments and serve pages about them. Also `pole explorer`."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from explorer.chain.node import Node
from explorer.contents import Contents
from explorer.site import Site
from pole.chain.deployment import Deployment
from pole.errors import BadInput
from pole.node import logs
from pole.node.cli import rpc_option
from pole.node.exit import exit_code
from pole.paths import expanded
from pole.settings import variable
from pole.storage.store import Store, open_store

_OPTIONS = [
    rpc_option(),
    click.option(
        "--deployment",
        "deployments",
        type=click.Path(dir_okay=False, path_type=Path),
        multiple=True,
        help="Deployment file; several are shown side by side.  [default: deployments/<chain id>.json]",
    ),
    click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        default="~/.pole/explorer",
        show_default=True,
        help="Folder for the index, which can be deleted at any time.",
    ),
    click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True),
    click.option("--log-json", is_flag=True, help="Log JSON lines."),
]


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; it shows what is public anyway.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option(
    "--store",
    envvar=variable("store"),
    default="~/.pole/store",
    show_default=True,
    help="Content store for manifests: a folder, or an IPFS daemon's API.",
)
@click.option("--poll-interval", type=click.FloatRange(0.05, 60), default=1.0, show_default=True, help="Seconds.")
@click.pass_context
def cli(
    context: click.Context,
    host: str,
    port: int,
    store: str,
    poll_interval: float,
    rpc: tuple[str, ...],
    deployments: tuple[Path, ...],
    home: Path,
    log_level: str,
    log_json: bool,
) -> None:
    """Index the events of deployments and show them in a browser. Holds no key and sends nothing."""
    context.obj = (rpc, deployments, home)
    if context.invoked_subcommand is not None:
        return
    logs.configure(log_json, log_level)
    opened = open_store(store)
    with opened_sites(rpc, deployments, home, opened, poll_interval) as sites:
        serve(sites, opened, host, port)


for _option in reversed(_OPTIONS):
    cli = _option(cli)


@cli.command()
@click.pass_obj
def audit(given: tuple[tuple[str, ...], tuple[Path, ...], Path]) -> None:
    """Replay the proof of every figure of every page against the chain; exit status 1 if one disagrees."""
    from explorer.audit import audit_site

    rpc, deployments, home = given
    disagreements = 0
    with opened_sites(rpc, deployments, home, None, 1.0) as sites:
        for site in sites:
            site.indexer.catch_up()
            report = audit_site(site)
            disagreements += len(report.disagreements)
            for each in report.disagreements[:50]:
                click.echo(each)
            click.echo(f"{site.name}: {report.text}")
    if disagreements:
        raise BadInput(
            f"{disagreements} figures disagree with the chain; delete {home} and index anew, or report a bug"
        )


@contextmanager
def opened_sites(
    rpc: Sequence[str], deployments: Sequence[Path], home: Path, store: Store | None, poll_s: float
) -> Iterator[list[Site]]:
    """A site for each deployment; raises PoleError before anything is indexed."""
    node = Node(*rpc)
    found = [Deployment.load(path) for path in deployments]
    if not found:
        found = [Deployment.find(int(node.request("eth_chainId"), 16))]
    folder = expanded(home)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"cannot create --home {folder}: {exc.strerror}; choose another folder") from exc
    with ExitStack() as held:
        sites = []
        for deployment in found:
            site = Site(deployment, node, folder, store, poll_s)
            held.callback(site.close)
            site.indexer.check_chain()
            node.expect(deployment.chain_id, deployment.genesis_hash)
            sites.append(site)
        if len({site.name for site in sites}) != len(sites):
            raise BadInput("the same deployment was given twice; give each --deployment once")
        yield sites


def serve(sites: Sequence[Site], store: Store, host: str, port: int) -> None:
    """Until Ctrl-C or SIGTERM."""
    import uvicorn

    from explorer.web.app import create_app

    contents = Contents(store)
    app = create_app(sites, contents)
    threads = [threading.Thread(target=site.follow, name=f"indexer {site.name}") for site in sites]
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1, server_header=False
    )
    click.echo(f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/", err=True)  # noqa: S104
    for thread in threads:
        thread.start()
    try:
        uvicorn.Server(config).run()
    finally:
        app.state.pages.stopping.set()
        for site in sites:
            site.stop()
        for thread in threads:
            thread.join()
        contents.close()


def main() -> None:
    """The entry point."""
    sys.exit(exit_code(cli))


if __name__ == "__main__":
    main()
