"""`python -m scripts.attack [NAME...] [--list] [--json] [--weakened]`."""

import sys

from scripts.attack import commits, documents, griefing, models, money, names, reentry, release, votes
from scripts.attack.ground import Ground, session
from scripts.attack.record import Attack
from scripts.attack.show import main

ATTACKS: list[Attack[Ground]] = [
    *commits.ATTACKS,
    *release.ATTACKS,
    *votes.ATTACKS,
    *reentry.ATTACKS,
    *money.ATTACKS,
    *griefing.ATTACKS,
    *models.ATTACKS,
    *documents.ATTACKS,
    *names.ATTACKS,
]

if __name__ == "__main__":
    sys.exit(main(ATTACKS, session))
