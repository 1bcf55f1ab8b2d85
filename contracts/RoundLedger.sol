// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {Cid} from "./libraries/Cids.sol";
import {Headers} from "./libraries/Headers.sol";

/// @title RoundLedger
/// @notice What is kept of rounds and their submissions. See {ILearningChain}.
abstract contract RoundLedger is ILearningChain {
    uint16 public constant MAX_SUBMISSIONS = 64;
    /// @dev Hashes of older blocks are not to be had.
    uint256 private constant KNOWN_BLOCKS = 256;
    IBlockLedger public immutable LEDGER;

    /// @dev What a commit reads of the task, in one word.
    /// @param client the opener in an idle round
    struct Terms {
        address client;
        uint24 requiredTrainPpm;
        uint32 timeLimitS;
        uint16 solutionsWanted;
        uint24 earliestCloseS;
    }

    /// @dev A submission in three new words, with its miner's: a commit and its reveal must stay under 200,000 gas.
    /// @param digest of the solution's commitment, and once it is revealed, of the model
    struct Entry {
        uint8 indexPlusOne;
        uint24 claimedTrainPpm;
        uint40 committedAt;
        uint24 order;
        uint96 bondWei;
        bool isRevealed;
        uint8 modelCodec;
        bytes32 digest;
    }

    /// @dev Behind one mapping, so that a function finds the place once and hands it on.
    /// @param taskListHash as it was when voting began: the block's body is known before anybody votes
    /// @param newTasksHash the same
    struct RoundState {
        Round round;
        Terms terms;
        bytes32 taskListHash;
        bytes32 newTasksHash;
        address[MAX_SUBMISSIONS] miners;
        mapping(address miner => Entry) entries;
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
        viewed = _states[roundId].round;
        if (!_isOver(viewed.phase)) viewed.previousHash = _previousHash(_states[roundId].round);
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
    function submissionIndexOf(uint64 roundId, address miner) external view override returns (uint16) {
        return _states[roundId].entries[miner].indexPlusOne;
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

    /// @dev Writes a commit into a place, which is a new one, the miner's own, or that of somebody displaced.
    function _place(
        uint64 roundId,
        RoundState storage state,
        uint256 index,
        bytes32 commitment,
        uint32 claimedTrainPpm
    ) internal {
        uint24 required = state.terms.requiredTrainPpm;
        Entry storage entry = state.entries[msg.sender];
        if (entry.indexPlusOne == 0) {
            entry.indexPlusOne = uint8(index + 1);
            state.miners[index] = msg.sender;
        } else if (entry.claimedTrainPpm >= required) {
            state.round.qualifiedCount--;
        }
        if (claimedTrainPpm >= required) state.round.qualifiedCount++;
        entry.order = ++state.round.commitCount;
        entry.claimedTrainPpm = uint24(claimedTrainPpm);
        entry.committedAt = uint40(block.timestamp);
        entry.digest = commitment;
        emit SolutionCommitted(roundId, msg.sender, uint16(index), claimedTrainPpm);
    }

    /// @dev Empties the place of the lowest bond, of the last commit among equals.
    function _displace(uint64 roundId, RoundState storage state, uint256 index) internal {
        address miner = state.miners[index];
        if (state.entries[miner].claimedTrainPpm >= state.terms.requiredTrainPpm) {
            state.round.qualifiedCount--;
        }
        delete state.entries[miner];
        emit SubmissionDisplaced(roundId, miner, uint16(index));
    }

    function _lowest(RoundState storage state) internal view returns (uint256 lowest) {
        Entry storage found = state.entries[state.miners[0]];
        for (uint256 i = 1; i < MAX_SUBMISSIONS; i++) {
            Entry storage entry = state.entries[state.miners[i]];
            bool isLower = entry.bondWei < found.bondWei
                || (entry.bondWei == found.bondWei && entry.order > found.order);
            if (isLower) (lowest, found) = (i, entry);
        }
    }

    function _openSubmission(uint64 roundId, RoundState storage state, Cid calldata model) internal {
        Entry storage entry = state.entries[msg.sender];
        state.round.revealedCount++;
        entry.isRevealed = true;
        entry.modelCodec = model.codec;
        entry.digest = model.digest;
        emit SolutionRevealed(roundId, msg.sender, entry.indexPlusOne - 1, model);
    }

    /// @dev Binds the round to PHS, once. Nobody who calls can vary it: its block follows from the opening.
    // slither-disable-next-line incorrect-equality: hashes, which no sender can nudge
    function _bind(uint64 roundId, Round storage bound, bytes32 given) internal {
        bytes32 previousHash = _previousHash(bound);
        if (previousHash == bytes32(0) || given != previousHash) {
            revert WrongPreviousHash(roundId, previousHash, given);
        }
        if (bound.previousHash == previousHash) return;
        bound.previousHash = previousHash;
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
        address miner = state.miners[index];
        Entry storage entry = state.entries[miner];
        return Submission({
            miner: miner,
            claimedTrainPpm: entry.claimedTrainPpm,
            committedAt: entry.committedAt,
            order: entry.order,
            bondWei: entry.bondWei,
            isRevealed: entry.isRevealed,
            commitment: entry.isRevealed ? bytes32(0) : entry.digest,
            model: entry.isRevealed ? Cid(entry.modelCodec, entry.digest) : Cid(0, 0)
        });
    }

    /// @dev If nobody bound the round while its block's hash was known: that of the last block 256 k later.
    function _previousHash(Round storage bound) internal view returns (bytes32) {
        if (bound.previousHash != bytes32(0) || block.number <= bound.anchorBlock) return bound.previousHash;
        uint256 age = block.number - bound.anchorBlock - 1;
        // slither-disable-next-line divide-before-multiply: the last multiple of the distance is what is wanted
        bytes32 anchorHash = blockhash(bound.anchorBlock + age / KNOWN_BLOCKS * KNOWN_BLOCKS);
        return Headers.roundHash(LEDGER.headerHash(bound.height - 1), anchorHash);
    }

    /// @dev Sets of submissions are bit sets: bit i is submission i.
    function _revealedSet(RoundState storage state) internal view returns (uint256 set) {
        uint256 count = state.round.submissionCount;
        for (uint256 i = 0; i < count; i++) {
            if (state.entries[state.miners[i]].isRevealed) set |= 1 << i;
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
