// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AnchorSource} from "../libraries/Anchors.sol";
import {Cid} from "../libraries/Cids.sol";

/// @title IGradientChain
/// @notice Blocks that are training steps: a block's weight changes satisfy sign requirements drawn from the previous
/// block's hash. `Source: DGG`
interface IGradientChain {
    /// @notice `Paper`: Algorithms 1 and 2 to the letter, for research; they can be mined without learning.
    /// `Hardened`: the forced trajectory, see docs/gradient.md.
    enum Rules {
        Paper,
        Hardened
    }

    enum GradientTaskState {
        None,
        Pending,
        Active,
        Completed,
        Stopped,
        Cancelled
    }

    /// @notice Why a task was stopped; what was left of its budget went back to the client. `TimedOut`: less one ballot's
    /// fee, which those share who were seated when the height began, unless it was them who were too few. `QuorumLost`: three ballots in a row that were void or left all undecided,
    /// or the budget pays for no further block.
    enum StopReason {
        None,
        TimedOut,
        QuorumLost
    }

    /// @notice `Idle`: no task is active. `Search`: miners train. `Collect`: a proposal came in, others still may.
    /// `Voting`: the committee judges them.
    enum HeightPhase {
        Idle,
        Search,
        Collect,
        Voting
    }

    /// @param genesisWeights where the first block starts from
    /// @param blockRewardWei what a block's miner gets; the verifiers' fee comes on top, see `costOf`
    /// @param targetTestPpm an accepted block with at least this test accuracy completes the task; 0: all blocks are wanted
    /// @param targetIntervalS time that the search for a block should take
    /// @param blockTimeLimitS time that the search for a block may take before the task is stopped
    /// @param minStep first step of a trajectory that can be proposed (paper: 0)
    /// @param maxStep last such step, which bounds the verifiers' work (paper: 0)
    /// @param initialThreshold of 2^24: the share of steps that are blocks (paper: 1, all requirements hold)
    struct GradientTerms {
        Cid manifest;
        Cid genesisWeights;
        Rules rules;
        uint128 blockRewardWei;
        uint32 blockCount;
        uint32 targetTestPpm;
        uint32 targetIntervalS;
        uint32 blockTimeLimitS;
        uint32 minStep;
        uint32 maxStep;
        uint32 initialThreshold;
    }

    /// @param feeWei the verifiers' part, per ballot
    /// @param searchedS search time of all blocks so far, which with `blocksDone` sets the threshold
    struct GradientTask {
        GradientTerms terms;
        address client;
        GradientTaskState state;
        StopReason stopReason;
        uint128 feeWei;
        uint32 blocksDone;
        uint40 searchedS;
    }

    /// @notice The height that is being worked on.
    /// @param deadline of `Search` (the task is stopped) or `Collect` (the ballot opens); else 0. A search's moves on while
    /// too few verifiers are seated
    /// @param voidBallots void, or closed with nothing accepted and something undecided, in a row at this height
    /// @param votingBlock Ethereum block in which the ballot opened; the hash of the next one says which verifier replays
    /// which segment. 0 while there is no ballot
    struct Height {
        uint64 height;
        uint64 taskId;
        HeightPhase phase;
        uint40 searchStartedAt;
        uint40 deadline;
        uint64 ballotId;
        uint8 proposalCount;
        uint8 voidBallots;
        uint64 votingBlock;
    }

    /// @param step number of the training step in the miner's trajectory, from 1 (paper: 0)
    /// @param signDigest the violated requirements as a number, the first requirement being the highest bit
    /// @param proof CID of the proof document
    /// @param weights CID of W', the next block's W
    struct Proposal {
        address miner;
        uint32 step;
        uint32 signDigest;
        uint32 threshold;
        uint40 searchedS;
        Cid proof;
        Cid weights;
    }

    /// @param bondWei 0: not enrolled
    /// @param enrolledAtBlock Ethereum block of the enrolment; it must be older than the previous header
    /// @param exitAt 0, or when a leaving miner's bond can be credited
    struct Miner {
        uint128 bondWei;
        uint64 enrolledAtBlock;
        uint40 exitAt;
        bool hasProposal;
    }

    /// @notice A block; opening a task appends one as well (no miner, step 0, the genesis weights), so that a task's first
    /// requirements depend on nothing that was known before.
    /// @param intervalS search time of this block
    /// @param anchorHash newest value of the deployment's source when this block was accepted: see `Anchors.latest`
    struct GradientHeader {
        uint64 height;
        uint64 taskId;
        address miner;
        bytes32 previousHash;
        Cid weights;
        Cid proof;
        uint32 step;
        uint32 signDigest;
        uint32 threshold;
        uint32 intervalS;
        uint32 trainPpm;
        uint32 testPpm;
        bytes32 anchorHash;
        uint64 timestamp;
    }

    /// @param verifierFeePpm of the block reward, on top of it
    /// @param collectWindowS how long others may still propose after the first
    struct GradientParameters {
        uint128 minerBondWei;
        uint128 minBlockRewardWei;
        uint32 verifierFeePpm;
        uint32 collectWindowS;
        uint32 exitDelayS;
        uint32 maxBlockTimeLimitS;
        AnchorSource anchor;
    }

