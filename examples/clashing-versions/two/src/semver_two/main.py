"""What the library semver 2 makes of version numbers. `semver_three` does the same with semver 3."""

import time
from dataclasses import dataclass
from pathlib import Path

import semver

import salt


@dataclass
class Newest:
    library: str
    newest: str
    refused: list[str]


@salt.task(attempt_timeout=300)
def find_newest(versions: list[str], meeting: str | None = None) -> Newest:
    if meeting is not None:
        meet(Path(meeting))
    # Semver 3 has no `isvalid`: this program needs semver 2.
    known = [semver.VersionInfo.parse(text) for text in versions if semver.VersionInfo.isvalid(text)]
    refused = [text for text in versions if not semver.VersionInfo.isvalid(text)]
    return Newest(semver.__version__, str(max(known)), refused)


def meet(folder: Path) -> None:
    """Waits there until the other project's task has come too, so that both are at work at once."""
    folder.joinpath(f"semver-{semver.__version__}").touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)


@salt.workflow
async def newest(versions: list[str], meeting: str | None = None) -> Newest:
    return await find_newest(versions, meeting)


if __name__ == "__main__":
    salt.main()
