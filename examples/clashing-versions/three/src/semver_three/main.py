"""What the library semver 3 makes of version numbers. `semver_two` does the same with semver 2."""

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
    # Semver 2 knows no `optional_minor_and_patch`: this program needs semver 3.
    known, refused = [], []
    for text in versions:
        try:
            known.append(semver.Version.parse(text, optional_minor_and_patch=True))
        except ValueError:
            refused.append(text)
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
