// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A submission in two words, of which a reveal makes no new one.
/// @param order of the commit among all of the round, from 1
/// @param modelCodec 0 until the submission is revealed
/// @param digest of the solution's commitment, and once it is revealed, of the model
struct Entry {
    address miner;
    uint40 bondGwei;
    uint24 claimedTrainPpm;
    uint24 order;
    uint8 modelCodec;
    bytes32 digest;
}
