"""What `salt build` asks of Python: projects, locks, platforms and finished PEXes, read with Python's own rules.

`tools.py <command> <argument>…`, executed in the build environment (`build-environment.ts`). The answer is one JSON
object on stdout; `{"problems": [{file, line, column, text, next}]}` when the project is at fault.
"""

from __future__ import annotations

import email.parser
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

# Those that are looked at when it is asked with which a PEX works; later ones are taken to be as the last.
known_minors = range(10, 16)


class ProjectError(Exception):
    def __init__(
        self, file: str, text: str, line: int | None = None, column: int | None = None, next: str = ""
    ) -> None:
        super().__init__(text)
        self.problem = {"file": file, "line": line, "column": column, "text": text, "next": next or f"correct {file}"}


def read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ProjectError(file.name, "is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", str(error))
        if place is None:
            raise ProjectError(file.name, str(error)) from error
        raise ProjectError(file.name, place[1], int(place[2]), int(place[3])) from error


def line_of(file: Path, *texts: str) -> int | None:
    """The first line that has one of the texts."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((at for text in texts for at, line in enumerate(lines, 1) if text in line), None)


def project(folder: str) -> dict[str, Any]:
    """The name and the Python that pyproject.toml asks for, after a look at what resolvers and backends say badly."""
    file = Path(folder, "pyproject.toml")
    table = read_toml(file).get("project")
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        text = "[project] with a 'name' is missing" if not isinstance(table, dict) else "project.name is missing"
        raise ProjectError(file.name, text, line_of(file, "[project]"), None, 'write name = "…" under [project]')
    requires = table.get("requires-python", "")
    try:
        SpecifierSet(requires)
    except (InvalidSpecifier, TypeError, AttributeError) as error:
        line = line_of(file, "requires-python")
        text = f"project.requires-python: {error}"
        raise ProjectError(file.name, text, line, None, 'write it as ">=3.11,<3.14"') from error
    dependencies = table.get("dependencies", [])
    if not isinstance(dependencies, list):
        line = line_of(file, "dependencies")
        raise ProjectError(file.name, "project.dependencies must be a list", line, None, 'write dependencies = ["…"]')
    for one in dependencies:
        try:
            Requirement(one)
        except (InvalidRequirement, TypeError) as error:
            line = line_of(file, f'"{one}"', f"'{one}'", str(one))
            raise ProjectError(file.name, f"project.dependencies: {error}", line) from error
    return {"name": table["name"], "requiresPython": requires}


def lock(folder: str) -> dict[str, Any]:
    """The lock of a project: `file` (null without one) and its `packages`, each with version, marker and hashes."""
    for name, read in (("uv.lock", read_uv), ("pdm.lock", read_pdm), ("poetry.lock", read_poetry)):
        if Path(folder, name).exists():
            return {"file": name, "packages": read(read_toml(Path(folder, name)))}
    file = Path(folder, "requirements.txt")
    if file.exists():
        return {"file": file.name, "packages": read_requirements(file)}
    return {"file": None, "packages": []}


def package(name: str, version: str, hashes: list[str], marker: str | None = None) -> dict[str, Any]:
    return {"name": canonicalize_name(name), "version": version, "marker": marker, "hashes": sorted(set(hashes))}


def read_uv(table: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for one in table.get("package", []):
        if "version" not in one or not {"registry", "url"} & set(one.get("source", {})):
            continue
        files = [*one.get("wheels", []), *([one["sdist"]] if "sdist" in one else [])]
        marker = " or ".join(f"({text})" for text in one.get("resolution-markers", []))
        hashes = [file["hash"] for file in files if "hash" in file]
        found.append(package(one["name"], one["version"], hashes, marker or None))
    return found


def read_pdm(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        package(one["name"], one["version"], [file["hash"] for file in one.get("files", [])], one.get("marker"))
        for one in table.get("package", [])
        if "path" not in one and "default" in one.get("groups", ["default"])
    ]


def read_poetry(table: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for one in table.get("package", []):
        if one.get("source", {}).get("type") in ("directory", "git") or "main" not in one.get("groups", ["main"]):
            continue
        files = one.get("files") or table.get("metadata", {}).get("files", {}).get(one["name"], [])
        marker = one.get("markers")
        marker = marker.get("main") if isinstance(marker, dict) else marker
        found.append(package(one["name"], one["version"], [file["hash"] for file in files], marker))
    return found


def read_requirements(file: Path) -> list[dict[str, Any]]:
    """Lines that pin a version; what else pip takes there (options, ranges, other files) is for the resolver alone."""
    found = []
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), 1):
        stated = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not stated or stated.startswith("-"):
            continue
        hashes = re.findall(r"--hash[= ](\S+)", stated)
        try:
            one = Requirement(re.sub(r"\s--hash[= ]\S+", "", stated))
        except InvalidRequirement as error:
            raise ProjectError(file.name, str(error).splitlines()[0], number if "\\\n" not in text else None) from error
        exact = [spec.version for spec in one.specifier if spec.operator in ("==", "===")]
        pins = [version for version in exact if not version.endswith("*")]
        if pins:
            found.append(package(one.name, pins[0], hashes, str(one.marker) if one.marker else None))
    return found


machines = {"x64": "x86_64", "arm64": "aarch64"}
systems = {
    "linux": ("linux", "Linux", "posix"),
    "darwin": ("darwin", "Darwin", "posix"),
    "win32": ("win32", "Windows", "nt"),
}


def environment(platform: str, version: str) -> dict[str, str]:
    """The markers of a platform, such as linux-arm64, and a version of CPython."""
    system, machine = platform.split("-")
    names = {"darwin-arm64": "arm64", "win32-x64": "AMD64", "win32-arm64": "ARM64"}
    sys_platform, platform_system, os_name = systems[system]
    return {
        "implementation_name": "cpython",
        "implementation_version": version,
        "os_name": os_name,
        "platform_machine": names.get(platform, machines[machine]),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": sys_platform,
    }


def platform_tags(platform: str) -> list[str]:
    """The platform tags whose wheels are taken: glibc 2.28 and macOS 13 are what a fleet can be expected to have."""
    system, machine = platform.split("-")
    if system == "linux":
        arch = machines[machine]
        tags = [f"manylinux_2_{minor}_{arch}" for minor in range(28, 16, -1)] + [f"manylinux2014_{arch}"]
        return tags + ([f"manylinux2010_{arch}", f"manylinux1_{arch}"] if machine == "x64" else []) + [f"linux_{arch}"]
    if system == "win32":
        return ["win_amd64" if machine == "x64" else "win_arm64"]
    arch = "x86_64" if machine == "x64" else "arm64"
    newest = [f"macosx_{major}_0_{name}" for major in (13, 12, 11) for name in (arch, "universal2")]
    oldest = [f"macosx_10_{minor}_{name}" for minor in range(16, 8, -1) for name in (arch, "universal2")]
    return newest + oldest


def platform(name: str, version: str) -> dict[str, Any]:
    """pex's "complete platform" for a platform and a version of CPython."""
    python = tuple(int(part) for part in version.split(".")[:2])
    tags = platform_tags(name)
    compatible = [*cpython_tags(python, platforms=tags), *compatible_tags(python, f"cp{python[0]}{python[1]}", tags)]
    return {"marker_environment": environment(name, version), "compatible_tags": [str(tag) for tag in compatible]}


