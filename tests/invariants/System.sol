// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {IBlockLedger} from "../../contracts/interfaces/IBlockLedger.sol";
import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {IRewardToken} from "../../contracts/interfaces/IRewardToken.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {AnchorSource} from "../../contracts/libraries/Anchors.sol";
import {OmmerFormula} from "../../contracts/libraries/OmmerRewards.sol";
import {BlockLedger} from "../../contracts/BlockLedger.sol";
import {GradientChain} from "../../contracts/GradientChain.sol";
import {LearningChain} from "../../contracts/LearningChain.sol";
import {RewardReservoir} from "../../contracts/RewardReservoir.sol";
import {RewardToken} from "../../contracts/RewardToken.sol";
import {TaskMarket} from "../../contracts/TaskMarket.sol";
import {VerifierCommittee} from "../../contracts/VerifierCommittee.sol";
import {VM} from "./Vm.sol";

/// @notice The whole deployment with two lanes, with short windows and small sums. `chain` and `ledger` are those of the
/// lane that is acted on.
abstract contract System {
    uint128 internal constant CLIENT_BOND_WEI = 5_003;
    uint128 internal constant MIN_REWARD_WEI = 1_000;
    uint128 internal constant MINER_BOND_WEI = 700 gwei;
    uint128 internal constant GRADIENT_BOND_WEI = 700;
    uint128 internal constant JUDGING_FEE_WEI = 3 gwei;
    uint128 internal constant MIN_STAKE_WEI = 10_000;
    uint32 internal constant SEAT_WAIT_S = 120;
    uint32 internal constant REQUIRED_PPM = 800_000;
    uint128 internal constant WINNER_REWARD = 32_003;
    uint256 public constant LANES = 2;

    IRewardReservoir public reservoir;
    IRewardToken public token;
    ITaskMarket public market;
    IVerifierCommittee public committee;
    ILearningChain public chain;
    IGradientChain public gradient;
    IBlockLedger public ledger;
    ILearningChain[LANES] public chains;
    IBlockLedger[LANES] public ledgers;

    function _deploy(OmmerFormula formula) internal {
        uint256 nonce = VM.getNonce(address(this));
        // Market, committee and gradient chain first, then a chain and a ledger for each lane.
        address[] memory operators = new address[](3 + LANES);
        address[] memory keepers = new address[](3 + LANES);
        address[] memory minters = new address[](LANES);
        address[] memory lanes = new address[](LANES);
        address[] memory voted = new address[](LANES + 1);
        for (uint256 i = 0; i < 3; i++) {
            keepers[i] = operators[i] = VM.computeCreateAddress(address(this), nonce + 2 + i);
        }
        for (uint256 i = 0; i < LANES; i++) {
            lanes[i] = operators[3 + i] = voted[i] = VM.computeCreateAddress(address(this), nonce + 5 + 2 * i);
            keepers[3 + i] = operators[0];
            minters[i] = VM.computeCreateAddress(address(this), nonce + 6 + 2 * i);
        }
        voted[LANES] = operators[2];

        reservoir = new RewardReservoir(operators, keepers);
        token = new RewardToken(minters);
        market = new TaskMarket(reservoir, lanes, _marketParameters());
        committee = new VerifierCommittee(reservoir, voted, _committeeParameters());
        gradient = new GradientChain(reservoir, committee, _gradientParameters());
        require(address(gradient) == operators[2], "addresses were not predicted");
        for (uint256 i = 0; i < LANES; i++) {
            _deployLane(i, formula, minters[i]);
            require(address(chains[i]) == lanes[i], "addresses were not predicted");
        }
        _goTo(0);
    }

    function _deployLane(uint256 index, OmmerFormula formula, address ledgerAt) private {
        chains[index] = new LearningChain(
            reservoir, market, committee, IBlockLedger(ledgerAt), _chainParameters(), _idleTask()
        );
        ledgers[index] = new BlockLedger(
            token,
            address(chains[index]),
            IBlockLedger.LedgerParameters(WINNER_REWARD, formula, AnchorSource.BlockHash),
            _idleTask().manifest
        );
        require(address(ledgers[index]) == ledgerAt, "addresses were not predicted");
    }

    function _goTo(uint256 lane) internal {
        (chain, ledger) = (chains[lane], ledgers[lane]);
    }

    function _marketParameters() private pure returns (ITaskMarket.MarketParameters memory) {
        return ITaskMarket.MarketParameters({
            clientBondWei: CLIENT_BOND_WEI,
            minRewardWei: MIN_REWARD_WEI,
            verifierFeePpm: 70_000,
            maxTimeLimitS: 3_600,
            minTimeLimitS: 60,
            roundWindowsS: 840
        });
    }

    function _committeeParameters() private pure returns (IVerifierCommittee.CommitteeParameters memory) {
        return IVerifierCommittee.CommitteeParameters({
            minStakeWei: MIN_STAKE_WEI,
            floorStakeWei: MIN_STAKE_WEI / 2,
            minSeated: 1,
            seatWaitS: SEAT_WAIT_S,
            displacementPpm: 100_000,
            unbondingPeriodS: 300,
            voteCommitWindowS: 120,
            voteEntryS: 2,
            voteRevealWindowS: 120,
            voteOpeningWindowS: 120,
            maxExtensions: 1,
            absencePenaltyPpm: 50_000,
            noisePenaltyPpm: 200_000
        });
    }

    function _chainParameters() private pure returns (ILearningChain.ChainParameters memory) {
        return ILearningChain.ChainParameters({
            keysWindowS: 120,
            overtimeWindowS: 120,
            releaseWindowS: 120,
            revealWindowS: 120,
            minerBondWei: MINER_BOND_WEI,
            judgingFeeWei: JUDGING_FEE_WEI,
            judgingFeePpm: 25_000,
            occupancyPpm: 200_000
        });
    }

    function _gradientParameters() private pure returns (IGradientChain.GradientParameters memory) {
        return IGradientChain.GradientParameters({
            minerBondWei: GRADIENT_BOND_WEI,
            minBlockRewardWei: MIN_REWARD_WEI,
            verifierFeePpm: 70_000,
            collectWindowS: 30,
            exitDelayS: 60,
            maxBlockTimeLimitS: 3_600,
            anchor: AnchorSource.BlockHash
        });
    }

    function _idleTask() private pure returns (ILearningChain.IdleTask memory) {
        return ILearningChain.IdleTask({
            manifest: Cid(Cids.RAW, keccak256("idle manifest")),
            timeLimitS: 120,
            requiredTrainPpm: 800_000,
            solutionsWanted: 2,
            earliestCloseS: 10
        });
    }
}
