"""One class per contract: typed reads and typed writes."""
