"""`make attack`: carries out the attacks of docs/threat-model.md against real parts."""
