"""What every step of a height on the gradient chain costs; a part of `make gas`.

Two heights are played on one anvil: at the first all verifiers find every proposal invalid, so that every bond is lost;
the second makes a block, with as many noisy verifiers as a majority bears, whose votes nobody opens.
"""

import sys
from dataclasses import replace

from eth_account import Account
from rich.console import Console
from web3 import Web3

from benchmarks.gas import ACCOUNTS, VERIFIER_COUNTS, Bench, Measurement, Votes, pass_time, report
from pole.chain.abi import to_abi
from pole.chain.deployment import Deployment
from pole.chain.gradient_structs import GradientTerms, HeightPhase, Rules
from pole.chain.profiles import LOCAL
from pole.chain.structs import VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.gradient.difficulty import MAX_THRESHOLD
from pole.storage.cid import RAW, Cid
from testbed.chain import MNEMONIC, development_chain, web3_at
from testbed.deployer import deploy_with_web3

MAX_PROPOSALS = 8
_PROFILE = replace(LOCAL, gradient=replace(LOCAL.gradient, collect_window_s=600))
"""Eight proposals take anvil more than a second."""

_WEIGHTS = Cid(RAW, Web3.keccak(text="weights"))
_TERMS = GradientTerms(
    manifest=_WEIGHTS,
    genesis_weights=_WEIGHTS,
    rules=Rules.HARDENED,
    block_reward_wei=10**15,
    block_count=2,
    target_test_ppm=0,
    target_interval_s=600,
    block_time_limit_s=3_600,
    min_step=1,
    max_step=1_000,
    initial_threshold=MAX_THRESHOLD,
)


class GradientBench(Bench):
    """Plays heights with `measurement.miners` proposals each."""

    def __init__(self, web3: Web3, deployment: Deployment, measurement: Measurement) -> None:
        super().__init__(web3, deployment, measurement)
        self.chain = self.contract("GradientChain").functions
        self.is_valid = True

    def play_heights(self) -> None:
        """A height at which everything is bad, and one that makes a block."""
        self._enrol()
        self._open()
        self.is_valid = False
        bad = pack_verdict(Part(VerdictKind.INVALID), Part(VerdictKind.NONE))
        self._play_height([[bad] * len(self.miners)] * len(self.verifiers))
        self._enrol()
        self._stop()
        self._open()
        self.is_valid = True
        self._play_height(self.noisy())

    def _enrol(self) -> None:
        for miner in self.miners:
            self.call("miner", "enrol", miner, self.chain.enrol(), LOCAL.gradient.miner_bond_wei)

    def _open(self) -> None:
        cost_wei = self.chain.costOf(to_abi(_TERMS)).call()
        self.call("client", "submit", self.client, self.chain.submit(to_abi(_TERMS)), cost_wei)
        self.call("anyone", "open the task", self.anyone, self.chain.openTask())

    def _play_height(self, votes: Votes) -> None:
        height = self.chain.current().call()[0]
        previous_hash = self.chain.headerHash(height - 1).call()
        for miner in self.miners:
            propose = self.chain.propose(height, previous_hash, 1, 0, to_abi(_WEIGHTS), to_abi(_WEIGHTS))
            self.call("miner", "propose", miner, propose)
        pass_time(self.web3, _PROFILE.gradient.collect_window_s)
        self.call("anyone", "open the ballot", self.anyone, self.chain.advance())
        self._vote(self.chain.current().call()[5], votes, is_split=False)
        step = "accept a block" if self.is_valid else "reject all proposals"
        self.call("anyone", step, self.anyone, self.chain.advance())

    def _stop(self) -> None:
        """The slashed miners may only propose on top of a newer header, which the next task's opening is."""
        self.web3.provider.make_request("evm_increaseTime", [_TERMS.block_time_limit_s])  # type: ignore[arg-type]
        self.call("anyone", "stop the task", self.anyone, self.chain.advance())
        if self.chain.current().call()[2] != HeightPhase.IDLE:
            raise RuntimeError("the task that timed out was not stopped")


def measure_gradient(proposals: int, verifiers: int) -> Measurement:
    """Play both heights of one size."""
    measurement = Measurement(proposals, verifiers)
    Account.enable_unaudited_hdwallet_features()
    with development_chain(block_time_s=None, accounts=ACCOUNTS) as node:
        web3 = web3_at(node.rpc_url)
        deployment = deploy_with_web3(web3, Account.from_mnemonic(MNEMONIC), _PROFILE, _WEIGHTS)
        bench = GradientBench(web3, deployment, measurement)
        bench.stake()
        bench.play_heights()
    return measurement


def main() -> int:
    measurements = [measure_gradient(MAX_PROPOSALS, verifiers) for verifiers in VERIFIER_COUNTS]
    return report(Console(width=None if sys.stdout.isatty() else 140), measurements)


if __name__ == "__main__":
    sys.exit(main())
