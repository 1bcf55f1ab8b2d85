"""Break the contracts on purpose and check that the invariants notice: `python -m tools.check_mutation`.

Each mutation is one line changed in a copy of the contracts. A campaign that still passes, or fails for another reason
than the invariant named here, is an error.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pole.errors import BadInput
from tools.contracts_copy import FORGE, copy_contracts, mutate

TIMEOUT_S = 3600


@dataclass(frozen=True)
class Mutation:
    """One line of a contract changed, the campaign that must fail, and one of the messages it must fail with."""

    what: str
    contract: str
    line: str
    mutant: str
    campaign: str
    failures: tuple[str, ...]


MUTATIONS = (
    Mutation(
        what="spent money stays in its pot's total",
        contract="RewardReservoir.sol",
        line="total[pot] -= amountWei;",
        mutant="",
        campaign="invariant_balance_is_the_sum_of_escrows_bonds_stakes_and_credits",
        failures=("I1:", "I2:"),
    ),
    Mutation(
        what="a few wei of rounding dust stay with an ended round",
        contract="RoundTreasury.sol",
        line="if (amountWei != 0) RESERVOIR.credit(",
        mutant="if (amountWei > 9) RESERVOIR.credit(",
        campaign="invariant_accounts_hold_what_their_keepers_owe",
        failures=("I4:", "I11:"),
    ),
    Mutation(
        what="commits are taken in any phase",
        contract="LearningChain.sol",
        line="_checkOpen(roundId, state.round, isOvertime ? Phase.Overtime : Phase.Training);",
        mutant="",
        campaign="invariant_no_forbidden_transition",
        failures=("I7:", "I10:"),
    ),
    Mutation(
        what="the client gets the fee that should return to its gradient task",
        contract="GradientTasks.sol",
        line="blocksLeft * (uint256(paying.terms.blockRewardWei) + paying.feeWei)",
        mutant="blocksLeft * uint256(paying.terms.blockRewardWei)",
        campaign="invariant_accounts_hold_what_their_keepers_owe",
        failures=("I28:",),
    ),
    Mutation(
        what="a third of the revealed weight decides",
        contract="libraries/Majority.sol",
        line="return support * 2 > total;",
        mutant="return support * 3 > total;",
        campaign="invariant_no_forbidden_transition",
        failures=("I33:",),
    ),
    Mutation(
        what="a tallier may omit lists",
        contract="BallotCount.sol",
        line="else if (isInTime || isOpened[ballotId][digest]) revert MissingList(ballotId, digest);",
        mutant="",
        campaign="invariant_no_forbidden_transition",
        failures=("I10:", "I33:"),
    ),
    Mutation(
        what="who had what most had not is slashed",
        contract="libraries/Verdicts.sol",
        line="if (kind >= UNAVAILABLE) continue;",
        mutant="if (kind == UNDECIDED) continue;",
        campaign="invariant_no_forbidden_transition",
        failures=("I35:", "I38:"),
    ),
    Mutation(
        what="silence costs less than noise",
        contract="VerifierStakes.sol",
        line=": Math.max(absencePpm, noisePpm);",
        mutant=": absencePpm;",
        campaign="invariant_no_forbidden_transition",
        failures=("I34:",),
    ),
    Mutation(
        what="a client that published no keys has its bond back",
        contract="libraries/Settlements.sol",
        line="if (reason == ILearningChain.AbortReason.KeysMissing) settled.clientBondTo = Payee.Seated;",
        mutant="",
        campaign="invariant_no_forbidden_transition",
        failures=("D1:",),
    ),
    Mutation(
        what="shares follow the stakes of now",
        contract="VerifierStakes.sol",
        line="= _seatedAt(atTime);",
        mutant="= _seatedAt(uint40(block.timestamp));",
        campaign="invariant_no_forbidden_transition",
        failures=("D9:",),
    ),
    Mutation(
        what="a header has the time of its last call",
        contract="LearningChain.sol",
        line="given.timestamp = voted.commitsClosedAt;",
        mutant="given.timestamp = uint40(block.timestamp);",
        campaign="invariant_no_forbidden_transition",
        failures=("D2:",),
    ),
    Mutation(
        what="a commit may name any previous hash",
        contract="RoundLedger.sol",
        line="if (previousHash == bytes32(0) || given != previousHash) {",
        mutant="if (previousHash == bytes32(0)) {",
        campaign="invariant_no_forbidden_transition",
        failures=("D11:",),
    ),
    Mutation(
        what="an equal bond takes a place in a full round",
        contract="LearningChain.sol",
        line="if (bondWei <= _bondWei(displaced)) revert RoundFull",
        mutant="if (bondWei < _bondWei(displaced)) revert RoundFull",
        campaign="invariant_no_forbidden_transition",
        failures=("D6:",),
    ),
    Mutation(
        what="a member of an open ballot may leave",
        contract="VerifierStakes.sol",
        line="if (block.timestamp < releaseAt || openBallots != 0) {",
        mutant="if (block.timestamp < releaseAt) {",
        campaign="invariant_no_forbidden_transition",
        failures=("I10:",),
    ),
    Mutation(
        what="a false claim may win",
        contract="RoundJudgement.sol",
        line="if (isClaimed && verdict.trainPpm < requiredTrainPpm) return;",
        mutant="",
        campaign="invariant_no_forbidden_transition",
        failures=("D13:",),
    ),
)


def run_campaign(project: Path, campaign: str) -> str:
    """Run one campaign, unoptimised to compile sooner; return what forge said."""
    command = [FORGE, "test", "--match-test", campaign]
    quick = {"FOUNDRY_OPTIMIZER": "false", "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0"}
    # From within: forge keeps failures where it runs, and would try them again on the next mutation.
    done = subprocess.run(
        command, cwd=project, env=os.environ | quick, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    return done.stdout + done.stderr


def check(mutation: Mutation) -> str | None:
    """Return what is wrong with this mutation's campaign; None if it failed as it must."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        try:
            copy_contracts(Path(folder), ["invariants"])
            mutate(Path(folder), mutation.contract, mutation.line, mutation.mutant)
        except BadInput as outdated:
            return str(outdated)
        output = run_campaign(Path(folder), mutation.campaign)
    failed = [line for line in output.splitlines() if line.startswith("[FAIL: ")]
    if any(message in line for line in failed for message in mutation.failures):
        return None
    return f"{mutation.campaign} did not fail with {' or '.join(mutation.failures)}:\n{output[-3000:]}"


def main() -> int:
    failures = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for mutation, problem in zip(MUTATIONS, pool.map(check, MUTATIONS), strict=True):
            print(f"{'caught' if problem is None else 'MISSED'}: {mutation.what} ({mutation.contract})")
            if problem is not None:
                print(problem, file=sys.stderr)
                failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
