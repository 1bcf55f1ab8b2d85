// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IVerifierCommittee
/// @notice Stakes, commit-reveal ballots over exact verdicts, and slashing. Serves every chain alike.
interface IVerifierCommittee {
    /// @notice `Commit`: the votes' digests are hashed in. `Reveal`: they are named. `Opening`: the lists behind them are
    /// shown. `Closed`: what was decided stands. `Void`: the quorum was lost; nothing was decided.
    enum BallotPhase {
        None,
        Commit,
        Reveal,
        Opening,
        Closed,
        Void
    }

    /// @notice What a part of a verdict says. `None`: there is nothing to test. `Scored`: the model is valid, with this
    /// score. `Invalid`: the model fails verification. `Unavailable`: the model could not be fetched. `Withheld`: the
    /// client's data for this part could not be fetched. `Undecided`: in outcomes only.
    enum VerdictKind {
        None,
        Scored,
        Invalid,
        Unavailable,
        Withheld,
        Undecided
    }

    /// @param releaseAt 0 while seated; else the time from which an unbonding stake can be credited
    /// @param openBallots ballots whose snapshot has this verifier and that have not ended; counted, not stored
    struct Verifier {
        uint128 stakeWei;
        uint40 releaseAt;
        uint16 openBallots;
        bool isSeated;
    }

    /// @notice What was decided about one entry. Scores of parts that are not `Scored` are 0.
    struct Verdict {
        VerdictKind train;
        uint32 trainPpm;
        VerdictKind test;
        uint32 testPpm;
    }

    /// @param refundAccount the chain's escrow account that gets back what the chain paid in, if the ballot is void or no
    /// vote is inside; the penalties are shared by all members then
    /// @param transcript hash chain over the votes' commitments: fixed when commits close
    /// @param outcomeCode whose code is the outcome, see `outcome`
    struct Ballot {
        address chain;
        uint16 entryCount;
        BallotPhase phase;
        uint40 deadline;
        uint8 extensions;
        uint16 memberCount;
        uint16 committedCount;
        uint16 revealedCount;
        uint112 committedStakeWei;
        uint112 revealedStakeWei;
        uint96 snapshotStakeWei;
        address outcomeCode;
        bytes32 refundAccount;
        bytes32 transcript;
    }

    /// @param voteOpeningWindowS how long lists may be opened where the revealed votes differ
    /// @param absencePenaltyPpm share of the snapshot stake lost for a missed commit deadline, and for a vote that lacks
    /// what others had
    /// @param noisePenaltyPpm share of the snapshot stake lost for a vote against what was decided; a missed reveal
    /// deadline costs as much, or the absence penalty if that is more
    /// @param maxExtensions how often a deadline is extended for want of a quorum before the ballot is void
    struct CommitteeParameters {
        uint128 minStakeWei;
        uint32 unbondingPeriodS;
        uint32 voteCommitWindowS;
        uint32 voteRevealWindowS;
        uint32 voteOpeningWindowS;
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
    event VoteRevealed(uint64 indexed ballotId, address indexed verifier, bytes32 digest);
    /// @param verdicts packed, see `Verdicts`; every tally needs all lists that were opened
    event VoteOpened(uint64 indexed ballotId, bytes32 indexed digest, uint256[] verdicts);
    /// @param outcome packed like a vote, with the fingerprints
    event BallotTallied(uint64 indexed ballotId, bytes32 outcomeDigest, uint256[] outcome);
    event Slashed(uint64 indexed ballotId, address indexed verifier, uint256 amountWei, bool wasAbsent);

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
    error NotRevealed(uint64 ballotId, address verifier);
    error AlreadyOpened(uint64 ballotId, bytes32 digest);
    /// @notice The tally lacks a list that counts: one that was opened or, before the deadline, any that was revealed.
    error MissingList(uint64 ballotId, bytes32 digest);
    /// @notice The tally was given a list that nobody revealed, or that was not opened in time, or twice.
    error UncountedList(uint64 ballotId, bytes32 digest);
    error EmptyDigest();
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
    function openBallot(uint16 entryCount, bytes32 refundAccount) external returns (uint64 ballotId);

    /// @notice Shares the committee's escrow account `account` among the seated verifiers by stake. Chain only.
    function distribute(bytes32 account) external;

    /// @param commitment see `Commitments.vote`
    function commitVote(uint64 ballotId, bytes32 commitment) external;

    /// @param digest `Commitments.ballot` of the vote's list
    function revealVote(uint64 ballotId, bytes32 digest, bytes32 salt) external;

    /// @notice Shows the list behind the digest that `voter` revealed, so that it counts. Anyone may call, in `Opening`.
    function openVote(uint64 ballotId, address voter, uint256[] calldata verdicts) external;

    /// @notice Decides a ballot by the lists that were opened; all of them must be given, in any order. Before the
    /// deadline it needs the lists of all revealed digests, opened or not: where all agree, one. Ends a `Reveal` that is
    /// due by itself. Anyone may call; who does changes nothing.
    function tally(uint64 ballotId, uint256[][] calldata lists) external returns (BallotPhase phase);

    /// @notice Moves a ballot on that is due: everybody acted or the deadline passed. Anyone may call. An `Opening` in
    /// which nobody opened anything ends so with nothing decided; else see `tally`.
    function advance(uint64 ballotId) external returns (BallotPhase phase);

    function parameters() external view returns (CommitteeParameters memory);
    function verifier(address account) external view returns (Verifier memory);
    function seated() external view returns (address[] memory);
    function seatedCount() external view returns (uint256);
    function ballot(uint64 ballotId) external view returns (Ballot memory);
    function members(uint64 ballotId) external view returns (address[] memory);
    function weightOf(uint64 ballotId, address account) external view returns (uint256 stakeWei);
    function commitmentOf(uint64 ballotId, address account) external view returns (bytes32);
    /// @notice The digest that a member revealed; 0 until then.
    function digestOf(uint64 ballotId, address account) external view returns (bytes32);
    function isOpened(uint64 ballotId, bytes32 digest) external view returns (bool);
    /// @notice What was decided about every entry; empty until the ballot is closed.
    function outcome(uint64 ballotId) external view returns (Verdict[] memory);
    /// @notice `Commitments.ballot` of what was decided, with its fingerprints; a vote's digest, if one vote alone decided
    /// everything. 0 until the ballot is closed.
    function outcomeDigest(uint64 ballotId) external view returns (bytes32);
    /// @notice The outcome of the first ballot, with the entries whose train part was undecided taken from a second one
    /// over just those, in their order. Nothing is taken from one that is not closed.
    /// @param firstBallotId 0: there was no second one, see `outcome`
    function repeatedOutcome(uint64 firstBallotId, uint64 ballotId) external view returns (Verdict[] memory);
    /// @notice What a chain has to know of a ballot: whether it is over, how, and what its block commits to.
    function result(uint64 ballotId) external view returns (BallotPhase phase, bytes32 transcript);
    function nextBallotId() external view returns (uint64);
    function isDue(uint64 ballotId) external view returns (bool);
}
