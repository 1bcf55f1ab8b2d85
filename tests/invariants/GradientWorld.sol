// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {System} from "./System.sol";
import {Vm} from "./Vm.sol";

/// @notice Watches the gradient chain: the states of its tasks, the phases of its heights, its clock and its budget.
abstract contract GradientWorld is System {
    mapping(uint64 taskId => IGradientChain.GradientTaskState state) public gradientStateOf;
    mapping(IGradientChain.StopReason reason => uint256 count) public stoppedFor;
    mapping(bool isVoid => uint256 count) public rejected;
    /// @notice What a task's budget lacks for the blocks still to be made: fees of ballots that no block came of, less
    /// lost bonds.
    mapping(uint64 taskId => uint256 amountWei) public shortWei;
    mapping(uint64 ballotId => bool) private _isFeeBack;
    uint256 private _lostBondsWei;
    /// @notice Who has said what about a proposal, and who was the first to say that it is wrong.
    mapping(uint64 ballotId => mapping(address member => mapping(uint256 entry => bool))) public hasReported;
    mapping(uint64 ballotId => mapping(address miner => address member)) private _accuserOf;
    /// @dev What the accuser of the miner that was slashed last has to get.
    uint256 private _accuserWei;
    address private _accuser;
    /// @notice Sum of the intervals in a task's headers.
    mapping(uint64 taskId => uint256 seconds_) public intervalsS;

    /// @notice What a task's budget should be now.
    function budgetOf(uint64 taskId) public view returns (uint256 budgetWei) {
        IGradientChain.GradientTask memory task = gradient.task(taskId);
        if (
            task.state != IGradientChain.GradientTaskState.Pending
                && task.state != IGradientChain.GradientTaskState.Active
        ) return 0;
        budgetWei = gradient.costOf(task.terms) / task.terms.blockCount
            * (task.terms.blockCount - task.blocksDone) - shortWei[taskId];
        IGradientChain.Height memory current = gradient.current();
        bool isVoting = current.phase == IGradientChain.HeightPhase.Voting;
        if (current.taskId == taskId && isVoting && !_isFeeBack[current.ballotId]) {
            budgetWei -= task.feeWei;
        }
    }

    /// @dev A ballot that nobody was right in, or that was void, gives its fee back.
    function _watchRefund(Vm.Log memory log) internal {
        if (log.topics[0] != IRewardReservoir.Moved.selector) return;
        bool isRefund = log.topics[1] == bytes32(uint256(uint160(address(committee))))
            && log.topics[3] == bytes32(uint256(uint160(address(gradient))));
        if (isRefund) _isFeeBack[uint64(uint256(log.topics[2]))] = true;
    }

    /// @param taskId the active one before the call
    /// @param votedOn the ballot before the call
    function _watchGradient(Vm.Log memory log, uint64 taskId, uint64 votedOn) internal {
        bytes32 kind = log.topics[0];
        if (kind == IGradientChain.GradientTaskSubmitted.selector) {
            _moveTask(uint64(uint256(log.topics[1])), IGradientChain.GradientTaskState.Pending);
        } else if (kind == IGradientChain.GradientTaskClosed.selector) {
            (IGradientChain.GradientTaskState state, IGradientChain.StopReason reason,) =
                abi.decode(log.data, (IGradientChain.GradientTaskState, IGradientChain.StopReason, uint256));
            _moveTask(uint64(uint256(log.topics[1])), state);
            stoppedFor[reason]++;
        } else if (kind == IGradientChain.GradientBlockAppended.selector) {
            (, IGradientChain.GradientHeader memory header) =
                abi.decode(log.data, (bytes32, IGradientChain.GradientHeader));
            if (header.miner == address(0)) {
                _moveTask(header.taskId, IGradientChain.GradientTaskState.Active);
            }
            intervalsS[header.taskId] += header.intervalS;
            if (header.miner != address(0)) {
                bool isBack = _isFeeBack[votedOn];
                _settleShortage(header.taskId, 0, isBack ? gradient.task(header.taskId).feeWei : 0);
            }
        } else if (kind == IGradientChain.ProposalsRejected.selector) {
            rejected[abi.decode(log.data, (bool))]++;
            uint64 ballotId = uint64(uint256(log.topics[2]));
            bool isPaid = ballotId != 0 && !_isFeeBack[ballotId];
            _settleShortage(taskId, isPaid ? gradient.task(taskId).feeWei : 0, 0);
        } else if (kind == IGradientChain.MinerSlashed.selector) {
            _watchSlashing(votedOn, address(uint160(uint256(log.topics[1]))), abi.decode(log.data, (uint256)));
        } else if (kind == IGradientChain.AccuserRewarded.selector) {
            uint256 rewardWei = abi.decode(log.data, (uint256));
            bool isFirst = address(uint160(uint256(log.topics[2]))) == _accuser;
            if (!isFirst || rewardWei != _accuserWei) {
                _violateGradient("I30: not the first accuser, or not a tenth of the bond");
            }
            _lostBondsWei -= rewardWei;
            _accuserWei = 0;
        }
    }

    /// @dev The first member, and no other, that said of this proposal that it is wrong.
    function _noteAccuser(uint64 ballotId, uint256 entry, address member) internal {
        address miner = gradient.proposals()[entry].miner;
        if (_accuserOf[ballotId][miner] == address(0)) _accuserOf[ballotId][miner] = member;
    }

    function _watchSlashing(uint64 ballotId, address miner, uint256 bondWei) private {
        _checkAccuserPaid();
        _lostBondsWei += bondWei;
        _accuser = _accuserOf[ballotId][miner];
        _accuserWei = _accuser == address(0) ? 0 : bondWei / 10;
    }

    function _checkAccuserPaid() private {
        if (_accuserWei != 0) _violateGradient("I30: the first accuser got nothing");
    }

    function _checkHeight(IGradientChain.Height memory earlier) internal {
        IGradientChain.Height memory now_ = gradient.current();
        _checkAccuserPaid();
        if (now_.height != gradient.height() + 1) {
            _violateGradient("I26: not the height after the newest block");
        }
        bool wasTaking = earlier.phase == IGradientChain.HeightPhase.Search
            || earlier.phase == IGradientChain.HeightPhase.Collect;
        if (now_.height == earlier.height) {
            if (earlier.phase != now_.phase && !_isHeightStep(earlier.phase, now_.phase)) {
                _violateGradient("I25: forbidden phase transition of a height");
            }
            if (now_.proposalCount > earlier.proposalCount && !wasTaking) {
                _violateGradient("I25: a proposal was accepted while none were taken");
            }
        } else if (now_.height != earlier.height + 1 || !_isBlockStep(earlier.phase, now_.phase)) {
            _violateGradient("I26: the height moved without an accepted block or an opening");
        }
        IGradientChain.GradientTask memory task = gradient.task(now_.taskId);
        if (now_.taskId != 0 && task.searchedS != intervalsS[now_.taskId]) {
            _violateGradient("I27: a task's search time is not its blocks' intervals");
        }
    }

    function _violateGradient(string memory what) internal virtual;

    function _isHeightStep(IGradientChain.HeightPhase from, IGradientChain.HeightPhase to)
        private
        pure
        returns (bool)
    {
        if (from == IGradientChain.HeightPhase.Search) {
            return to == IGradientChain.HeightPhase.Collect || to == IGradientChain.HeightPhase.Idle;
        }
        if (from == IGradientChain.HeightPhase.Collect) return true;
        return from == IGradientChain.HeightPhase.Voting && to != IGradientChain.HeightPhase.Collect;
    }

    /// @dev To the next height: a task is opened, or a block is accepted.
    function _isBlockStep(IGradientChain.HeightPhase from, IGradientChain.HeightPhase to)
        private
        pure
        returns (bool)
    {
        if (from == IGradientChain.HeightPhase.Idle) return to == IGradientChain.HeightPhase.Search;
        return from == IGradientChain.HeightPhase.Voting
            && (to == IGradientChain.HeightPhase.Search || to == IGradientChain.HeightPhase.Idle);
    }

    /// @dev Lost bonds fill up the budget first; what is beyond its needs is the client's.
    function _settleShortage(uint64 taskId, uint256 spentWei, uint256 backWei) private {
        uint256 lackingWei = shortWei[taskId] + spentWei;
        uint256 gainedWei = _lostBondsWei + backWei;
        shortWei[taskId] = lackingWei > gainedWei ? lackingWei - gainedWei : 0;
        _lostBondsWei = 0;
    }

    function _moveTask(uint64 taskId, IGradientChain.GradientTaskState to) private {
        IGradientChain.GradientTaskState from = gradientStateOf[taskId];
        bool isAllowed;
        if (from == IGradientChain.GradientTaskState.None) {
            isAllowed = to == IGradientChain.GradientTaskState.Pending;
        } else if (from == IGradientChain.GradientTaskState.Pending) {
            isAllowed = to == IGradientChain.GradientTaskState.Active
                || to == IGradientChain.GradientTaskState.Cancelled;
        } else if (from == IGradientChain.GradientTaskState.Active) {
            isAllowed = to == IGradientChain.GradientTaskState.Completed
                || to == IGradientChain.GradientTaskState.Stopped;
        }
        if (!isAllowed) _violateGradient("I24: forbidden state transition of a gradient task");
        gradientStateOf[taskId] = to;
    }
}
