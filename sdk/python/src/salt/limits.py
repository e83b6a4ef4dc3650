"""Bounds that the protocols share, by the names that docs/workflows.md lists. Sizes in bytes, times in milliseconds."""

inline_bytes_max = 16 * 1024
value_bytes_max = 64 * 1024 * 1024
frame_bytes_max = 1024 * 1024
program_line_bytes_max = 4 * 1024 * 1024
name_chars_max = 100
call_key_chars_max = 200
refs_inline_max = 256
refs_per_call_max = 50_000
calls_warn_at = 10_000
calls_max = 50_000
stack_chars_max = 8_000
message_chars_max = 8_000
number_chars_max = 4_300
depth_max = 500
files_max = 1_000
safe_integer_max = 2**53 - 1
