"""The program's side of the task protocol."""
