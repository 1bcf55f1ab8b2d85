"""The index: events of one deployment in SQLite, with what they concern."""
