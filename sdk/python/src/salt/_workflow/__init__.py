"""One piece of workflow work, over its journal."""