def inspect(pex: str, platform_name: str, version: str, requires: str) -> dict[str, Any]:
    """What is in a PEX, and with which Pythons it works: those that `requires` allows, as far as its wheels do."""
    wheels = read_wheels(Path(pex))
    built = int(version.split(".")[1])
    allowed = [minor for minor in known_minors if allows(requires, minor)]
    fitting = [minor for minor in allowed if minor == built or fits(wheels, platform_name, minor)]
    lowest = highest = built
    while lowest - 1 in fitting:
        lowest -= 1
    while highest + 1 in fitting:
        highest += 1
    # A clause that names a whole minor version is said by the bounds.
    whole = re.compile(r"(>=|<)3\.\d+(\.0)?|==3\.\d+\.\*|~=3\.\d+")
    kept = [str(one) for one in SpecifierSet(requires) if not whole.fullmatch(str(one))]
    bounds = [f">=3.{lowest}"] + ([] if highest == known_minors[-1] else [f"<3.{highest + 1}"])
    tags = [tag for _, _, _, tags, _ in wheels for tag in tags]
    has_own = any(tag.abi.startswith("cp3") for tag in tags)
    return {
        "requires": ",".join([*bounds, *sorted(kept)]),
        **({"abi": f"cp3{built}"} if has_own else {}),
        "packages": [package(name, version, [f"sha256:{digest}"]) for name, version, digest, _, _ in wheels],
    }


