// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {IRewardToken} from "../../contracts/interfaces/IRewardToken.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {GradientRoles} from "./GradientRoles.sol";
import {VM} from "./Vm.sol";

/// @notice Tries what must be refused in the state of the moment.
abstract contract Intruder is GradientRoles {
    uint256 private constant ATTEMPTS = 24;

    function _tryIllegal(uint256 seed) internal {
        uint256 kind = seed % ATTEMPTS;
        if (kind < 5) _tryAsStranger(kind);
        else if (kind < 9) _tryOutOfTurn(kind, seed >> 8);
        else if (kind < 12) _tryWithWrongSecret(kind, seed >> 8);
        else if (kind < 14) _tryLateCommit(seed >> 8);
        else if (kind < 18) _tryOutOfTurnOnGradient(kind, seed >> 8);
        else if (kind < 22) _tryProposal(kind, seed >> 8);
        else _tryForAnother(kind, seed >> 8);
    }

    /// @dev What only a contract of the system may do.
    function _tryAsStranger(uint256 kind) private {
        address stranger = _stranger();
        if (kind == 0) {
            _mustFail(stranger, address(market), abi.encodeCall(ITaskMarket.popMostValuable, ()));
        } else if (kind == 1) {
            bytes memory data = abi.encodeCall(ITaskMarket.close, (1, ITaskMarket.TaskState.Refunded));
            _mustFail(stranger, address(market), data);
        } else if (kind == 2) {
            bytes memory data =
                abi.encodeCall(IRewardReservoir.credit, (IRewardReservoir.Pot.Escrow, 0, stranger, 0));
            _mustFail(stranger, address(reservoir), data);
        } else if (kind == 3) {
            _mustFail(stranger, address(token), abi.encodeCall(IRewardToken.mint, (stranger, 1)));
        } else {
            bytes memory data = abi.encodeCall(IVerifierCommittee.openBallot, (1, 0, 0));
            _mustFail(stranger, address(committee), data);
        }
    }

    /// @dev What somebody may do, but not now.
    function _tryOutOfTurn(uint256 kind, uint256 seed) private {
        uint64 roundId = chain.roundCount();
        ILearningChain.Round memory round = chain.round(roundId);
        if (kind == 5) {
            bool mustBeIdle = !isRoundOpen() && market.pendingCount() == 0;
            bytes memory data = mustBeIdle
                ? abi.encodeCall(ILearningChain.openRound, ())
                : abi.encodeCall(ILearningChain.openIdleRound, ());
            _mustFail(_stranger(), address(chain), data);
            // Another lane's turn, or the last free lane.
            if (market.nextLane() != address(chain)) {
                _mustFail(_stranger(), address(chain), abi.encodeCall(ILearningChain.openRound, ()));
            }
            if (freeLanes() == 1) {
                _mustFail(_stranger(), address(chain), abi.encodeCall(ILearningChain.openIdleRound, ()));
            }
        } else if (kind == 6) {
            uint64 any = uint64(seed % (roundId + 2));
            if (!chain.isDue(any)) {
                _mustFail(_stranger(), address(chain), abi.encodeCall(ILearningChain.advance, (any)));
            }
        } else if (kind == 7) {
            uint64 any = uint64(seed % (committee.nextBallotId() + 1));
            if (round.ballotId != 0 && seed % 2 == 0) any = round.ballotId;
            if (committee.ballot(any).phase == IVerifierCommittee.BallotPhase.Opening) {
                _tryPartialTally(any, seed);
            }
            if (!committee.isDue(any)) {
                bytes memory data = abi.encodeCall(IVerifierCommittee.advance, (any));
                _mustFail(_stranger(), address(committee), data);
            }
        } else if (round.taskId != 0) {
            bytes memory data = abi.encodeCall(ITaskMarket.cancel, (round.taskId));
            if (isRoundOpen()) _mustFail(_clientOf(roundId), address(market), data);
        }
    }

    /// @dev A tallier that omits a list, adds one, or gives one twice.
    function _tryPartialTally(uint64 ballotId, uint256 seed) internal {
        uint256[][] memory lists = _lists(ballotId, _look(ballotId));
        if (lists.length == 0) return;
        uint256 change = (seed >> 8) % 3;
        uint256[][] memory changed =
            new uint256[][](change == 0 ? lists.length - 1 : change == 1 ? lists.length + 1 : lists.length);
        for (uint256 i = 0; i < changed.length; i++) {
            changed[i] = lists[i < lists.length ? i : 0];
        }
        if (change == 2) changed[seed % lists.length] = new uint256[](lists[0].length);
        bytes memory data = abi.encodeCall(IVerifierCommittee.tally, (ballotId, changed));
        _mustFail(_stranger(), address(committee), data);
    }

    /// @dev Openings of commitments to something else, and money that is not owed.
    function _tryWithWrongSecret(uint256 kind, uint256 seed) private {
        uint64 roundId = chain.roundCount();
        Cid memory wrong = Cid(Cids.RAW, keccak256("something else"));
        if (kind == 9) {
            bytes memory data = abi.encodeCall(
                ILearningChain.reveal, (roundId, chain.placeOf(roundId, _miner(seed)), wrong, bytes32(seed))
            );
            _mustFail(_miner(seed), address(chain), data);
        } else if (kind == 10) {
            if (chain.round(roundId).taskId == 0) return;
            bytes memory data = abi.encodeCall(ILearningChain.releaseTestSet, (roundId, wrong, bytes32(seed)));
            _mustFail(_clientOf(roundId), address(chain), data);
        } else {
            address payee = _miner(seed);
            if (owedWei[payee] != 0) return;
            bytes memory data = abi.encodeCall(IRewardReservoir.withdraw, (payable(payee)));
            _mustFail(payee, address(reservoir), data);
        }
    }

    /// @dev After commits have closed the test set may be out: whoever commits then knows the answers.
    function _tryLateCommit(uint256 seed) private {
        uint64 roundId = chain.roundCount();
        address miner = _miner(seed);
        if (_isTaking(roundId)) return;
        bytes32 previousHash = chain.round(roundId).previousHash;
        uint256 amountWei = MINER_BOND_WEI + chain.judgingFeeOf(roundId);
        VM.deal(miner, amountWei);
        VM.prank(miner);
        try chain.commit{value: amountWei}(roundId, previousHash, bytes32(seed), 1_000_000, 0) {
            _violate("I10: a late or second commit was accepted");
        } catch {
            refusedAttempts++;
        }
    }

    function _tryOutOfTurnOnGradient(uint256 kind, uint256 seed) private {
        IGradientChain.Height memory current = gradient.current();
        address target = address(gradient);
        if (kind == 14) {
            if (!gradient.isDue()) {
                _mustFail(_stranger(), target, abi.encodeCall(IGradientChain.advance, ()));
            }
        } else if (kind == 15) {
            bytes memory data = abi.encodeCall(IGradientChain.openTask, ());
            if (isGradientOpen() || gradient.pendingCount() == 0) _mustFail(_stranger(), target, data);
        } else if (kind == 16) {
            uint64 any = uint64(seed % (gradient.taskCount() + 2));
            address caller = any == current.taskId ? gradient.task(any).client : _stranger();
            _mustFail(caller, target, abi.encodeCall(IGradientChain.cancel, (any)));
        } else {
            address leaver = _miner(seed);
            IGradientChain.Miner memory miner = gradient.minerOf(leaver);
            if (miner.exitAt != 0 && _nowS >= miner.exitAt && !miner.hasProposal) return;
            _mustFail(leaver, target, abi.encodeCall(IGradientChain.completeExit, ()));
        }
    }

    /// @dev A proposal by somebody who may not make one, or of something that may not be proposed.
    function _tryProposal(uint256 kind, uint256 seed) private {
        IGradientChain.Height memory current = gradient.current();
        IGradientChain.GradientTerms memory terms = gradient.task(current.taskId).terms;
        Cid memory cid = Cid(Cids.RAW, keccak256("something"));
        address proposer = _miner(seed);
        uint64 height = current.height;
        uint32 digest;
        if (kind == 18) {
            if (gradient.threshold() != 0 && _canPropose(proposer, current.height)) return;
        } else if (kind == 19) {
            digest = gradient.threshold();
        } else if (kind == 20) {
            height = uint64(seed >> 8) % (current.height + 2);
            if (height == current.height) return;
        }
        bytes32 previous = gradient.headerHash(gradient.height());
        if (kind == 21) (height, previous) = (current.height, keccak256(abi.encode("before a reorg", seed)));
        bytes memory data =
            abi.encodeCall(IGradientChain.propose, (height, previous, terms.minStep, digest, cid, cid));
        _mustFail(proposer, address(gradient), data);
    }

    /// @dev A vote or a report in the place of a member that did not allow it, or on what does not exist.
    function _tryForAnother(uint256 kind, uint256 seed) private {
        uint64 ballotId = committee.nextBallotId() - 1;
        if (kind == 22) {
            bytes memory data =
                abi.encodeCall(IVerifierCommittee.commitVote, (ballotId, uint8(seed % 6), bytes32(seed | 1)));
            _mustFail(_stranger(), address(committee), data);
        } else {
            uint16 entry = uint16(gradient.current().proposalCount + (seed >> 8) % 200);
            bytes memory data =
                abi.encodeCall(IGradientChain.reportSegments, (ballotId, uint8(seed % 6), entry, seed));
            _mustFail(_verifier(seed), address(gradient), data);
        }
    }

    function _isTaking(uint64 roundId) internal view returns (bool) {
        ILearningChain.Round memory round = chain.round(roundId);
        bool isPhase =
            round.phase == ILearningChain.Phase.Training || round.phase == ILearningChain.Phase.Overtime;
        return isPhase && _nowS < round.deadline;
    }

    function _mustFail(address caller, address target, bytes memory data) internal {
        VM.prank(caller);
        (bool wasDone,) = target.call(data);
        if (wasDone) _violate("I10: a call that must be refused was accepted");
        else refusedAttempts++;
    }
}
