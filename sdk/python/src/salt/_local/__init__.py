"""A run without Salt, in this process."""
