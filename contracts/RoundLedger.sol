// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {Cid} from "./libraries/Cids.sol";
import {Entry} from "./libraries/Entries.sol";
import {Headers} from "./libraries/Headers.sol";

/// @title RoundLedger
/// @notice What is kept of rounds and their submissions. See {ILearningChain}.
abstract contract RoundLedger is ILearningChain {
    uint16 public constant MAX_SUBMISSIONS = 64;
    /// @custom:security non-reentrant
    IBlockLedger public immutable LEDGER;

    /// @dev What a commit reads of the task, in one word.
    /// @param client the opener in an idle round
    /// @param isBound the round's previous hash is written down, see `_bind`
    struct Terms {
        address client;
        uint24 requiredTrainPpm;
        uint32 timeLimitS;
        uint8 solutionsWanted;
        uint24 earliestCloseS;
        bool isBound;
    }

    /// @dev Behind one mapping, so that a function finds the place once and hands it on.
    /// @param taskListHash as it was when voting began: the block's body is known before anybody votes
    /// @param newTasksHash the same
    struct RoundState {
        Round round;
        Terms terms;
        bytes32 taskListHash;
        bytes32 newTasksHash;
        Entry[MAX_SUBMISSIONS] entries;
    }

    /// @inheritdoc ILearningChain
    uint64 public override roundCount;
    mapping(uint64 roundId => RoundState) internal _states;

    /// @param ledger appends this chain's blocks; may be deployed later
    constructor(IBlockLedger ledger) {
        if (address(ledger) == address(0)) revert IRewardReservoir.ZeroAddress();
        LEDGER = ledger;
    }

    /// @inheritdoc ILearningChain
    function round(uint64 roundId) external view override returns (Round memory viewed) {
        RoundState storage state = _states[roundId];
        viewed = state.round;
        if (state.terms.isBound) return viewed;
        viewed.previousHash = _isOver(viewed.phase) ? bytes32(0) : _previousHash(state);
    }

    /// @inheritdoc ILearningChain
    function submission(uint64 roundId, uint16 index) external view override returns (Submission memory) {
        return _submission(_states[roundId], index);
    }

    /// @inheritdoc ILearningChain
    function submissions(uint64 roundId) external view override returns (Submission[] memory all) {
        RoundState storage state = _states[roundId];
        all = new Submission[](state.round.submissionCount);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = _submission(state, i);
        }
    }

    /// @inheritdoc ILearningChain
    function placeOf(uint64 roundId, address miner) external view override returns (uint8) {
        RoundState storage state = _states[roundId];
        for (uint8 i = 0; i < state.round.submissionCount; i++) {
            if (state.entries[i].miner == miner) return i + 1;
        }
        return 0;
    }

    /// @param windowS 0: the phase has no deadline
    function _enter(uint64 roundId, Round storage entered, Phase phase, uint32 windowS) internal {
        entered.phase = phase;
        entered.deadline = windowS == 0 ? 0 : uint40(block.timestamp) + windowS;
        emit PhaseChanged(roundId, phase, entered.deadline);
    }

    function _abort(uint64 roundId, Round storage aborted, AbortReason reason) internal {
        aborted.abortReason = reason;
        _enter(roundId, aborted, Phase.Aborted, 0);
        emit RoundAborted(roundId, reason);
    }

    /// @dev Writes a commit into a place: a new one, the miner's own, or that of somebody displaced.
    /// @param bondWei what it adds to the bond
    function _place(
        uint64 roundId,
        RoundState storage state,
        uint256 index,
        bytes32 commitment,
        uint32 claimedTrainPpm,
        uint256 bondWei
    ) internal {
        Entry memory entry = _entry(state, index);
        uint24 required = state.terms.requiredTrainPpm;
        if (entry.miner != address(0) && entry.claimedTrainPpm >= required) state.round.qualifiedCount--;
        if (claimedTrainPpm >= required) state.round.qualifiedCount++;
        uint256 bondGwei = entry.bondGwei + bondWei / 1 gwei;
        if (bondWei % 1 gwei != 0 || bondGwei > type(uint40).max) revert InvalidBond(bondWei);
        state.entries[index] = Entry({
            miner: msg.sender,
            bondGwei: uint40(bondGwei),
            claimedTrainPpm: uint24(claimedTrainPpm),
            order: ++state.round.commitCount,
            modelCodec: 0,
            digest: commitment
        });
        emit SolutionCommitted(roundId, msg.sender, uint16(index), claimedTrainPpm, msg.value);
    }

    /// @dev Empties a place.
    function _displace(uint64 roundId, RoundState storage state, uint256 index, Entry memory entry) internal {
        if (entry.claimedTrainPpm >= state.terms.requiredTrainPpm) state.round.qualifiedCount--;
        delete state.entries[index];
        emit SubmissionDisplaced(roundId, entry.miner, uint16(index));
    }

    /// @dev The place of the lowest bond, of the last commit among equals.
    function _lowest(RoundState storage state) internal view returns (uint256 lowest, Entry memory found) {
        found = _entry(state, 0);
        for (uint256 i = 1; i < MAX_SUBMISSIONS; i++) {
            Entry memory entry = _entry(state, i);
            bool isLower = entry.bondGwei < found.bondGwei
                || (entry.bondGwei == found.bondGwei && entry.order > found.order);
            if (isLower) (lowest, found) = (i, entry);
        }
    }

    function _openSubmission(uint64 roundId, RoundState storage state, uint256 index, Cid calldata model)
        internal
    {
        Entry storage entry = state.entries[index];
        state.round.revealedCount++;
        entry.modelCodec = model.codec;
        entry.digest = model.digest;
        emit SolutionRevealed(roundId, msg.sender, uint16(index), model);
    }

    /// @dev Binds the round to PHS, once. Nobody who calls can vary it: its block follows from the opening.
    function _bind(uint64 roundId, RoundState storage state, bytes32 given) internal {
        bytes32 previousHash = _previousHash(state);
        if (previousHash == bytes32(0) || given != previousHash) {
            revert WrongPreviousHash(roundId, previousHash, given);
        }
        if (state.terms.isBound) return;
        state.terms.isBound = true;
        state.round.previousHash = previousHash;
        emit PreviousHashBound(roundId, previousHash);
    }

    /// @dev The transcript: keys, test set and all submissions, whoever sent them and with whatever calldata.
    function _recordSubmissions(RoundState storage state) internal {
        bytes32 transcript = keccak256(abi.encode(state.round.keys, state.round.testSet));
        uint256 count = state.round.submissionCount;
        for (uint256 i = 0; i < count; i++) {
            transcript = keccak256(abi.encode(transcript, _submission(state, i)));
        }
        state.round.transcript = transcript;
    }

    function _checkOpen(uint64 roundId, Round storage checked, Phase needed) internal view {
        if (checked.phase != needed) revert WrongPhase(roundId, checked.phase);
        if (block.timestamp >= checked.deadline) revert DeadlinePassed(roundId, checked.deadline);
    }

    function _checkClient(uint64 roundId, RoundState storage state) internal view {
        if (msg.sender != state.terms.client) revert NotClient(roundId, state.terms.client, msg.sender);
    }

    function _checkCommitment(bytes32 expected, bytes32 actual) internal pure {
        if (actual != expected) revert CommitmentMismatch(expected, actual);
    }

    function _submission(RoundState storage state, uint256 index) internal view returns (Submission memory) {
        Entry memory entry = _entry(state, index);
        bool isRevealed = entry.modelCodec != 0;
        return Submission({
            miner: entry.miner,
            claimedTrainPpm: entry.claimedTrainPpm,
            order: entry.order,
            bondWei: _bondWei(entry),
            isRevealed: isRevealed,
            commitment: isRevealed ? bytes32(0) : entry.digest,
            model: isRevealed ? Cid(entry.modelCodec, entry.digest) : Cid(0, 0)
        });
    }

    /// @dev The one place that copies an entry, which takes a lot of code.
    function _entry(RoundState storage state, uint256 index) internal view returns (Entry memory) {
        return state.entries[index];
    }

    function _entries(RoundState storage state) internal view returns (Entry[] memory all) {
        all = new Entry[](state.round.submissionCount);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = _entry(state, i);
        }
    }

    function _bondWei(Entry memory entry) internal pure returns (uint96) {
        return uint96(entry.bondGwei) * 1 gwei;
    }

    function _previousHash(RoundState storage state) internal view returns (bytes32) {
        Round storage bound = state.round;
        if (state.terms.isBound) return bound.previousHash;
        bytes32 anchor = LEDGER.anchorValue(bound.anchorBlock);
        if (anchor == bytes32(0)) return anchor;
        bytes32 headerHash = bound.previousHash;
        if (headerHash == bytes32(0)) headerHash = LEDGER.headerHash(bound.height - 1);
        return Headers.roundHash(headerHash, anchor);
    }

    /// @dev Sets of submissions are bit sets: bit i is submission i.
    function _revealedSet(Entry[] memory entries) internal pure returns (uint256 set) {
        for (uint256 i = 0; i < entries.length; i++) {
            if (entries[i].modelCodec != 0) set |= 1 << i;
        }
    }

    function _isOver(Phase phase) internal pure returns (bool) {
        return phase == Phase.None || phase == Phase.Finalised || phase == Phase.Aborted;
    }

    function _size(uint256 set) internal pure returns (uint256 count) {
        for (; set != 0; set &= set - 1) {
            count++;
        }
    }

    function _has(uint256 set, uint256 index) internal pure returns (bool) {
        return (set >> index) & 1 == 1;
    }
}
