// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IRewardToken} from "./interfaces/IRewardToken.sol";
import {Cid} from "./libraries/Cids.sol";
import {Header, Headers} from "./libraries/Headers.sol";
import {OmmerFormula, OmmerRewards} from "./libraries/OmmerRewards.sol";
import {Ranking} from "./libraries/Ranking.sol";

/// @title BlockLedger
/// @notice See the documentation in {IBlockLedger}.
contract BlockLedger is IBlockLedger {
    /// @dev Each of the next `MAX_DEPTH` blocks can reference one ommer, so no more of a height can ever be paid.
    uint256 private constant MAX_OMMERS = OmmerRewards.MAX_DEPTH;

    IRewardToken public immutable TOKEN;
    address public immutable CHAIN;
    uint128 private immutable WINNER_REWARD;
    OmmerFormula private immutable OMMER_FORMULA;

    /// @inheritdoc IBlockLedger
    uint64 public override height;
    mapping(uint64 atHeight => Header) private _headers;
    mapping(uint64 atHeight => bytes32) private _headerHashes;
    mapping(uint64 atHeight => Ommer[]) private _ommers;
    mapping(uint64 atHeight => uint16) private _ommerCounts;

    /// @param chain the only one that appends blocks
    /// @param genesisModel what the genesis header names; nobody trained it
    constructor(IRewardToken token, address chain, LedgerParameters memory given, Cid memory genesisModel) {
        if (address(token) == address(0) || chain == address(0)) revert IRewardReservoir.ZeroAddress();
        TOKEN = token;
        CHAIN = chain;
        WINNER_REWARD = given.winnerReward;
        OMMER_FORMULA = given.ommerFormula;
        Header memory genesis;
        genesis.model = genesisModel;
        // No two ledgers may begin alike: PHS of two lanes would be the same.
        genesis.roundHash = keccak256(abi.encode(blockhash(block.number - 1), address(this)));
        genesis.timestamp = uint64(block.timestamp);
        _store(0, genesis, new bytes32[](0));
    }

    /// @inheritdoc IBlockLedger
    // It calls our own token, which calls nobody back.
    // slither-disable-next-line reentrancy-benign,reentrancy-events,reentrancy-no-eth
    function append(NewBlock calldata given) external override {
        if (msg.sender != CHAIN) revert NotChain(msg.sender);
        uint256[] memory best = Ranking.best(given.scores, 1 + MAX_OMMERS);
        Candidate memory winner = given.candidates[best[0]];
        height++;
        Header memory added;
        added.height = height;
        added.taskId = given.taskId;
        added.winner = winner.miner;
        added.previousHash = _headerHashes[height - 1];
        added.model = winner.model;
        added.trainPpm = winner.trainPpm;
        added.testPpm = winner.testPpm;
        added.ommerHash = _referenceOmmer(winner.miner);
        added.bodyRoot = Headers.bodyRoot(given.body);
        added.roundHash = given.roundHash;
        added.timestamp = given.timestamp;
        _store(given.roundId, added, given.body);
        if (given.ommersAtHeight > 0) _addOmmers(given, best);
        _mint(winner.miner, WINNER_REWARD);
    }

    /// @inheritdoc IBlockLedger
    function parameters() external view override returns (LedgerParameters memory) {
        return LedgerParameters(WINNER_REWARD, OMMER_FORMULA);
    }

    /// @inheritdoc IBlockLedger
    function headerHash(uint64 atHeight) public view override returns (bytes32) {
        _checkHeight(atHeight);
        return _headerHashes[atHeight];
    }

    /// @inheritdoc IBlockLedger
    function header(uint64 atHeight) external view override returns (Header memory) {
        _checkHeight(atHeight);
        return _headers[atHeight];
    }

    /// @inheritdoc IBlockLedger
    function ommers(uint64 atHeight) external view override returns (Ommer[] memory) {
        _checkHeight(atHeight);
        return _ommers[atHeight];
    }

    /// @inheritdoc IBlockLedger
    function ommerCount(uint64 atHeight) external view override returns (uint16) {
        _checkHeight(atHeight);
        return _ommerCounts[atHeight];
    }

    /// @inheritdoc IBlockLedger
    function isIncluded(uint64 atHeight, uint256 index, bytes32 value, bytes32[] calldata proof)
        external
        view
        override
        returns (bool)
    {
        _checkHeight(atHeight);
        return Headers.isIncluded(_headers[atHeight].bodyRoot, index, value, proof);
    }

    function _store(uint64 roundId, Header memory added, bytes32[] memory body) private {
        bytes32 hash = Headers.hash(added);
        _headers[added.height] = added;
        _headerHashes[added.height] = hash;
        emit BlockAppended(added.height, roundId, hash, added, body);
    }

    function _addOmmers(NewBlock calldata given, uint256[] memory best) private {
        _ommerCounts[height] = given.ommersAtHeight;
        for (uint256 i = 1; i < best.length; i++) {
            Candidate memory added = given.candidates[best[i]];
            bytes32 hash =
                keccak256(abi.encode(height, added.miner, added.model, added.trainPpm, added.testPpm));
            _ommers[height].push(Ommer(added.miner, added.trainPpm, added.testPpm, false, hash));
            emit OmmerAdded(height, added.miner, added.testPpm, hash);
        }
    }

    /// @dev References the best unreferenced ommer of the last heights, if there is one, in the block at `height`.
    function _referenceOmmer(address winner) private returns (bytes32) {
        (uint64 ommerHeight, uint256 index) = _bestOmmer();
        if (ommerHeight == 0) return bytes32(0);
        Ommer storage best = _ommers[ommerHeight][index];
        best.isReferenced = true;
        uint256 ommerReward = OmmerRewards.rewardDown(
            OMMER_FORMULA, WINNER_REWARD, height, ommerHeight, _ommerCounts[ommerHeight]
        );
        uint256 referenceReward = WINNER_REWARD / OmmerRewards.REFERENCE_DIVISOR;
        emit OmmerReferenced(height, ommerHeight, best.miner, ommerReward, referenceReward);
        _mint(best.miner, ommerReward);
        _mint(winner, referenceReward);
        return best.hash;
    }

    function _mint(address to, uint256 amount) private {
        TOKEN.mint(to, amount);
    }

    /// @return bestHeight 0 if there is none: genesis has no ommers
    function _bestOmmer() private view returns (uint64 bestHeight, uint256 bestIndex) {
        uint256 oldest = height > OmmerRewards.MAX_DEPTH ? height - OmmerRewards.MAX_DEPTH : 1;
        uint256 bestPpm;
        for (uint64 atHeight = uint64(oldest); atHeight < height; atHeight++) {
            Ommer[] storage candidates = _ommers[atHeight];
            for (uint256 i = 0; i < candidates.length; i++) {
                if (candidates[i].isReferenced) continue;
                if (bestHeight != 0 && candidates[i].testPpm <= bestPpm) continue;
                (bestHeight, bestIndex, bestPpm) = (atHeight, i, candidates[i].testPpm);
            }
        }
    }

    function _checkHeight(uint64 atHeight) private view {
        if (atHeight > height) revert UnknownHeight(atHeight);
    }
}
