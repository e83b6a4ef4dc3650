"""Makes of the SDK's wheel one that brings the `salt` command: its executable, and the tag of its platform."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExecutableHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["shared_scripts"]["bin/salt"] = "salt"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{self.config['platform']}"
