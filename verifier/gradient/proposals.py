"""The proposals of one height, as a verifier sees them: what is known of each, and what still has to be replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pole.chain.contracts.gradient_chain import SegmentsReport
from pole.chain.gradient_structs import Proposal
from pole.gradient.claim import assignment, sample, sample_size
from pole.gradient.manifest import GradientManifest
from pole.task.manifest import Document
from verifier.gradient.messages import Claim, HeightInputs, ProposalsRequest
from verifier.judging.session import Judgement, RequestOf, Session

Segments = Mapping[int, frozenset[int]]
"""By entry: which segments to replay besides the last."""


@dataclass
class HeightReview:
    """`manifest` is None if it cannot be read: then the judging process says why, and nothing is divided.

    `reward_wei`: of the block. `recheck`: judgements on segments that other verifiers reported, which overrule the own
    ones if they are worse.
    """

    inputs: HeightInputs
    manifest: GradientManifest | None
    reward_wei: int = 0
    session: Session = field(default_factory=Session)
    recheck: Session = field(default_factory=Session)

    @property
    def is_shared(self) -> bool:
        """Whether verifiers replay different segments."""
        return self.manifest is not None and self.manifest.rules == "hardened" and self.manifest.segments != "all"

    def request(self, proposals: Sequence[Proposal], segments: Segments | None) -> RequestOf:
        """What to ask about some of these proposals; without `segments`, everything is replayed."""

        def build(entries: Sequence[int]) -> Document:
            claims = [
                Claim.of(entry, proposals[entry], None if segments is None else segments[entry]) for entry in entries
            ]
            return ProposalsRequest(inputs=self.inputs, claims=claims)

        return build

    def shares(
        self, proposals: Sequence[Proposal], seed: bytes, members: Sequence[str], bonds_wei: Sequence[int]
    ) -> dict[str, Segments]:
        """Every member's part of every proposal; `bonds_wei`: their miners'."""
        assert self.manifest is not None
        interval, redundancy = self.manifest.checkpoint_interval, self.manifest.redundancy
        shares: dict[str, dict[int, frozenset[int]]] = {member: {} for member in members}
        for entry, (proposal, bond_wei) in enumerate(zip(proposals, bonds_wei, strict=True)):
            segments = -(-proposal.step // interval)
            if self.manifest.segments == "sampled":
                count = sample_size(segments, len(members), bond_wei, self.reward_wei)
                parts = {member: sample(seed, entry, member, segments, count) for member in members}
            else:
                parts = assignment(seed, entry, members, segments, redundancy)
            for member, part in parts.items():
                shares[member][entry] = part
        return dict(shares)

    def suspects(self, reports: Sequence[SegmentsReport], shares: Mapping[str, Segments], address: str) -> Segments:
        """What others found wrong in proposals that look valid so far, and is not in this member's own part.

        `shares`: of all members. One segment condemns a proposal, so of what lies outside its part, an accuser is
        believed one per proposal: who accuses blindly must not have everybody replay everything. Segments that the
        proposal does not have are no accusation: replaying them would condemn an honest miner.
        """
        found: dict[int, frozenset[int]] = {}
        for report in reports:
            own = self.session.judgements.get(report.entry)
            if own is None or not own.verdict.is_valid or report.verifier not in shares:
                continue
            mine, looked_at = shares[address][report.entry], shares[report.verifier][report.entry]
            last = max(mine)  # it is in everybody's part
            named = {index for index in range(last) if report.wrong_segments >> index & 1}
            heard = (named & looked_at) | set(sorted(named - looked_at)[:1])
            others = frozenset(heard) - mine
            if others:
                found[report.entry] = found.get(report.entry, frozenset()) | others
        return found

    def judgement(self, entry: int) -> Judgement:
        """The last one; the entry must have been judged."""
        return self.recheck.judgements.get(entry) or self.session.judgements[entry]

    def judged(self, entries: int) -> list[Judgement]:
        """What to vote, in entry order; all entries must have been judged."""
        return [self.judgement(entry) for entry in range(entries)]
