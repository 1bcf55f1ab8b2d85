"""Views as pure folds over events: one small function per event."""
