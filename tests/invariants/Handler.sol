// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {OmmerFormula} from "../../contracts/libraries/OmmerRewards.sol";
import {Cheats} from "./Cheats.sol";
import {VM} from "./Vm.sol";

/// @notice The calls that a campaign is made of. A role that has nothing to do lets the round go on instead, so that
/// no call is wasted and none may revert.
contract Handler is Cheats {
    uint256 private _callCount;

    constructor(OmmerFormula formula) {
        _pass(0);
        _deploy(formula);
    }

    function clientSubmits(uint256 seed) external observed {
        seed = _mix(seed);
        if (market.pendingCount() < MAX_PENDING) _submitTask(seed);
        else _goOn(seed);
    }

    function clientCancels(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 4 == 0) _cancelTask(seed >> 2);
        else _goOn(seed);
    }

    function minerCommits(uint256 seed) external observed {
        seed = _mix(seed);
        uint64 roundId = chain.roundCount();
        if (_isTaking(roundId)) _commitOrLapse(roundId, chain.round(roundId).phase, seed);
        else _goOn(seed);
    }

    function verifierStakes(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 2 == 0 || committee.seated().length < 3) _stake(seed >> 1);
        else _goOn(seed);
    }

    function verifierLeaves(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 64 == 0) _everybodyLeaves();
        else if (seed % 64 == 4) _changeVoter(seed >> 6);
        else if (seed % 8 == 0) _requestUnstake(seed >> 6);
        else if (seed % 8 < 4) _completeUnstake(_verifier(seed >> 6));
        else _goOn(seed);
    }

    function payeeWithdraws(uint256 seed) external observed {
        seed = _mix(seed);
        address[] memory all = payees();
        if (all.length == 0 || owedWei[all[seed % all.length]] == 0) _goOn(seed);
        else _withdraw(all[seed % all.length]);
    }

    /// @notice Whoever's turn it is acts.
    function roundGoesOn(uint256 seed) external observed {
        _goOn(_mix(seed));
    }

    /// @notice Nobody acts until the deadline: keys, commits, releases, reveals and votes go missing.
    function nobodyActs(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 4 == 0) _lapse();
        else _goOn(seed);
    }

    function timePasses(uint256 seed) external observed {
        seed = _mix(seed);
        _pass(seed % 32);
        _goOn(seed >> 8);
    }

    function intruderTries(uint256 seed) external observed {
        _tryIllegal(_mix(seed));
    }

    function cheaterTries(uint256 seed) external observed {
        _cheat(_mix(seed));
    }

    function gradientClientActs(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 4 != 0) _gradientGoesOn(seed >> 8);
        else if (seed % 8 == 0) _cancelGradientTask(seed >> 8);
        else if (gradient.pendingCount() < MAX_PENDING) _submitGradientTask(seed >> 8);
    }

    function gradientMinerActs(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 32 == 0) _requestExit(_miner(seed >> 8));
        else if (seed % 8 == 1) _completeExit(_miner(seed >> 8));
        else if (seed % 8 < 4) _enrol(_miner(seed >> 8));
        else _proposeBlock(seed >> 8);
    }

    function gradientGoesOn(uint256 seed) external observed {
        seed = _mix(seed);
        if (seed % 64 == 0) _lapseGradient();
        else _gradientGoesOn(seed >> 8);
    }

    /// @notice Brings everything to its end: round and height finish, tasks, bonds and stakes are taken back, all is
    /// withdrawn.
    function windUp() external {
        _isStaying = true;
        for (uint256 i = 0; i < LANES; i++) {
            _goTo(i);
            while (isRoundOpen()) _lapseObserved();
        }
        while (isGradientOpen()) _lapseGradientObserved();
        for (uint64 taskId = gradient.taskCount(); gradient.pendingCount() > 0; taskId--) {
            _cancelGradientObserved(taskId);
        }
        address[] memory miners = gradientMiners();
        for (uint256 i = 0; i < miners.length; i++) {
            _quitObserved(miners[i]);
        }
        for (uint64 taskId = market.taskCount(); market.pendingCount() > 0; taskId--) {
            _cancelObserved(taskId);
        }
        address[] memory stakers = verifiers();
        for (uint256 i = 0; i < stakers.length; i++) {
            _leaveObserved(stakers[i]);
        }
        address[] memory all = payees();
        for (uint256 i = 0; i < all.length; i++) {
            if (owedWei[all[i]] > 0) _withdrawObserved(all[i]);
        }
    }

    /// @dev Does what is due now: opens, advances, or lets the next one in line act.
    function _goOn(uint256 seed) private {
        uint64 roundId = chain.roundCount();
        ILearningChain.Round memory round = chain.round(roundId);
        if (round.phase == ILearningChain.Phase.None || _isFinal(round.phase)) {
            _open();
        } else if (chain.isDue(roundId)) {
            VM.prank(_stranger());
            chain.advance(roundId);
        } else if (round.phase == ILearningChain.Phase.Keys) {
            _publishKeys(roundId);
        } else if (round.phase == ILearningChain.Phase.Release) {
            _releaseTestSet(roundId);
        } else if (round.phase == ILearningChain.Phase.Reveal) {
            _revealSolution(roundId, seed);
        } else if (round.phase == ILearningChain.Phase.Voting) {
            _voteOrLapse(round.ballotId, seed);
        } else if (!_isTaking(roundId)) {
            _lapse();
        } else if (seed % 2 == 0) {
            _commitOrLapse(roundId, round.phase, seed >> 1);
        }
    }

    /// @dev In one round of eight no miner finds anything; in another none does in time.
    function _commitOrLapse(uint64 roundId, ILearningChain.Phase phase, uint256 seed) private {
        bool isOvertime = phase == ILearningChain.Phase.Overtime;
        uint256 luck = uint256(keccak256(abi.encode("luck", roundId))) % 8;
        if (luck == 0 || (luck == 1 && !isOvertime)) _lapse();
        else _commitSolution(roundId, isOvertime, seed);
    }

    function _changeVoter(uint256 seed) private {
        address voter = seed % 3 == 0 ? address(0) : _client(seed >> 8);
        VM.prank(_verifier(seed >> 16));
        committee.setVoter(voter);
    }

    function _everybodyLeaves() private {
        for (uint256 i = 0; i < VERIFIERS; i++) {
            _requestUnstake(i);
        }
    }

    /// @dev For one ballot of eight nobody votes; for another nobody opens its vote.
    function _voteOrLapse(uint64 ballotId, uint256 seed) private {
        IVerifierCommittee.BallotPhase phase = committee.ballot(ballotId).phase;
        uint256 turnout = uint256(keccak256(abi.encode("turnout", ballotId))) % 8;
        bool isMissed = turnout == 0 || (turnout == 1 && phase == IVerifierCommittee.BallotPhase.Reveal);
        if (isMissed) _lapse();
        else if (committee.isDue(ballotId)) _endBallotPhase(ballotId);
        else _vote(ballotId, seed);
    }

    /// @dev If it is the lane's turn, or it is not the last free one for an idle round.
    function _open() private {
        bool hasTask = market.pendingCount() > 0;
        bool mayOpen = hasTask ? market.nextLane() == address(chain) : freeLanes() > 1;
        if (!mayOpen) return;
        VM.prank(_stranger());
        if (hasTask) chain.openRound();
        else chain.openIdleRound();
    }

    /// @dev Passes the next deadline of the round or its ballot, and advances it.
    function _lapse() private {
        uint64 roundId = chain.roundCount();
        if (!isRoundOpen()) return;
        ILearningChain.Round memory round = chain.round(roundId);
        if (round.phase == ILearningChain.Phase.Voting && !chain.isDue(roundId)) {
            IVerifierCommittee.Ballot memory ballot = committee.ballot(round.ballotId);
            if (ballot.deadline > _nowS) _pass(ballot.deadline - _nowS);
            _endBallotPhase(round.ballotId);
            return;
        }
        if (round.deadline > _nowS) _pass(round.deadline - _nowS);
        if (!chain.isDue(roundId)) {
            // Too few are seated: somebody takes a seat, or nobody does for as long as one has to wait.
            if (roundId % 2 == 0) _stake(uint256(keccak256(abi.encode("seat", roundId))));
            else _pass(SEAT_WAIT_S);
        }
        VM.prank(_stranger());
        chain.advance(roundId);
    }

    function _withdraw(address payee) private {
        VM.prank(payee);
        reservoir.withdraw(payable(payee));
    }

    function _lapseObserved() private observed {
        _lapse();
    }

    function _lapseGradientObserved() private observed {
        _lapseGradient();
    }

    function _cancelGradientObserved(uint64 taskId) private observed {
        if (gradientStateOf[taskId] == IGradientChain.GradientTaskState.Pending) _cancelGradient(taskId);
    }

    function _quitObserved(address miner) private observed {
        _requestExit(miner);
        uint256 exitAt = gradient.minerOf(miner).exitAt;
        if (exitAt > _nowS) _pass(exitAt - _nowS);
        _completeExit(miner);
    }

    function _cancelObserved(uint64 taskId) private observed {
        if (stateOf[taskId] != ITaskMarket.TaskState.Pending) return;
        VM.prank(market.task(taskId).client);
        market.cancel(taskId);
    }

    function _leaveObserved(address verifier) private observed {
        IVerifierCommittee.Verifier memory leaver = committee.verifier(verifier);
        if (leaver.stakeWei == 0) return;
        if (leaver.isSeated) {
            VM.prank(verifier);
            committee.requestUnstake();
        }
        uint256 releaseAt = committee.verifier(verifier).releaseAt;
        if (releaseAt > _nowS) _pass(releaseAt - _nowS);
        VM.prank(verifier);
        committee.completeUnstake();
    }

    function _withdrawObserved(address payee) private observed {
        _withdraw(payee);
    }

    /// @dev The fuzzer likes small and repeated numbers; the handlers want many different ones.
    function _mix(uint256 seed) private returns (uint256) {
        return uint256(keccak256(abi.encode(seed, ++_callCount)));
    }
}
