"""`ape run deploy` as a person runs it, on every kind of node, and what it says when it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.profiles import LOCAL, PUBLIC
from pole.chain.structs import OmmerFormula
from pole.storage.folder import FolderStore
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest
from testbed.chain import development_chain
from testbed.nodes import Kind, is_installed
from tests.paths import ROOT

pytestmark = pytest.mark.slow
OTHERS: list[Kind] = ["ganache", "geth", "hardhat"]


def ape_run_deploy(network: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the command; the deployment file goes to `folder`/deployment.json, the idle task to `folder`/store."""
    ape = str(Path(sys.executable).with_name("ape"))
    command = [ape, "run", "deploy", "--network", network, "--out", str(folder / "deployment.json")]
    environment = os.environ | {
        "SOLCX_BINARY_PATH": str(ROOT / "tools" / "solc"),
        "PATH": f"{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [*command, "--store", str(folder / "store"), *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def deployed(network: str, folder: Path, *options: str) -> Deployment:
    result = ape_run_deploy(network, folder, *options)
    assert result.returncode == 0, result.stdout + result.stderr
    return Deployment.load(folder / "deployment.json")


def test_deploy__unknown_account__names_it_and_writes_nothing(tmp_path: Path) -> None:
    result = ape_run_deploy("ethereum:local:test", tmp_path, "--account", "nobody-has-this-alias")
    assert result.returncode != 0
    assert "ape has no account 'nobody-has-this-alias'" in result.stdout + result.stderr
    assert not (tmp_path / "deployment.json").exists()


def test_deploy__eth_tester__writes_a_valid_file_and_the_idle_task(tmp_path: Path) -> None:
    deployment = deployed("ethereum:local:test", tmp_path, "--profile", "public", "--ommer-formula", "printed")
    assert (deployment.chain_id, deployment.profile) == (1337, "public")
    assert deployment.parameters["chain"]["keys_window_s"] == PUBLIC.chain.keys_window_s
    assert deployment.parameters["ledger"]["ommer_formula"] == OmmerFormula.PRINTED


def test_deploy__anvil_started_by_ape__writes_a_valid_file(tmp_path: Path) -> None:
    deployment = deployed("ethereum:local:foundry", tmp_path)
    assert (deployment.chain_id, deployment.profile) == (31337, "local")


@pytest.mark.parametrize("kind", ["anvil", *(pytest.param(kind, marks=pytest.mark.full) for kind in OTHERS)])
def test_deploy__running_node__can_be_used_by_the_roles(kind: Kind, tmp_path: Path) -> None:
    if not is_installed(kind):
        pytest.skip(f"{kind} is not installed; `make nodes` does it")
    with development_chain(kind, block_time_s=1, chain_id=1337) as chain:
        deployment = deployed(f"ethereum:local:{chain.rpc_url}", tmp_path)
        contracts = Contracts.of(ChainClient.connect(chain.rpc_url, deployment))
        assert contracts.learning_chain.parameters() == LOCAL.chain
        assert contracts.block_ledger.header(0).model == contracts.learning_chain.idle_task().manifest
        content = FolderStore(tmp_path / "store").get(contracts.learning_chain.idle_task().manifest, MAX_MANIFEST_BYTES)
        assert Manifest.from_bytes(content).name == "idle: scikit-learn digits"
        assert deployment.idle_manifest == str(contracts.learning_chain.idle_task().manifest)
