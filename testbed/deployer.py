"""Deploys from a plain key over web3, without ape: for tests and measurements. Same plan as `ape run deploy`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from eth_account.signers.local import LocalAccount
from web3 import Web3

from pole.chain.deploy import deploy
from pole.chain.deployment import ContractName, DeployedContract, Deployment, kind_of
from pole.chain.profiles import Profile
from pole.errors import ChainError
from pole.storage.cid import Cid
from testbed.artifacts import compiled


def deploy_with_web3(
    web3: Web3,
    account: LocalAccount,
    profile: Profile,
    manifest: Cid,
    artifacts: Mapping[str, Any] | None = None,
    lanes: int = 1,
) -> Deployment:
    """Deploy everything from `account`, by default with one lane, whatever the profile says.

    `manifest` is the idle task's, `artifacts` by default those of contracts/.
    """
    profile = replace(profile, lanes=lanes)
    artifacts = artifacts or compiled()
    created: dict[str, DeployedContract] = {}
    contracts: dict[str, Any] = {}

    def create(name: ContractName, arguments: list[Any]) -> DeployedContract:
        artifact = artifacts[kind_of(name)]
        created[name] = create_contract(web3, account, artifact["abi"], artifact["bytecode"], arguments)
        contracts[name] = web3.eth.contract(address=cast(Any, created[name].address), abi=artifact["abi"])
        return created[name]

    def view(name: ContractName, function: str, arguments: list[Any]) -> Any:
        return contracts[name].functions[function](*arguments).call()

    nonce = web3.eth.get_transaction_count(account.address)
    chain = (web3.eth.chain_id, web3.eth.get_block(0)["hash"].to_0x_hex())
    return deploy(account.address, nonce, profile, manifest, chain, create, view)


def create_contract(
    web3: Web3, account: LocalAccount, abi: list[dict[str, Any]], bytecode: str, arguments: list[Any]
) -> DeployedContract:
    """Create one contract and wait until it is mined; raises ChainError if its constructor refuses."""
    contract: Any = web3.eth.contract(abi=abi, bytecode=bytecode)
    transaction = contract.constructor(*arguments).build_transaction(
        {
            "from": account.address,
            "nonce": web3.eth.get_transaction_count(account.address),
            "chainId": web3.eth.chain_id,
        }
    )
    sent = web3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=120, poll_latency=0.05)
    if receipt["status"] != 1 or receipt["contractAddress"] is None:
        raise ChainError(f"creation in transaction {sent.to_0x_hex()} failed; the constructor refused its arguments")
    return DeployedContract(
        address=receipt["contractAddress"],
        transaction_hash=sent.to_0x_hex(),
        block_number=receipt["blockNumber"],
        abi=abi,
    )
