"""A parent that has imported the project, and forks a child that is its program: as a fork server does."""

import os
import sys

import socket_project  # noqa: F401

import salt

child = os.fork()
if child == 0:
    salt.main(sys.argv[1:])
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
