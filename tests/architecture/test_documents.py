"""What the documents say is so: folders, commands, links, pinned versions."""

import re
import tomllib
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import twinrig

# Put together here, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    f"{name}.{domain}"
    for name, domain in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("debian", "org/debian"),
        ("snapshot.debian", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
    ]
]
MACHINE_PATHS = re.compile(r"(?<![\w.$~*-])/(?:root|work|home/\w+|opt/\w+|tmp/\w+)/")
MARKDOWN_LINES_MAX = {"ARCHITECTURE.md": 200}


@pytest.fixture(scope="session")
def documents(root: Path, project_files: list[str]) -> dict[str, str]:
    """Every Markdown file of the project with its text."""
    return {
        path: (root / path).read_text(encoding="utf-8")
        for path in project_files
        if path.endswith(".md")
    }


def test_readme_has_one_sentence_for_each_top_folder(
    documents: dict[str, str], project_files: list[str]
) -> None:
    rows = re.findall(r"^\| `(\w+)/` \| (.+?) \| .+ \|$", documents["README.md"], re.MULTILINE)
    folders = {path.split("/")[0] for path in project_files if "/" in path}
    assert {name for name, _ in rows} == {name for name in folders if not name.startswith(".")}
    sentences = [text for _, text in rows if not re.fullmatch(r"[A-Z].*[^.]\.", text)]
    assert sentences == [], "each begins with a capital and ends with its one full stop"
    assert [text for _, text in rows if ". " in text] == []


def test_documents_name_only_targets_of_the_makefile(documents: dict[str, str], root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        (path, target)
        for path, text in documents.items()
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)
    }
    assert len(named) > 4, "the documents name no commands?"
    assert sorted((path, target) for path, target in named if target not in targets) == []


def test_documents_name_only_commands_of_the_program(documents: dict[str, str]) -> None:
    program = typer.main.get_command(twinrig.app)
    groups = {name: getattr(group, "commands", {}) for name, group in program.commands.items()}
    named = [
        (path, group, command)
        for path, text in documents.items()
        for group, command in re.findall(
            r"`twinrig ([a-z]+)(?![a-z0-9])(?: ([a-z][a-z-]*)\b)?", text
        )
    ]
    assert len(named) > 4, "the documents name no commands?"
    wrong = [
        entry
        for entry in named
        if entry[1] not in groups or (groups[entry[1]] and entry[2] not in groups[entry[1]])
    ]
    assert wrong == []


def test_documents_name_only_files_that_exist(
    documents: dict[str, str], root: Path, project_files: list[str]
) -> None:
    folders = {path.split("/")[0] for path in project_files if "/" in path}
    missing = [
        f"{path} names {name}"
        for path, text in documents.items()
        if path != "CHANGELOG.md"
        for name in re.findall(r"`([a-z]+/[\w./-]*)`", text)
        if name.split("/")[0] in folders and not (root / name).exists()
    ]
    assert missing == []


def test_links_between_documents_lead_somewhere(documents: dict[str, str], root: Path) -> None:
    dead = [
        f"{path} -> {target}"
        for path, text in documents.items()
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)
        if not (root / path).parent.joinpath(target).exists()
    ]
    assert dead == []


def test_architecture_page_is_short(documents: dict[str, str]) -> None:
    for path, limit in MARKDOWN_LINES_MAX.items():
        assert documents[path].count("\n") < limit


def test_no_registry_and_no_path_of_one_machine(root: Path, project_files: list[str]) -> None:
    found = []
    for path in project_files:
        if path == "LICENSE":
            continue
        for number, line in enumerate(
            (root / path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        ):
            if any(host in line for host in REGISTRY_HOSTS) or MACHINE_PATHS.search(line):
                found.append(f"{path}:{number}: {line.strip()[:80]}")
    assert found == []


# --- versions -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def project(root: Path) -> dict[str, object]:
    """The [project] table of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def pins(root: Path) -> dict[str, Version]:
    """Package name -> version of constraints.txt; every line of it must be a plain pin."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines if line[:1] != "#"]
    assert None not in pairs, "constraints.txt holds only NAME==VERSION"
    return {canonicalize_name(pair[1]): Version(pair[2]) for pair in pairs if pair}


def test_every_dependency_is_pinned_within_its_bound(
    project: dict[str, object], pins: dict[str, Version]
) -> None:
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    wrong = []
    for requirement in map(Requirement, lines):
        pinned = pins.get(canonicalize_name(requirement.name))
        if pinned is None or pinned not in requirement.specifier:
            wrong.append(f"{requirement}: pinned {pinned}")
    assert wrong == []


def test_changelog_opens_with_what_is_unreleased(documents: dict[str, str]) -> None:
    headings = re.findall(r"^## (.+)$", documents["CHANGELOG.md"], re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_decisions_are_numbered_listed_and_complete(documents: dict[str, str]) -> None:
    index = documents["docs/decisions/README.md"]
    pages = {path: text for path, text in documents.items() if re.search(r"/\d{4}-", path)}
    assert pages
    for path, text in pages.items():
        assert Path(path).name in index, f"{path} is not listed in docs/decisions/README.md"
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{path} has no {heading}"
