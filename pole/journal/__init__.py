"""What a role must not forget, on disk before it acts."""
