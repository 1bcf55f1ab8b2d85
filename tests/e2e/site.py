"""Where an end-to-end test takes place: a node with the contracts deployed, and a folder for everything else."""

from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from pole.chain.deployment import Deployment
from pole.chain.profiles import ETHER, LOCAL, IdleTerms, Profile
from pole.chain.structs import (
    AnchorSource,
    ChainParameters,
    CommitteeParameters,
    LedgerParameters,
    MarketParameters,
    OmmerFormula,
)
from pole.learning.idle import publish_idle_task
from pole.storage.store import Store, open_store
from testbed.chain import MNEMONIC, web3_at
from testbed.deployer import deploy_with_web3

DEPLOYER = 0

PROFILE = Profile(
    "e2e",
    MarketParameters(
        client_bond_wei=ETHER // 10,
        min_reward_wei=ETHER // 100,
        verifier_fee_ppm=100_000,
        max_time_limit_s=600,
        min_time_limit_s=1,
        round_windows_s=630,
    ),
    CommitteeParameters(
        min_stake_wei=ETHER,
        floor_stake_wei=ETHER // 2,
        min_seated=1,
        seat_wait_s=90,
        displacement_ppm=100_000,
        unbonding_period_s=60,
        vote_commit_window_s=90,
        vote_entry_s=0,
        vote_reveal_window_s=90,
        vote_opening_window_s=90,
        max_extensions=1,
        absence_penalty_ppm=20_000,
        noise_penalty_ppm=100_000,
    ),
    ChainParameters(
        keys_window_s=90,
        overtime_window_s=90,
        release_window_s=90,
        reveal_window_s=90,
        miner_bond_wei=ETHER // 20,
        judging_fee_wei=ETHER // 1_000,
        judging_fee_ppm=25_000,
        occupancy_ppm=200_000,
    ),
    LedgerParameters(winner_reward=32 * ETHER, ommer_formula=OmmerFormula.FRACTION, anchor=AnchorSource.BLOCK_HASH),
    LOCAL.gradient,
    IdleTerms(time_limit_s=60, required_train_ppm=900_000, solutions_wanted=1, earliest_close_s=0),
    lanes=1,
)
"""Windows long enough for a process to start on a busy machine. A test that waits for one to pass moves the clock."""


@dataclass(frozen=True)
class Site:
    """One deployment on one node; `store` is the content store that all share."""

    rpc_url: str
    deployment: Deployment
    folder: Path

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / "store"))


def development_account(index: int) -> LocalAccount:
    """Account `index` of every development chain."""
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return account


def deploy_site(rpc_url: str, folder: Path, lanes: int = 1) -> Site:
    """Deploy the contracts with windows for tests; the deployment file is `deployment.json` in the folder."""
    web3 = web3_at(rpc_url)
    manifest = publish_idle_task(open_store(str(folder / "store")))
    deployment = deploy_with_web3(web3, development_account(DEPLOYER), PROFILE, manifest, lanes=lanes)
    deployment.save(folder / "deployment.json")
    return Site(rpc_url, deployment, folder)
