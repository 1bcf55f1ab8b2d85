"""Verifiers: stakes, seats, votes in time, penalties, and how often each two agree."""

from explorer.chain.calls import View
from explorer.figures import Cell, Figure, Page, Rows, Said, Table
from explorer.fold.totals import Account
from explorer.site import Snapshot
from explorer.views.cells import counted, summed, viewed

_MOST = 100


def verifiers_page(snapshot: Snapshot) -> Page:
    found = {
        address: account
        for address, account in snapshot.totals.accounts.items()
        if account.is_seated or account.ballots or account.stake_wei or account.slashed_wei
    }
    ranked = sorted(found, key=lambda each: (not found[each].is_seated, -found[each].stake_wei, each))[:_MOST]
    columns = ("verifier", "seated", "stake", "ballots", "committed", "revealed", "with the outcome", "slashed")
    rows = [_row(snapshot, address, found[address]) for address in ranked]
    note = "" if len(found) <= _MOST else f"{_MOST} of {len(found)}."
    return Page(
        "Verifiers", "verifiers", "", [Table("Seats and stakes", columns, rows, note), _agreement(snapshot, ranked)]
    )


def _row(snapshot: Snapshot, address: str, account: Account) -> list[Cell]:
    site, key = snapshot.site, ("account", address)
    seat = View("VerifierCommittee", "verifier", (address,), ("isSeated",))
    agreed = Rows("agreed", ("VoteRevealed", "BallotTallied"), None, f"{address} outcome")
    return [
        Said(address, f"account/{address}"),
        viewed(site, account.is_seated, "yes", seat),
        viewed(site, account.stake_wei, "wei", View("VerifierCommittee", "verifier", (address,), ("stakeWei",))),
        Figure(account.ballots, "count", Rows("member", ("BallotOpened",), None, address)),
        counted(("VoteCommitted",), account.votes_committed, key),
        counted(("VoteRevealed",), account.votes_revealed, key),
        Figure(account.votes_agreed, "count", agreed),
        summed(("Slashed",), "amountWei", account.slashed_wei, "wei", key),
    ]


def _agreement(snapshot: Snapshot, ranked: list[str]) -> Table:
    """Of the ballots in which both revealed, in how many their digests were equal."""
    shown = [address for address in ranked if snapshot.totals.accounts[address].votes_revealed][:21]
    rows: list[list[Cell]] = []
    for position, one in enumerate(shown, start=1):
        cells: list[Cell] = [Said(str(position)), Said(one, f"account/{one}")]
        for other in shown:
            met, same = snapshot.totals.agreed.get((min(one, other), max(one, other)), (0, 0))
            names = ("VoteRevealed", "BallotTallied")
            proof = Rows("agreed of met", names, None, f"{min(one, other)} {max(one, other)}")
            cells.append(Said("—") if one == other or not met else Figure(f"{same} of {met}", "text", proof))
        rows.append(cells)
    columns = ("number", "verifier", *(f"with {position}" for position in range(1, len(shown) + 1)))
    note = "Equal votes, of the tallied ballots in which both revealed one. Columns are numbered as the rows are."
    return Table("Agreement", columns, rows, note)
