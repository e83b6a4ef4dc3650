"""What a project declares."""
