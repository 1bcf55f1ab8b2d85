// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {VM} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice What clients, miners and verifiers do when it is their turn. Every secret is a hash of what it belongs to,
/// so that nothing has to be remembered between commit and reveal.
abstract contract Roles is World {
    uint256 internal constant CLIENTS = 3;
    uint256 internal constant MINERS = 6;
    uint256 internal constant VERIFIERS = 5;
    uint256 internal constant MAX_PENDING = 5;
    uint256 internal constant PLACES = 64;
    uint256 internal constant PROPOSALS = 8;
    /// @dev They are there to cheat, as verifiers and as miners.
    uint256 internal constant OUTSIDERS = 22;

    function _client(uint256 seed) internal pure returns (address) {
        return _account("client", seed % CLIENTS);
    }

    function _miner(uint256 seed) internal pure returns (address) {
        return _account("miner", seed % MINERS);
    }

    function _verifier(uint256 seed) internal pure returns (address) {
        return _account("verifier", seed % VERIFIERS);
    }

    function _outsider(uint256 number) internal pure returns (address) {
        return _account("outsider", number);
    }

    /// @notice Whoever may have a stake.
    function verifiers() public pure returns (address[] memory all) {
        all = new address[](VERIFIERS + OUTSIDERS);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = i < VERIFIERS ? _verifier(i) : _outsider(i - VERIFIERS);
        }
    }

    function _stranger() internal pure returns (address) {
        return _account("stranger", 0);
    }

    // --- clients ---

    function _submitTask(uint256 seed) internal {
        address client = _client(seed);
        uint64 taskId = market.taskCount() + 1;
        (Cid memory testSet, bytes32 salt) = _testSetOf(taskId);
        ITaskMarket.TaskTerms memory terms = ITaskMarket.TaskTerms({
            manifest: Cid(Cids.RAW, keccak256(abi.encode("manifest", taskId))),
            testSetCommitment: Commitments.testSet(address(market), client, testSet, salt),
            timeLimitS: uint32(60 + (seed >> 8) % 240),
            requiredTrainPpm: REQUIRED_PPM,
            minTestPpm: (seed >> 16) % 2 == 0 ? 800_000 : 0,
            solutionsWanted: uint16(1 + (seed >> 40) % 4),
            earliestCloseS: uint32((seed >> 32) % 32)
        });
        uint256 paymentWei = 2 * MIN_REWARD_WEI + (seed >> 48) % 1_000_000;
        uint64 hint = _hint(seed);
        VM.deal(client, CLIENT_BOND_WEI + paymentWei);
        VM.prank(client);
        market.submit{value: CLIENT_BOND_WEI + paymentWei}(terms, hint);
    }

    function _raiseReward(uint64 taskId, uint256 seed) internal {
        uint256 amountWei = 1_000 + seed % 100_000;
        address client = market.task(taskId).client;
        uint64 hint = _hint(seed);
        VM.deal(client, amountWei);
        VM.prank(client);
        market.raiseReward{value: amountWei}(taskId, hint);
    }

    /// @dev Any number will do while fewer tasks than steps are pending.
    function _hint(uint256 seed) private view returns (uint64) {
        return uint64(seed % (market.taskCount() + 2));
    }

    function _cancelTask(uint256 seed) internal {
        uint64 newest = market.taskCount();
        for (uint64 back = 0; back < 8 && back < newest; back++) {
            uint64 taskId = newest - uint64((back + seed) % (newest < 8 ? newest : 8));
            if (stateOf[taskId] != ITaskMarket.TaskState.Pending) continue;
            if ((seed >> 8) % 2 == 0) {
                _raiseReward(taskId, seed >> 16);
                return;
            }
            VM.prank(market.task(taskId).client);
            market.cancel(taskId);
            return;
        }
    }

    function _publishKeys(uint64 roundId) internal {
        bytes32 previousHash = _previousHash(roundId);
        VM.prank(_clientOf(roundId));
        chain.publishKeys(roundId, previousHash, Cid(Cids.DAG_PB, keccak256(abi.encode("keys", roundId))));
    }

    function _releaseTestSet(uint64 roundId) internal {
        (Cid memory testSet, bytes32 salt) = _testSetOf(chain.round(roundId).taskId);
        VM.prank(_clientOf(roundId));
        chain.releaseTestSet(roundId, testSet, salt);
    }

    function _clientOf(uint64 roundId) internal view returns (address) {
        return market.task(chain.round(roundId).taskId).client;
    }

    // --- miners ---

    /// @dev The first miner from a random one on that has not committed; some claim less than is required. If all have,
    /// one replaces its commit.
    function _commitSolution(uint64 roundId, bool isOvertime, uint256 seed) internal {
        if (chain.round(roundId).submissionCount == PLACES) return;
        for (uint256 i = 0; i < MINERS; i++) {
            address miner = _miner(seed % MINERS + i);
            if (chain.placeOf(roundId, miner) != 0) continue;
            bool isUnsure = isOvertime || (seed >> 8) % 8 == 0;
            uint32 claim = uint32((isUnsure ? REQUIRED_PPM - 150_000 : REQUIRED_PPM) + (seed >> 16) % 200_000);
            bytes32 previousHash = _previousHash(roundId);
            bytes32 commitment = _solutionOf(roundId, miner, _modelOf(roundId, miner));
            uint256 amountWei = MINER_BOND_WEI + chain.judgingFeeOf(roundId) + (seed >> 64) % 3 * 1 gwei;
            VM.deal(miner, amountWei);
            VM.prank(miner);
            chain.commit{value: amountWei}(roundId, previousHash, commitment, claim, 0);
            return;
        }
        _replaceSolution(roundId, _miner(seed), uint32(REQUIRED_PPM + (seed >> 16) % 200_000));
    }

    /// @dev By another commitment to the same model, and a little more bond or none.
    function _replaceSolution(uint64 roundId, address miner, uint32 claim) private {
        bytes32 previousHash = _previousHash(roundId);
        bytes32 commitment = _solutionOf(roundId, miner, _modelOf(roundId, miner));
        uint8 place = chain.placeOf(roundId, miner);
        uint256 addedWei = claim % 2 * 1 gwei;
        VM.deal(miner, addedWei);
        VM.prank(miner);
        chain.commit{value: addedWei}(roundId, previousHash, commitment, claim, place);
    }

    function _revealSolution(uint64 roundId, uint256 seed) internal {
        uint16 count = chain.round(roundId).submissionCount;
        for (uint256 i = 0; i < count; i++) {
            uint16 index = uint16((seed % count + i) % count);
            ILearningChain.Submission memory sealed_ = chain.submission(roundId, index);
            if (sealed_.isRevealed) continue;
            VM.prank(sealed_.miner);
            chain.reveal(
                roundId, uint8(index + 1), _modelOf(roundId, sealed_.miner), _saltOf(roundId, sealed_.miner)
            );
            return;
        }
    }

    /// @dev Waits for the block that it comes from.
    function _previousHash(uint64 roundId) internal returns (bytes32 previousHash) {
        while (previousHash == bytes32(0)) {
            previousHash = chain.round(roundId).previousHash;
            if (previousHash == bytes32(0)) _pass(1);
        }
    }

    function _solutionOf(uint64 roundId, address miner, Cid memory model) internal view returns (bytes32) {
        bytes32 previousHash = chain.round(roundId).previousHash;
        return
            Commitments.solution(address(chain), roundId, miner, previousHash, model, _saltOf(roundId, miner));
    }

    // --- verifiers ---

    function _stake(uint256 seed) internal {
        address verifier = _verifier(seed);
        IVerifierCommittee.Verifier memory staker = committee.verifier(verifier);
        uint256 amountWei = MIN_STAKE_WEI + (seed >> 8) % (3 * MIN_STAKE_WEI);
        // Some come back with what lies there, or add a little to a stake that penalties have reduced.
        if (staker.stakeWei >= MIN_STAKE_WEI && seed % 3 == 0) amountWei = staker.isSeated ? 1 : 0;
        VM.deal(verifier, amountWei);
        VM.prank(verifier);
        committee.stake{value: amountWei}();
    }

    function _requestUnstake(uint256 seed) internal {
        address verifier = _verifier(seed);
        if (!committee.verifier(verifier).isSeated) return;
        VM.prank(verifier);
        committee.requestUnstake();
    }

    function _completeUnstake(address verifier) internal {
        if (!_canLeave(verifier)) return;
        VM.prank(verifier);
        committee.completeUnstake();
    }

    function _canLeave(address verifier) internal view returns (bool) {
        IVerifierCommittee.Verifier memory leaver = committee.verifier(verifier);
        return leaver.releaseAt != 0 && _nowS >= leaver.releaseAt && leaver.openBallots == 0;
    }

    // --- secrets ---

    function _testSetOf(uint64 taskId) internal pure returns (Cid memory testSet, bytes32 salt) {
        testSet = Cid(Cids.RAW, keccak256(abi.encode("test set", taskId)));
        salt = keccak256(abi.encode("test-set salt", taskId));
    }

    function _modelOf(uint64 roundId, address miner) internal pure returns (Cid memory) {
        return Cid(Cids.RAW, keccak256(abi.encode("model", roundId, miner)));
    }

    function _saltOf(uint64 id, address owner) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", id, owner));
    }

    function _account(string memory role, uint256 number) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(role, number)))));
    }
}
