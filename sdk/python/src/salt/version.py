"""What this SDK is, and the task protocol that it speaks."""

task_protocol = 1
sdk_version = "0.1.0"
sdk_name = f"python/{sdk_version}"