def allows(requires: str, minor: int) -> bool:
    """Whether some release of a minor version is allowed."""
    specifiers = SpecifierSet(requires)
    return any(specifiers.contains(f"3.{minor}.{micro}", prereleases=True) for micro in range(40))


def read_wheels(pex: Path) -> list[tuple[str, str, str, Any, Any]]:
    found = []
    with zipfile.ZipFile(pex) as archive:
        for entry in sorted(archive.namelist()):
            if not re.fullmatch(r"\.deps/[^/]+\.whl", entry):
                continue
            content = archive.read(entry)
            name, version, _, tags = parse_wheel_filename(entry.rsplit("/", 1)[1])
            with zipfile.ZipFile(io.BytesIO(content)) as wheel:
                metadata = next(one for one in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one))
                headers = email.parser.Parser().parsestr(wheel.read(metadata).decode("utf-8"), headersonly=True)
            found.append((str(name), str(version), hashlib.sha256(content).hexdigest(), tags, headers))
    return found


def fits(wheels: list[tuple[str, str, str, Any, Any]], platform_name: str, minor: int) -> bool:
    """Whether every wheel can be installed there, and none is missing that would be wanted there."""
    version = f"3.{minor}.0"
    known = set(platform(platform_name, version)["compatible_tags"])
    # A host's own tags may name a newer system than a fleet can be expected to have.
    known |= {str(tag) for tag in _host_tags(minor)}
    markers = environment(platform_name, version)
    by_name = {name: (wheel_version, headers) for name, wheel_version, _, _, headers in wheels}
    for _, _, _, tags, headers in wheels:
        if not {str(tag) for tag in tags} & known or not allows(headers.get("Requires-Python", ""), minor):
            return False
    extras: dict[str, set[str]] = {name: {""} for name in by_name}
    line = list(by_name)
    while line:
        name = line.pop()
        for text in by_name[name][1].get_all("Requires-Dist", []):
            wanted = Requirement(text)
            if wanted.marker and not any(wanted.marker.evaluate({**markers, "extra": one}) for one in extras[name]):
                continue
            target = canonicalize_name(wanted.name)
            if target not in by_name or not wanted.specifier.contains(by_name[target][0], prereleases=True):
                return False
            if not wanted.extras <= extras[target]:
                extras[target] |= wanted.extras
                line.append(target)
    return True


def _host_tags(minor: int) -> Any:
    return [*cpython_tags((3, minor)), *compatible_tags((3, minor), f"cp3{minor}")]


def with_source(problem: dict[str, Any], folder: Path) -> dict[str, Any]:
    """With the line itself, where the problem names one."""
    if problem["line"] is None:
        return problem
    lines = (folder / problem["file"]).read_text(encoding="utf-8").splitlines()
    return {**problem, "source": lines[problem["line"] - 1] if problem["line"] <= len(lines) else ""}


commands: dict[str, Callable[..., dict[str, Any]]] = {
    "project": project,
    "lock": lock,
    "platform": platform,
    "inspect": inspect,
}

if __name__ == "__main__":
    try:
        print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
    except ProjectError as error:
        print(json.dumps({"problems": [with_source(error.problem, Path(sys.argv[2]))]}))
