"""What `init` proposes for a task before anything is spent."""
