// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AnchorSource} from "../libraries/Anchors.sol";
import {Entry} from "../libraries/Entries.sol";
import {Header} from "../libraries/Headers.sol";
import {OmmerFormula} from "../libraries/OmmerRewards.sol";
import {IVerifierCommittee} from "./IVerifierCommittee.sol";

/// @title IBlockLedger
/// @notice A lane's chain of block headers, one per height, the ommers beside it, and what the system issues for both.
interface IBlockLedger {
    /// @notice What a round hands over to be judged and become a block.
    /// @param roundHash PHS of the round
    /// @param timestamp when commits closed
    /// @param firstBallotId 0 unless the ballot was repeated, for what it left undecided
    /// @param minTestPpm test accuracy below which the best is no block, if it did not claim to qualify
    /// @param entries the round's submissions, in any order
    /// @param transcript of the round itself, without its ballots
    /// @param manifestHash this and the next three make the block's body, see `Headers.bodyRoot`
    /// @param testSetHash zero if there is none
    struct Case {
        uint64 roundId;
        uint64 taskId;
        bytes32 roundHash;
        uint40 timestamp;
        uint64 firstBallotId;
        uint64 ballotId;
        uint24 requiredTrainPpm;
        uint24 minTestPpm;
        Entry[] entries;
        bytes32 transcript;
        bytes32 manifestHash;
        bytes32 taskListHash;
        bytes32 newTasksHash;
        bytes32 testSetHash;
    }

    /// @notice What the committee's verdicts make of a round. Sets of entries are bit sets.
    /// @param valid those that are what they claimed to be; with none, or below the floor, no block was appended
    /// @param unjudged those of which nothing is known, through no fault of theirs that was shown
    /// @param winner position of the best; meaningless without a valid one
    /// @param undecidedCount how many another ballot could decide; if there was only one so far, nothing else is set
    /// @param isDataWithheld the client's data could not be had
    struct Findings {
        uint256 valid;
        uint256 unjudged;
        uint256 winner;
        uint8 undecidedCount;
        bool isDataWithheld;
        bool isBelowFloor;
    }

    /// @param hash `keccak(height, miner, model, trainPpm, testPpm)`
    struct Ommer {
        address miner;
        uint32 trainPpm;
        uint32 testPpm;
        bool isReferenced;
        bytes32 hash;
    }

    /// @param winnerReward the lane's share of R_w, in units of the reward token
    struct LedgerParameters {
        uint128 winnerReward;
        OmmerFormula ommerFormula;
        AnchorSource anchor;
    }

    event BlockAppended(
        uint64 indexed height, uint64 indexed roundId, bytes32 headerHash, Header header, bytes32[] body
    );
    event OmmerAdded(uint64 indexed height, address indexed miner, uint32 testPpm, bytes32 ommerHash);
    event OmmerReferenced(
        uint64 indexed height,
        uint64 indexed ommerHeight,
        address indexed miner,
        uint256 ommerReward,
        uint256 referenceReward
    );

    event AnchorKept(uint64 indexed anchorBlock, bytes32 value);

    error AnchorNotKnown(uint64 anchorBlock);
    error AnchorNotToKeep(uint64 anchorBlock);
    error NotChain(address caller);
    error UnknownHeight(uint64 height);

    /// @notice Judges a round by what its ballots decided, appends the block of the best if there is one, and issues R_w,
    /// R_r and the reference reward. The chain only.
    function conclude(IVerifierCommittee committee, Case calldata given) external returns (Findings memory);

    /// @notice Writes down what PHS depends on, once, so that it stays what it is; anybody may. Unless the source is
    /// `BlockHash`, PHS is unknown until then.
    function keepAnchor(uint64 anchorBlock) external;

    /// @notice Number of the block that a round which opens now gets its PHS from.
    function nextAnchor() external view returns (uint64);
    /// @notice What PHS of a round with this anchor depends on; 0 while it is not known.
    function anchorValue(uint64 anchorBlock) external view returns (bytes32);

    function parameters() external view returns (LedgerParameters memory);
    function height() external view returns (uint64);
    function headerHash(uint64 atHeight) external view returns (bytes32);
    function header(uint64 atHeight) external view returns (Header memory);
    /// @notice The best six ommers of a height, best first: no more can ever be referenced.
    function ommers(uint64 atHeight) external view returns (Ommer[] memory);
    /// @notice O_num: all valid solutions of a height but the winner's; 0 after overtime.
    function ommerCount(uint64 atHeight) external view returns (uint16);
    /// @notice Whether `value` is number `index` in the body of the block at this height.
    function isIncluded(uint64 atHeight, uint256 index, bytes32 value, bytes32[] calldata proof)
        external
        view
        returns (bool);
}
