"""`ape run deploy`: creates the contracts, checks their wiring and writes the deployment file that the roles read."""

import dataclasses
from pathlib import Path
from typing import Any

import click
from ape import accounts, chain, project
from ape.cli import ConnectedProviderCommand
from eth_utils.address import to_checksum_address

from pole.chain.artifacts import check_compiled
from pole.chain.deploy import creation_gas, deploy
from pole.chain.deployment import CONTRACT_NAMES, ContractName, DeployedContract, Deployment, kind_of
from pole.chain.networks import NAMES, anchor_for
from pole.chain.profiles import MAX_LANES, PROFILES, Profile, profile
from pole.chain.structs import OmmerFormula
from pole.errors import BadInput, ChainError, PoleError
from pole.learning.idle import publish_idle_task
from pole.settings import variable
from pole.storage.cid import Cid
from pole.storage.store import open_store

_DEVELOPMENT_FUNDS_WEI = 100 * 10**18
_PATIENCE_S = 600


@click.command(cls=ConnectedProviderCommand)
@click.option(
    "--profile", "profile_name", type=click.Choice(list(PROFILES)), help="[default: local on development networks]"
)
@click.option(
    "--account", "alias", help="ape account that pays.  [default: first test account on development networks]"
)
@click.option(
    "--lanes",
    type=click.IntRange(1, MAX_LANES),
    help="Chains of blocks side by side, which share R_w.  [default: local 2, public 4]",
)
@click.option(
    "--anchor",
    type=click.Choice(list(NAMES.values())),
    help="What nobody can foresee: the source of PHS.  [default: what is right on this network]",
)
@click.option(
    "--ommer-formula",
    type=click.Choice([formula.name.lower() for formula in OmmerFormula]),
    default="fraction",
    show_default=True,
    help="Reading of equation (2): R_w / (H_w - H_o) * O_num, or as printed.",
)
@click.option(
    "--store", envvar=variable("store"), default="~/.pole/store", show_default=True, help="Where the idle task is put."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: deployments/<chain id>.json]")
def cli(
    profile_name: str | None,
    alias: str | None,
    lanes: int | None,
    anchor: str | None,
    ommer_formula: str,
    store: str,
    out: Path | None,
) -> None:
    """Deploy the contracts and write the deployment file that the roles read.

    Works on ethereum:local:foundry, ethereum:local:test and on a running node (--network ethereum:local:http://...).
    """
    try:
        chosen = _with_formula(_profile(profile_name), OmmerFormula[ommer_formula.upper()])
        chosen = chosen if lanes is None else dataclasses.replace(chosen, lanes=lanes)
        wanted = None if anchor is None else next(source for source, name in NAMES.items() if name == anchor)
        is_development = chain.provider.network.is_dev
        chosen = chosen.with_anchor(anchor_for(chain.provider.web3, wanted, is_development=is_development))
        manifest = publish_idle_task(open_store(store))
        deployment = _deploy(_account(alias), chosen, manifest)
        path = out or Path(project.path) / "deployments" / f"{deployment.chain_id}.json"
        deployment.save(path)
    except PoleError as exc:
        raise click.ClickException(str(exc)) from exc
    for name, contract in deployment.contracts.items():
        click.echo(f"{name:18} {contract.address}")
    click.echo(
        f"profile {deployment.profile}, {deployment.lanes} lanes, PHS from {NAMES[chosen.ledger.anchor]}, "
        f"chain {deployment.chain_id}, written to {path}"
    )


def _deploy(account: Any, chosen: Profile, manifest: Cid) -> Deployment:
    for name in CONTRACT_NAMES:  # before anything is paid for
        check_compiled(name, _hex(bytes(project.contracts[name].contract_type.get_deployment_bytecode())))
    created: dict[str, Any] = {}

    def create(name: ContractName, arguments: list[Any]) -> DeployedContract:
        container = project.contracts[kind_of(name)]
        gas = creation_gas(name, _estimate(account, container, arguments))
        receipt = _mined(account, container(*arguments, gas=gas))
        created[name] = container.at(receipt["contractAddress"])
        abi = [entry.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in container.contract_type.abi]
        return DeployedContract(
            address=to_checksum_address(receipt["contractAddress"]),
            transaction_hash=_hex(receipt["transactionHash"]),
            block_number=receipt["blockNumber"],
            abi=abi,
        )

    def view(name: ContractName, function: str, arguments: list[Any]) -> Any:
        result = getattr(created[name], function)(*arguments)
        return _plain(result)

    genesis = _hex(chain.provider.get_block(0).hash)
    return deploy(account.address, account.nonce, chosen, manifest, (chain.chain_id, genesis), create, view)


def _mined(account: Any, creation: Any) -> Any:
    """The receipt of a contract's creation. ape waits for none where blocks come by the clock, on hardhat's node."""
    creation.sender = account.address
    sent = account.call(creation)
    receipt = chain.provider.web3.eth.wait_for_transaction_receipt(sent.txn_hash, timeout=_PATIENCE_S)
    if receipt["status"] != 1:
        raise ChainError(f"creation in transaction {sent.txn_hash} failed; the constructor refused its arguments")
    return receipt


def _estimate(account: Any, container: Any, arguments: list[Any]) -> int:
    """ape gives a transaction the gas of a whole block on development networks, and estimates on others."""
    data = container.constructor.serialize_transaction(*arguments).data
    return int(chain.provider.web3.eth.estimate_gas({"from": account.address, "data": _hex(bytes(data))}))


def _profile(name: str | None) -> Profile:
    if name is None and not chain.provider.network.is_dev:
        raise BadInput("give --profile: parameters cannot be changed after a deployment to a public network")
    return profile(name or "local")


def _with_formula(chosen: Profile, formula: OmmerFormula) -> Profile:
    return dataclasses.replace(chosen, ledger=dataclasses.replace(chosen.ledger, ommer_formula=formula))


def _account(alias: str | None) -> Any:
    """The ape account; a test account on somebody else's development node gets ether from that node's first account."""
    if alias is not None:
        if alias not in accounts.aliases:
            raise BadInput(f"ape has no account {alias!r}; see `ape accounts list`, or `ape accounts generate {alias}`")
        account = accounts.load(alias)
        account.set_autosign(True)  # else it asks again for each of the contracts
        return account
    if not chain.provider.network.is_dev:
        raise BadInput("give --account: there are no test accounts on a public network")
    account = accounts.test_accounts[0]
    web3 = chain.provider.web3
    if account.balance == 0 and web3.eth.accounts:
        sent = web3.eth.send_transaction(
            {"from": web3.eth.accounts[0], "to": account.address, "value": _DEVELOPMENT_FUNDS_WEI}
        )
        web3.eth.wait_for_transaction_receipt(sent)
    return account


def _hex(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if text.startswith("0x") else f"0x{text}"


def _plain(value: Any) -> Any:
    """ape's structs as tuples."""
    if isinstance(value, str | bytes | int):
        return value
    return tuple(_plain(part) for part in value)
