// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../libraries/Cids.sol";

/// @title ILearningChain
/// @notice PoLe rounds: commits, the release of test sets, reveals and what the committee's verdicts make of them.
/// The blocks that come of them are in {IBlockLedger}. Each lane is one such chain with a ledger of its own; all share
/// market, reservoir, committee and token.
interface ILearningChain {
    /// @notice `Keys`: the client publishes functional keys. `Training`: solutions are committed, qualified
    /// or not. `Overtime`: none that was committed in time is claimed to qualify; more may come. `Release`: commits are closed, the client
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
    /// `BelowFloor` (the best is not qualified, and under the task's `minTestPpm`), `Undecided` (none was found valid, and of some the
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
    /// @param anchorBlock number of the block that PHS comes from, which nobody knew at the opening; see `IBlockLedger.nextAnchor`
    /// @param judgingFeeGwei what a submission costs besides its bond
    /// @param previousHash PHS, see `Headers.roundHash`; zero until that block is known, then as `publishKeys` or the
    /// first `commit` would bind it
    /// @param deadline end of the current phase; 0 where the phase has none (`Voting`: see the ballot)
    /// @param commitsClosedAt time from which no commit was accepted
    /// @param openedAt from when the round occupies the chain
    /// @param earliestCloseAt before this, commits do not close for their number
    /// @param commitCount commits so far, replaced ones included
    /// @param isTestSetReleased false again if the committee decided that the client's data could not be had
    /// @param ballotId the newest ballot, over all revealed submissions; if `firstBallotId` is not 0, over those whose
    /// train part that one left undecided
    /// @param firstBallotId 0 unless the ballot was repeated
    /// @param transcript hash chain over keys, test set and submissions, in commit order; zero until revealing ends
    struct Round {
        uint64 taskId;
        uint64 height;
        uint64 anchorBlock;
        uint64 judgingFeeGwei;
        bytes32 previousHash;
        Phase phase;
        AbortReason abortReason;
        bool isOvertime;
        bool isTestSetReleased;
        uint40 deadline;
        uint40 commitsClosedAt;
        uint40 openedAt;
        uint40 earliestCloseAt;
        uint24 commitCount;
        uint8 submissionCount;
        uint8 qualifiedCount;
        uint8 revealedCount;
        uint64 ballotId;
        uint64 firstBallotId;
        Cid keys;
        Cid testSet;
        bytes32 transcript;
    }

    /// @param order of the commit among all of the round, from 1; a replaced one gets a new number. Ties go by it
    /// @param bondWei at least the chain's, in whole gwei
    /// @param commitment see `Commitments.solution`; zero once revealed
    /// @param model zero until revealed
    struct Submission {
        address miner;
        uint32 claimedTrainPpm;
        uint24 order;
        uint96 bondWei;
        bool isRevealed;
        bytes32 commitment;
        Cid model;
    }

    /// @param judgingFeeWei what a submission costs besides its bond, whatever the reward; with its share in whole gwei
    /// @param judgingFeePpm and this share of the reward: filling a round costs more than it pays
    /// @param occupancyPpm share of the reward for occupying the chain as long as a round can take, without a block
    struct ChainParameters {
        uint32 keysWindowS;
        uint32 overtimeWindowS;
        uint32 releaseWindowS;
        uint32 revealWindowS;
        uint128 minerBondWei;
        uint128 judgingFeeWei;
        uint32 judgingFeePpm;
        uint32 occupancyPpm;
    }

    /// @notice The public, unencrypted task of idle rounds, ranked by train accuracy.
    struct IdleTask {
        Cid manifest;
        uint32 timeLimitS;
        uint32 requiredTrainPpm;
        uint16 solutionsWanted;
        uint32 earliestCloseS;
    }

    event RoundOpened(uint64 indexed roundId, uint64 indexed taskId, uint64 height, uint64 anchorBlock);
    event PreviousHashBound(uint64 indexed roundId, bytes32 previousHash);
    event PhaseChanged(uint64 indexed roundId, Phase phase, uint40 deadline);
    event KeysPublished(uint64 indexed roundId, Cid keys);
    /// @param paidWei with this commit: bond and judging fee, or what a replacement adds to the bond
    event SolutionCommitted(
        uint64 indexed roundId, address indexed miner, uint16 index, uint32 claimedTrainPpm, uint256 paidWei
    );
    event SubmissionDisplaced(uint64 indexed roundId, address indexed miner, uint16 index);
    event OccupancyPaid(uint64 indexed roundId, address indexed client, uint256 amountWei);
    event TestSetReleased(uint64 indexed roundId, Cid testSet);
    event SolutionRevealed(uint64 indexed roundId, address indexed miner, uint16 index, Cid model);
    event BondForfeited(uint64 indexed roundId, address indexed owner, uint256 amountWei);
    event RoundAborted(uint64 indexed roundId, AbortReason reason);

