"""`python -m attacks.learning [NAME...] [--list] [--json] [--weakened]`."""

import sys

from attacks.learning import commits, documents, griefing, models, money, names, reentry, release, stakes, votes
from attacks.learning.ground import Ground, session
from attacks.record import Attack
from attacks.show import main

ATTACKS: list[Attack[Ground]] = [
    *commits.ATTACKS,
    *release.ATTACKS,
    *votes.ATTACKS,
    *stakes.ATTACKS,
    *reentry.ATTACKS,
    *money.ATTACKS,
    *griefing.ATTACKS,
    *models.ATTACKS,
    *documents.ATTACKS,
    *names.ATTACKS,
]

if __name__ == "__main__":
    sys.exit(main(ATTACKS, session))
