// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IVerifierCommittee
/// @notice Stakes, commit-reveal ballots, stake-weighted medians and slashing. Serves every chain alike.
interface IVerifierCommittee {
    /// @notice `Commit`: votes are hashed in. `Reveal`: votes are opened. `Closed`: medians stand.
    /// `Void`: the quorum was lost; nothing was decided.
    enum BallotPhase {
        None,
        Commit,
        Reveal,
        Closed,
        Void
    }

    /// @param releaseAt 0 while seated; else the time from which an unbonding stake can be credited
    /// @param openBallots ballots whose snapshot has this verifier and that have not ended
    struct Verifier {
        uint128 stakeWei;
        uint40 releaseAt;
        uint16 openBallots;
        bool isSeated;
    }

    /// @param isValid false: the model fails verification, and both accuracies must be 0
    struct Verdict {
        bool isValid;
        uint32 trainPpm;
        uint32 testPpm;
    }

    /// @param refundTo who gets what the chain paid in if the ballot is void, and the penalties as well if it closes
    /// with no vote inside the tolerance; the penalties of a void ballot are shared by all members
    /// @param transcript hash chain over the ballot's commits and reveals
    struct Ballot {
        address chain;
        uint16 entryCount;
        uint32 tolerancePpm;
        BallotPhase phase;
        uint40 deadline;
        uint8 extensions;
        uint16 memberCount;
        uint16 committedCount;
        uint16 revealedCount;
        uint128 snapshotStakeWei;
        uint128 committedStakeWei;
        uint128 revealedStakeWei;
        address refundTo;
        bytes32 transcript;
    }

    /// @param absencePenaltyPpm share of the snapshot stake lost for a missed vote deadline
    /// @param noisePenaltyPpm share of the snapshot stake lost for a vote outside the tolerance
    /// @param maxExtensions how often a deadline is extended for want of a quorum before the ballot is void
    struct CommitteeParameters {
        uint128 minStakeWei;
        uint32 unbondingPeriodS;
        uint32 voteCommitWindowS;
        uint32 voteRevealWindowS;
        uint8 maxExtensions;
        uint32 absencePenaltyPpm;
        uint32 noisePenaltyPpm;
    }

    event Staked(address indexed verifier, uint256 amountWei, uint256 stakeWei);
    event Unseated(address indexed verifier, uint256 stakeWei, uint40 releaseAt);
    event Unstaked(address indexed verifier, uint256 amountWei);
    event BallotOpened(
        uint64 indexed ballotId,
        address indexed chain,
        uint16 entryCount,
        uint16 memberCount,
        uint256 snapshotStakeWei,
        uint40 deadline
    );
    event BallotPhaseChanged(uint64 indexed ballotId, BallotPhase phase, uint40 deadline);
    event BallotExtended(uint64 indexed ballotId, uint8 extensions, uint40 deadline);
    event VoteCommitted(uint64 indexed ballotId, address indexed verifier);
    event VoteRevealed(uint64 indexed ballotId, address indexed verifier, Verdict[] verdicts);
    event Slashed(uint64 indexed ballotId, address indexed verifier, uint256 amountWei, bool wasAbsent);
    /// @param ballotId 0 for money that `distribute` shared
    event FeePaid(uint64 indexed ballotId, address indexed verifier, uint256 amountWei);

    /// @notice A constructor parameter under which no ballot could work.
    error InvalidParameter(bytes32 name, uint256 value);
    error NotChain(address caller);
    error StakeTooSmall(uint256 stakeWei, uint256 neededWei);
    error StillUnbonding(address verifier, uint40 releaseAt);
    error NotSeated(address verifier);
    error NotUnbonding(address verifier);
    error UnbondingNotOver(address verifier, uint40 releaseAt, uint16 openBallots);
    error WrongBallotPhase(uint64 ballotId, BallotPhase phase, BallotPhase needed);
    error DeadlinePassed(uint64 ballotId, uint40 deadline);
    error NotMember(uint64 ballotId, address verifier);
    error AlreadyCommitted(uint64 ballotId, address verifier);
    error NotCommitted(uint64 ballotId, address verifier);
    error AlreadyRevealed(uint64 ballotId, address verifier);
    error CommitmentMismatch(bytes32 expected, bytes32 actual);
    error WrongVerdictCount(uint256 given, uint256 needed);
    error InvalidVerdict(uint256 entry);
    error NotDue(uint64 ballotId, BallotPhase phase, uint40 deadline);
    error NoSeatedVerifier();
    error EmptyBallot();
    error TooManyEntries(uint16 given, uint16 maxEntries);
    error EmptyCommitment();

    /// @notice Adds the value sent to the caller's stake and seats it. A full committee is entered by outbidding its
    /// smallest seated stake, whose owner is unseated.
    function stake() external payable;

    /// @notice Gives up the seat; the stake is withheld for the unbonding period and until open ballots end.
    function requestUnstake() external;

    /// @notice Credits the caller's unbonded stake in the reservoir.
    function completeUnstake() external;

    /// @notice Opens a ballot over `entryCount` entries for the seated verifiers, weighted by stake. In the same
    /// transaction the chain moves the fee into the committee's escrow account `bytes32(ballotId)`. Chain only.
    function openBallot(uint16 entryCount, uint32 tolerancePpm, address refundTo)
        external
        returns (uint64 ballotId);

    /// @notice Shares the committee's escrow account `account` among the seated verifiers by stake. Chain only.
    function distribute(bytes32 account) external;

    /// @param commitment see `Commitments.vote`
    function commitVote(uint64 ballotId, bytes32 commitment) external;

    function revealVote(uint64 ballotId, Verdict[] calldata verdicts, bytes32 salt) external;

    /// @notice Moves a ballot on that is due: everybody acted or the deadline passed. Anyone may call.
    function advance(uint64 ballotId) external returns (BallotPhase phase);

    function parameters() external view returns (CommitteeParameters memory);
    function verifier(address account) external view returns (Verifier memory);
    function seated() external view returns (address[] memory);
    function seatedCount() external view returns (uint256);
    function ballot(uint64 ballotId) external view returns (Ballot memory);
    function members(uint64 ballotId) external view returns (address[] memory);
    function weightOf(uint64 ballotId, address account) external view returns (uint256 stakeWei);
    function commitmentOf(uint64 ballotId, address account) external view returns (bytes32);
    function votes(uint64 ballotId, address account) external view returns (Verdict[] memory);
    /// @notice The stake-weighted median verdict of every entry; empty until the ballot is closed.
    function outcome(uint64 ballotId) external view returns (Verdict[] memory);
    function nextBallotId() external view returns (uint64);
    function isDue(uint64 ballotId) external view returns (bool);
}
