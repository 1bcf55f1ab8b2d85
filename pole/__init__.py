"""What the roles share: specifications, mapping, encryption, storage, chain access, journal."""