    event GradientTaskSubmitted(
        uint64 indexed taskId, address indexed client, Cid manifest, uint256 budgetWei
    );
    event GradientTaskClosed(
        uint64 indexed taskId, GradientTaskState state, StopReason reason, uint256 refundWei
    );
    event MinerEnrolled(address indexed miner, uint256 bondWei);
    event MinerLeaving(address indexed miner, uint40 exitAt);
    event MinerLeft(address indexed miner, uint256 bondWei);
    event MinerSlashed(address indexed miner, uint64 indexed height, uint256 amountWei);
    event HeightPhaseChanged(uint64 indexed height, HeightPhase phase, uint40 deadline);
    event BlockProposed(uint64 indexed height, address indexed miner, uint8 index, Proposal proposal);
    /// @notice A full height took a proposal with a higher bond in the place of this miner's, which costs it nothing.
    event ProposalDisplaced(uint64 indexed height, address indexed miner, address indexed by);
    event GradientBlockAppended(
        uint64 indexed height, uint64 indexed taskId, bytes32 headerHash, GradientHeader header
    );
    /// @notice No proposal was accepted; the search goes on from the same hash.
    /// @param isVoid the ballot was void, or left a proposal undecided; false: all were found bad
    event ProposalsRejected(uint64 indexed height, uint64 indexed ballotId, bool isVoid);
    /// @param wrongSegments bit i: segment i of this proposal's trajectory does not replay
    event SegmentsReported(
        uint64 indexed ballotId, address indexed verifier, uint16 indexed entry, uint256 wrongSegments
    );

    /// @notice The first who reported a wrong segment of this bad proposal gets a part of its lost bond.
    event AccuserRewarded(
        uint64 indexed ballotId, address indexed verifier, uint16 indexed entry, uint256 amountWei
    );

    error InvalidParameter(bytes32 name, uint256 value);
    error InvalidTerm(bytes32 name, uint256 value);
    error WrongPayment(uint256 sentWei, uint256 neededWei);
    error FeeAboveBond(uint256 feeWei, uint256 bondWei);
    error NotClient(uint64 taskId, address client, address caller);
    error NotPending(uint64 taskId, GradientTaskState state);
    error TaskActive(uint64 taskId);
    error NoPendingTask();
    error WrongBond(uint256 sentWei, uint256 neededWei);
    error AlreadyEnrolled(address miner);
    error NotEnrolled(address miner);
    error StillLeaving(address miner, uint40 exitAt);
    error NotLeaving(address miner);
    error ProposalPending(address miner, uint64 height);
    error EnrolledTooLate(address miner, uint64 enrolledAtBlock, uint64 headerBlock);
    error WrongHeight(uint64 given, uint64 current);
    error WrongPhase(uint64 height, HeightPhase phase);
    error DeadlinePassed(uint64 height, uint40 deadline);
    error AlreadyProposed(uint64 height, address miner);
    /// @param lowestWei the bond that a further proposal has to exceed
    error HeightFull(uint64 height, uint128 lowestWei);
    error StepOutOfRange(uint32 step, uint32 minStep, uint32 maxStep);
    error DigestNotBelow(uint32 signDigest, uint32 threshold);
    error NotDue(uint64 height, HeightPhase phase, uint40 deadline);
    /// @notice Found on top of another block than the newest, as after a reorg.
    error WrongPreviousHash(bytes32 given, bytes32 newest);
    /// @notice Nobody would judge the proposal; the search's clock stands still.
    error TooFewSeated();
    error UnknownEntry(uint16 entry, uint8 entryCount);
    error AlreadyReported(uint64 ballotId, address verifier, uint16 entry);
    error UnknownHeight(uint64 height);

    /// @notice Commissions `blockCount` blocks; the value sent must be `costOf(terms)`.
    function submit(GradientTerms calldata terms) external payable returns (uint64 taskId);

    /// @notice The client takes back a task that is still pending, with its whole budget.
    function cancel(uint64 taskId) external;

    /// @notice Activates the pending task with the highest block reward (ties: the oldest). Anyone may call.
    function openTask() external returns (uint64 taskId);

    /// @notice Bonds the caller, who may propose at every height whose previous header is younger than the enrolment. The
    /// value sent is the bond, at least `minerBondWei`; a full height takes the higher ones.
    function enrol() external payable;

    /// @notice Ends the caller's enrolment; the bond is withheld for the exit delay.
    function requestExit() external;

    /// @notice Credits the caller's bond in the reservoir.
    function completeExit() external;

    /// @notice Proposes a block at the current height, once per miner and ballot.
    /// @param previousHash of the block it was found on top of
    function propose(
        uint64 atHeight,
        bytes32 previousHash,
        uint32 step,
        uint32 signDigest,
        Cid calldata proof,
        Cid calldata weights
    ) external;

    /// @notice Moves the current height on: stops a task whose search timed out, opens the ballot, or settles it. Anyone
    /// may call.
    function advance() external returns (HeightPhase phase);

    /// @notice A ballot's member tells the others which of its segments do not replay, before anybody votes; once for each
    /// entry. If the proposal loses its bond, the first who named a wrong segment gets a tenth of it.
    /// @param index of the member in the ballot's `members`; itself or its voter may call
    function reportSegments(uint64 ballotId, uint8 index, uint16 entry, uint256 wrongSegments) external;

    /// @notice Reward and fee for all blocks.
    function costOf(GradientTerms calldata terms) external view returns (uint256 costWei);
    function parameters() external view returns (GradientParameters memory);
    function task(uint64 taskId) external view returns (GradientTask memory);
    function taskCount() external view returns (uint64);
    function pendingCount() external view returns (uint256);
    function minerOf(address account) external view returns (Miner memory);
    function current() external view returns (Height memory);
    function proposals() external view returns (Proposal[] memory);
    /// @notice What a sign digest must be below at this moment; 0 unless a proposal could be made.
    function threshold() external view returns (uint32);
    function isDue() external view returns (bool);
    function height() external view returns (uint64);
    function headerHash(uint64 atHeight) external view returns (bytes32);
    function header(uint64 atHeight) external view returns (GradientHeader memory);
    /// @notice Ethereum block that fixed a header; miners enrolled in it or later cannot propose on top of it.
    function headerBlock(uint64 atHeight) external view returns (uint64);
}
