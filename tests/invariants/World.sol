// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {IBlockLedger} from "../../contracts/interfaces/IBlockLedger.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Header} from "../../contracts/libraries/Headers.sol";
import {Books} from "./Books.sol";
import {GradientWorld} from "./GradientWorld.sol";
import {VM, Vm} from "./Vm.sol";

/// @notice Watches every call: keeps the books, counts what happened, and notes the first forbidden transition.
abstract contract World is GradientWorld, Books {
    /// @notice What the state was before a call.
    struct Before {
        uint64 roundId;
        ILearningChain.Phase phase;
        uint16 submissions;
        uint64[2] ballotIds;
        IVerifierCommittee.BallotPhase[2] ballotPhases;
        uint64 height;
        IGradientChain.Height gradientHeight;
    }

    uint256 internal constant ACTION_S = 3;

    /// @notice The first forbidden thing that happened; empty if none did.
    string public violation;
    /// @notice How often each event was emitted.
    mapping(bytes32 selector => uint256 count) public seen;
    mapping(ILearningChain.AbortReason reason => uint256 count) public aborted;
    mapping(IVerifierCommittee.BallotPhase phase => uint256 count) public ballotsIn;
    mapping(uint64 taskId => ITaskMarket.TaskState state) public stateOf;
    uint256 public overtimeBlocks;
    uint256 public refusedAttempts;
    /// @notice Forge does not promise to keep the time between two calls of a campaign.
    uint256 internal _nowS = 1_700_000_000;
    uint256 internal _blockNumber = 1;

    /// @dev Each call acts on a lane of its own, unless everything is wound up.
    uint256 private _laneCalls;
    bool internal _isStaying;

    modifier observed() {
        if (!_isStaying) _goTo(uint256(keccak256(abi.encode("lane", ++_laneCalls))) % LANES);
        _pass(ACTION_S);
        Before memory earlier = _before();
        VM.recordLogs();
        _;
        _after(earlier);
    }

    function isRoundOpen() public view returns (bool) {
        return isRoundOpenOn(chain);
    }

    function isRoundOpenOn(ILearningChain lane) public view returns (bool) {
        ILearningChain.Phase phase = lane.round(lane.roundCount()).phase;
        return phase != ILearningChain.Phase.None && !_isFinal(phase);
    }

    /// @notice How many lanes have no round.
    function freeLanes() public view returns (uint256 count) {
        for (uint256 i = 0; i < LANES; i++) {
            if (!isRoundOpenOn(chains[i])) count++;
        }
    }

    function _pass(uint256 seconds_) internal {
        _nowS += seconds_;
        _blockNumber++;
        VM.warp(_nowS);
        VM.roll(_blockNumber);
    }

    function _violate(string memory what) internal {
        if (bytes(violation).length == 0) violation = what;
    }

    function _before() private view returns (Before memory earlier) {
        earlier.roundId = chain.roundCount();
        ILearningChain.Round memory round = chain.round(earlier.roundId);
        earlier.phase = round.phase;
        earlier.submissions = round.submissionCount;
        earlier.height = ledger.height();
        earlier.gradientHeight = gradient.current();
        earlier.ballotIds = [round.ballotId, earlier.gradientHeight.ballotId];
        for (uint256 i = 0; i < 2; i++) {
            earlier.ballotPhases[i] = committee.ballot(earlier.ballotIds[i]).phase;
        }
    }

    function _after(Before memory earlier) private {
        Vm.Log[] memory logs = VM.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            seen[logs[i].topics[0]]++;
            if (logs[i].emitter == address(reservoir)) {
                _book(logs[i]);
                _watchRefund(logs[i]);
            } else if (logs[i].emitter == address(market)) {
                _checkTask(logs[i]);
            } else if (logs[i].emitter == address(gradient)) {
                _watchGradient(logs[i], earlier.gradientHeight.taskId, earlier.gradientHeight.ballotId);
            } else {
                _tally(logs[i]);
            }
        }
        _checkRound(earlier);
        _checkLanes();
        for (uint256 i = 0; i < 2; i++) {
            _checkBallot(earlier.ballotIds[i], earlier.ballotPhases[i]);
        }
        _checkHeight(earlier.gradientHeight);
    }

    function _violateGradient(string memory what) internal override {
        _violate(what);
    }

    function _tally(Vm.Log memory log) private {
        if (log.topics[0] == ILearningChain.RoundAborted.selector) {
            aborted[abi.decode(log.data, (ILearningChain.AbortReason))]++;
        } else if (log.topics[0] == IVerifierCommittee.BallotPhaseChanged.selector) {
            (IVerifierCommittee.BallotPhase phase,) =
                abi.decode(log.data, (IVerifierCommittee.BallotPhase, uint40));
            ballotsIn[phase]++;
        } else if (log.topics[0] == IBlockLedger.BlockAppended.selector) {
            uint64 roundId = uint64(uint256(log.topics[2]));
            if (chain.round(roundId).isOvertime) overtimeBlocks++;
            _checkWinner(roundId, ledger.header(uint64(uint256(log.topics[1]))));
        }
    }

    /// @dev Whoever claimed to qualify has.
    function _checkWinner(uint64 roundId, Header memory added) private {
        ILearningChain.Submission memory best =
            chain.submission(roundId, chain.placeOf(roundId, added.winner) - 1);
        if (best.claimedTrainPpm >= REQUIRED_PPM && added.trainPpm < REQUIRED_PPM) {
            _violate("D13: a false claim has won");
        }
    }

    function _checkRound(Before memory earlier) private {
        uint64 roundId = chain.roundCount();
        ILearningChain.Round memory round = chain.round(roundId);
        if (roundId == earlier.roundId) {
            if (round.phase != earlier.phase && !_isRoundStep(earlier.phase, round.phase)) {
                _violate("I6: forbidden phase transition of a round");
            }
            bool wasTaking = earlier.phase == ILearningChain.Phase.Training
                || earlier.phase == ILearningChain.Phase.Overtime;
            if (round.submissionCount != earlier.submissions && !wasTaking) {
                _violate("I7: a commit was accepted after commits had closed");
            }
        } else if (roundId != earlier.roundId + 1 || (earlier.roundId != 0 && !_isFinal(earlier.phase))) {
            _violate("I6: a round opened while another was in progress");
        }
        bool wasFinalised =
            earlier.phase != ILearningChain.Phase.Finalised && round.phase == ILearningChain.Phase.Finalised;
        if (ledger.height() != earlier.height + (wasFinalised ? 1 : 0)) {
            _violate("I9: the height moved without a finalised round, or not with one");
        }
    }

    /// @dev The market knows which lanes have a round, and no idle round has the last one that was free.
    function _checkLanes() private {
        ITaskMarket.Lane[] memory lanes = market.lanes();
        uint256 idleRounds;
        for (uint256 i = 0; i < LANES; i++) {
            bool isOpen = isRoundOpenOn(chains[i]);
            if (lanes[i].isBusy != isOpen) _violate("I40: the market is wrong about a lane");
            if (isOpen && chains[i].round(chains[i].roundCount()).taskId == 0) idleRounds++;
        }
        if (idleRounds == LANES) _violate("I40: idle rounds have all lanes");
    }

    function _isRoundStep(ILearningChain.Phase from, ILearningChain.Phase to) private pure returns (bool) {
        if (_isFinal(from)) return false;
        if (to == ILearningChain.Phase.Aborted) return from != ILearningChain.Phase.Release;
        if (from == ILearningChain.Phase.Keys) return to == ILearningChain.Phase.Training;
        if (from == ILearningChain.Phase.Training) {
            return to == ILearningChain.Phase.Overtime || _isAfterCommits(to);
        }
        if (from == ILearningChain.Phase.Overtime) return _isAfterCommits(to);
        if (from == ILearningChain.Phase.Release) return to == ILearningChain.Phase.Reveal;
        if (from == ILearningChain.Phase.Reveal) return to == ILearningChain.Phase.Voting;
        return from == ILearningChain.Phase.Voting && to == ILearningChain.Phase.Finalised;
    }

    /// @dev Idle rounds have no test set to release.
    function _isAfterCommits(ILearningChain.Phase phase) private pure returns (bool) {
        return phase == ILearningChain.Phase.Release || phase == ILearningChain.Phase.Reveal;
    }

    function _isFinal(ILearningChain.Phase phase) internal pure returns (bool) {
        return phase == ILearningChain.Phase.Finalised || phase == ILearningChain.Phase.Aborted;
    }

    function _checkBallot(uint64 ballotId, IVerifierCommittee.BallotPhase from) private {
        IVerifierCommittee.BallotPhase to = committee.ballot(ballotId).phase;
        if (from == to) return;
        bool isAllowed;
        if (from == IVerifierCommittee.BallotPhase.Commit) {
            isAllowed =
                to == IVerifierCommittee.BallotPhase.Reveal || to == IVerifierCommittee.BallotPhase.Void;
        } else if (from == IVerifierCommittee.BallotPhase.Reveal) {
            isAllowed = to != IVerifierCommittee.BallotPhase.Commit;
        } else {
            isAllowed =
                from == IVerifierCommittee.BallotPhase.Opening && to == IVerifierCommittee.BallotPhase.Closed;
        }
        if (!isAllowed) _violate("I8: forbidden phase transition of a ballot");
    }

    function _checkTask(Vm.Log memory log) private {
        ITaskMarket.TaskState to;
        if (log.topics[0] == ITaskMarket.TaskSubmitted.selector) {
            to = ITaskMarket.TaskState.Pending;
        } else if (log.topics[0] == ITaskMarket.TaskPopped.selector) {
            to = ITaskMarket.TaskState.InRound;
        } else if (log.topics[0] == ITaskMarket.TaskClosed.selector) {
            to = abi.decode(log.data, (ITaskMarket.TaskState));
        } else {
            return;
        }
        uint64 taskId = uint64(uint256(log.topics[1]));
        if (!_isTaskStep(stateOf[taskId], to)) _violate("I5: forbidden state transition of a task");
        stateOf[taskId] = to;
    }

    function _isTaskStep(ITaskMarket.TaskState from, ITaskMarket.TaskState to) private pure returns (bool) {
        if (from == ITaskMarket.TaskState.None) return to == ITaskMarket.TaskState.Pending;
        if (from == ITaskMarket.TaskState.Pending) {
            return to == ITaskMarket.TaskState.InRound || to == ITaskMarket.TaskState.Cancelled;
        }
        return from == ITaskMarket.TaskState.InRound
            && (to == ITaskMarket.TaskState.Solved || to == ITaskMarket.TaskState.Refunded);
    }
}
