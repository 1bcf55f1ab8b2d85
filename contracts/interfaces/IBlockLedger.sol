// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../libraries/Cids.sol";
import {Header} from "../libraries/Headers.sol";
import {OmmerFormula} from "../libraries/OmmerRewards.sol";

/// @title IBlockLedger
/// @notice A lane's chain of block headers, one per height, the ommers beside it, and what the system issues for both.
interface IBlockLedger {
    /// @notice A solution as the committee judged it.
    struct Candidate {
        address miner;
        Cid model;
        uint32 trainPpm;
        uint32 testPpm;
    }

    /// @notice What a round hands over to become a block.
    /// @param roundHash PHS of the round
    /// @param timestamp when commits closed
    /// @param ommersAtHeight O_num of the new height; 0 where there are no ommers
    /// @param candidates the round's submissions, in any order
    /// @param scores what they are ranked by, all different; 0: neither winner nor ommer
    /// @param body what the block's body commits to
    struct NewBlock {
        uint64 roundId;
        uint64 taskId;
        bytes32 roundHash;
        uint40 timestamp;
        uint16 ommersAtHeight;
        Candidate[] candidates;
        uint256[] scores;
        bytes32[] body;
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

    error NotChain(address caller);
    error UnknownHeight(uint64 height);

    /// @notice Appends the block of the highest score and issues R_w, R_r and the reference reward. The chain only.
    function append(NewBlock calldata given) external;

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
