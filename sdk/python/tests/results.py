"""What this runner has seen pass, as it is written down for docs/sdk-conformance.md: see sdk/conformance/results.ts."""

from __future__ import annotations

import json
import os
from pathlib import Path

folder = Path(__file__).parents[2] / "conformance" / "results"


def record_results(kind: str, passed: list[str]) -> list[str]:
    """What was written down before, or now where SALT_WRITE_CONFORMANCE=1."""
    path = folder / f"python.{kind}.json"
    if os.environ.get("SALT_WRITE_CONFORMANCE") == "1":
        folder.mkdir(exist_ok=True)
        path.write_text(json.dumps(passed, indent=2, ensure_ascii=False) + "\n")
    before: list[str] = json.loads(path.read_text())
    return before
