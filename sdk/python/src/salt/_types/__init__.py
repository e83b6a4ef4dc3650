"""What type hints say of values."""
