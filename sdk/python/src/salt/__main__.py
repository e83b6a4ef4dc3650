"""`python -m salt <module> …`: imports a project's module and is its program."""

import importlib
import sys

from .entry import main

if len(sys.argv) < 2:
    sys.exit("Usage: python -m salt <module> describe | run <workflow> … | [--input <args-id>]")
sys.path.insert(0, "")
importlib.import_module(sys.argv[1])
main(sys.argv[2:])
