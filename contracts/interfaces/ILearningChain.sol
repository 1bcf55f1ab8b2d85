// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../libraries/Cids.sol";
import {Header} from "../libraries/Headers.sol";
import {OmmerFormula} from "../libraries/OmmerRewards.sol";

/// @title ILearningChain
/// @notice PoLe rounds, one winning block per height, ommers and the release of test sets.
interface ILearningChain {
    /// @notice `Keys`: the client publishes functional keys. `Training`: qualified solutions are committed.
    /// `Overtime`: nobody qualified in time; any solution may be committed. `Release`: commits are closed, the client
    /// releases the test set. `Reveal`: miners open their commitments. `Voting`: the committee's ballot runs.
    /// `Finalised`: a block was appended. `Aborted`: no block; see `AbortReason`.
    enum Phase {
        None,
        Keys,
        Training,
        Overtime,
        Release,
        Reveal,
        Voting,
        Finalised,
        Aborted
    }

    /// @notice `KeysMissing`, `NoSolution` (overtime over), `NothingRevealed`, `QuorumLost`, `NoValidSolution`,
    /// `BelowFloor` (overtime winner under the task's `minTestPpm`), `Undecided` (none was found valid, and of some the
    /// committee could not say; their miners share the escrow).
    enum AbortReason {
        None,
        KeysMissing,
        NoSolution,
        NothingRevealed,
        QuorumLost,
        NoValidSolution,
        BelowFloor,
        Undecided
    }

    /// @param taskId 0 in an idle round
    /// @param previousHash PHS: hash of the header at `height - 1`
    /// @param deadline end of the current phase; 0 where the phase has none (`Voting`: see the ballot)
    /// @param commitsClosedAt time from which no commit was accepted
    /// @param isTestSetReleased false again if the committee decided that the client's data could not be had
    /// @param ballotId the newest ballot, over all revealed submissions; if `firstBallotId` is not 0, over those whose
    /// train part that one left undecided
    /// @param firstBallotId 0 unless the ballot was repeated
    /// @param opener who opened the round; stands in for the client in an idle round
    /// @param transcript hash chain over the round's transactions; commits and reveals join it, in commit order, when
    /// revealing ends
    struct Round {
        uint64 taskId;
        uint64 height;
        bytes32 previousHash;
        Phase phase;
        AbortReason abortReason;
        bool isOvertime;
        bool isTestSetReleased;
        uint40 deadline;
        uint40 commitsClosedAt;
        uint16 submissionCount;
        uint16 qualifiedCount;
        uint16 revealedCount;
        uint64 ballotId;
        uint64 firstBallotId;
        address opener;
        Cid keys;
        Cid testSet;
        bytes32 transcript;
    }

    /// @param commitment see `Commitments.solution`
    /// @param model zero until revealed
    struct Submission {
        address miner;
        uint32 claimedTrainPpm;
        uint40 committedAt;
        bool isRevealed;
        bytes32 commitment;
        Cid model;
    }

    /// @param hash `keccak(height, miner, model, trainPpm, testPpm)`
    struct Ommer {
        address miner;
        uint32 trainPpm;
        uint32 testPpm;
        bool isReferenced;
        bytes32 hash;
    }

    /// @param winnerReward R_w, in units of the reward token
    struct ChainParameters {
        uint32 keysWindowS;
        uint32 overtimeWindowS;
        uint32 releaseWindowS;
        uint32 revealWindowS;
        uint128 minerBondWei;
        uint128 winnerReward;
        OmmerFormula ommerFormula;
    }

    /// @notice The public, unencrypted task of idle rounds, ranked by train accuracy.
    struct IdleTask {
        Cid manifest;
        uint32 timeLimitS;
        uint32 requiredTrainPpm;
        uint16 solutionsWanted;
    }

    event RoundOpened(uint64 indexed roundId, uint64 indexed taskId, uint64 height, bytes32 previousHash);
    event PhaseChanged(uint64 indexed roundId, Phase phase, uint40 deadline);
    event KeysPublished(uint64 indexed roundId, Cid keys);
    event SolutionCommitted(
        uint64 indexed roundId, address indexed miner, uint16 index, uint32 claimedTrainPpm
    );
    event TestSetReleased(uint64 indexed roundId, Cid testSet);
    event SolutionRevealed(uint64 indexed roundId, address indexed miner, uint16 index, Cid model);
    event BondForfeited(uint64 indexed roundId, address indexed owner, uint256 amountWei);
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
    event RoundAborted(uint64 indexed roundId, AbortReason reason);

    /// @notice A constructor parameter under which no round could work.
    error InvalidParameter(bytes32 name, uint256 value);
    error RoundInProgress(uint64 roundId);
    error TasksPending(uint256 count);
    error WrongPhase(uint64 roundId, Phase phase);
    error NotClient(uint64 roundId, address client, address caller);
    error DeadlinePassed(uint64 roundId, uint40 deadline);
    error NotDue(uint64 roundId, Phase phase, uint40 deadline);
    error WrongBond(uint256 sentWei, uint256 neededWei);
    error ClaimBelowRequired(uint32 claimedTrainPpm, uint32 requiredTrainPpm);
    error InvalidAccuracy(uint32 ppm);
    error EmptyCommitment();
    error AlreadyCommitted(uint64 roundId, address miner);
    error RoundFull(uint64 roundId, uint16 maxSubmissions);
    error NotCommitted(uint64 roundId, address miner);
    error AlreadyRevealed(uint64 roundId, address miner);
    error CommitmentMismatch(bytes32 expected, bytes32 actual);
    error ReleaseTooEarly(uint64 roundId, uint40 commitsClosedAt);
    error UnknownHeight(uint64 height);

    /// @notice Pops the most valuable task and binds the previous header's hash. Anyone may call.
    function openRound() external returns (uint64 roundId);

    /// @notice With no paying task, opens a round over the idle task for R_w alone. Anyone may call.
    function openIdleRound() external returns (uint64 roundId);

    /// @notice The client publishes the functional keys for Z(PHS); the training clock starts for all at once.
    function publishKeys(uint64 roundId, Cid calldata keys) external;

    /// @notice Commits to a trained model. In `Training` the claim must reach the required accuracy.
    /// @param commitment see `Commitments.solution`
    function commit(uint64 roundId, bytes32 commitment, uint32 claimedTrainPpm) external payable;

    /// @notice The client opens its test-set commitment; only after commits have closed, and in a later block.
    function releaseTestSet(uint64 roundId, Cid calldata testSet, bytes32 salt) external;

    function reveal(uint64 roundId, Cid calldata model, bytes32 salt) external;

    /// @notice Moves a round on that is due: everybody acted or the deadline passed. Anyone may call.
    /// In `Voting` it needs a closed or void ballot, and finalises the round.
    function advance(uint64 roundId) external returns (Phase phase);

    function parameters() external view returns (ChainParameters memory);
    function idleTask() external view returns (IdleTask memory);
    function round(uint64 roundId) external view returns (Round memory);
    function submission(uint64 roundId, uint16 index) external view returns (Submission memory);
    function submissions(uint64 roundId) external view returns (Submission[] memory);
    /// @notice Position of a miner's submission plus one; 0 if it has none.
    function submissionIndexOf(uint64 roundId, address miner) external view returns (uint16 indexPlusOne);
    function roundCount() external view returns (uint64);
    function isDue(uint64 roundId) external view returns (bool);
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