    /// @notice A constructor parameter under which no round could work.
    error InvalidParameter(bytes32 name, uint256 value);
    error RoundInProgress(uint64 roundId);
    error WrongPhase(uint64 roundId, Phase phase);
    error NotClient(uint64 roundId, address client, address caller);
    error DeadlinePassed(uint64 roundId, uint40 deadline);
    error NotDue(uint64 roundId, Phase phase, uint40 deadline);
    /// @notice PHS is another one, or not known yet (`actual` is zero).
    error WrongPreviousHash(uint64 roundId, bytes32 actual, bytes32 given);
    error BondTooSmall(uint256 sentWei, uint256 neededWei);
    /// @notice Not in whole gwei, or more than 2^40 of them altogether.
    error InvalidBond(uint256 bondWei);
    /// @notice The place is empty or somebody else's.
    error NotYourPlace(uint64 roundId, uint8 place, address caller);
    error InvalidAccuracy(uint32 ppm);
    error EmptyCommitment();
    /// @notice All places are taken by bonds as high.
    error RoundFull(uint64 roundId, uint256 lowestBondWei);
    error AlreadyRevealed(uint64 roundId, address miner);
    error CommitmentMismatch(bytes32 expected, bytes32 actual);
    error ReleaseTooEarly(uint64 roundId, uint40 commitsClosedAt);

    /// @notice Pops the most valuable task, if it is this lane's turn. Anyone may call. PHS follows from a later block.
    function openRound() external returns (uint64 roundId);

    /// @notice With no paying task, and another lane free for the next one if there are several, opens a round over the
    /// idle task for R_w alone. Anyone may call.
    function openIdleRound() external returns (uint64 roundId);

    /// @notice The client publishes the functional keys for Z(PHS); the training clock starts for all at once.
    /// @param previousHash PHS as the caller knows it; if a reorganisation has changed it, the call reverts
    function publishKeys(uint64 roundId, bytes32 previousHash, Cid calldata keys) external;

    /// @notice Commits to a trained model, or replaces one's commit by another. The value sent is the judging fee and a
    /// bond of at least the chain's; with a replacement, what is added to the bond, if anything. In a full round a higher
    /// bond takes the place of the lowest, the last among equals, which gets everything back. A claim under the required
    /// accuracy never loses the bond, but counts only if no qualified one is valid. The chain holds what was sent until
    /// commits close, then the reservoir.
    /// @param previousHash PHS as the caller knows it, see `publishKeys`
    /// @param commitment see `Commitments.solution`
    /// @param place 0 for a new one; to replace the caller's own commit, see `placeOf`
    function commit(
        uint64 roundId,
        bytes32 previousHash,
        bytes32 commitment,
        uint32 claimedTrainPpm,
        uint8 place
    ) external payable;

    /// @notice The client opens its test-set commitment; only after commits have closed, and in a later block.
    function releaseTestSet(uint64 roundId, Cid calldata testSet, bytes32 salt) external;

    /// @param place the caller's, see `placeOf`
    function reveal(uint64 roundId, uint8 place, Cid calldata model, bytes32 salt) external;

    /// @notice Moves a round on that is due: everybody acted or the deadline passed. Anyone may call.
    /// In `Voting` it needs a closed or void ballot, and finalises the round.
    function advance(uint64 roundId) external returns (Phase phase);

    /// @notice What a submission to a round costs besides its bond.
    function judgingFeeOf(uint64 roundId) external view returns (uint256 amountWei);
    function parameters() external view returns (ChainParameters memory);
    function idleTask() external view returns (IdleTask memory);
    function round(uint64 roundId) external view returns (Round memory);
    function submission(uint64 roundId, uint16 index) external view returns (Submission memory);
    function submissions(uint64 roundId) external view returns (Submission[] memory);
    /// @notice Position of a miner's submission plus one, of the first if it has several; 0 if it has none.
    function placeOf(uint64 roundId, address miner) external view returns (uint8 place);
    function roundCount() external view returns (uint64);
    function isDue(uint64 roundId) external view returns (bool);
}
