"""One attempt of a task."""
