"""Sizes, names and habits that keep the code readable: each rule names its offenders."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import Source

FILE_LINES_MAX = 400
DEVICE_FILE_LINES_MAX = 250
FUNCTION_LINES_MAX = 70
BROAD_EXCEPTS_PER_KLOC_MAX = 0.5
EMPTY_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
SENSOR_FILES = {"__init__.py", "registers.py", "driver.py", "emulator.py", "datasheet.csv"}
SANS_IO_FOLDERS = ("wire/", "gateway/stages/", "gateway/models/")
QUEUES = {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"}


def called_name(node: ast.AST) -> str:
    """The last part of what a call calls; "" for anything else."""
    function = node.func if isinstance(node, ast.Call) else None
    return getattr(function, "attr", None) or getattr(function, "id", "")


# --- size ---------------------------------------------------------------------------------------


def test_files_are_short(sources: list[Source]) -> None:
    long = []
    for source in sources:
        limit = DEVICE_FILE_LINES_MAX if source.is_for_device else FILE_LINES_MAX
        lines = source.text.count("\n")
        if lines > limit:
            long.append(f"{source.path}: {lines} lines, at most {limit}")
    assert long == []


def test_functions_are_short(sources: list[Source]) -> None:
    long = []
    for source in sources:
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{source.at(node)} {node.name}: {lines} lines")
    assert long == []


# --- names --------------------------------------------------------------------------------------


def test_no_file_has_an_empty_name(project_files: list[str]) -> None:
    named = [path for path in project_files if EMPTY_NAMES & set(Path(path).stem.split("_"))]
    assert named == []


def test_errors_end_in_error(product: list[Source]) -> None:
    wrong = []
    for source in product:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                bases = {getattr(base, "id", "") for base in node.bases}
                is_error = any(base.endswith(("Error", "Exception")) for base in bases)
                is_public = not node.name.startswith("_")
                if is_error and is_public and not node.name.endswith("Error"):
                    wrong.append(f"{source.at(node)} {node.name}")
    assert wrong == []


def test_every_module_says_what_it_is_for(product: list[Source]) -> None:
    silent = [source.path for source in product if not ast.get_docstring(ast.parse(source.text))]
    assert silent == []


def test_a_sensor_is_a_folder_with_these_files(project_files: list[str]) -> None:
    sensors: dict[str, set[str]] = {}
    for path in project_files:
        if match := re.fullmatch(r"drivers/([^/]+)/(.+)", path):
            sensors.setdefault(match[1], set()).add(match[2])
    wrong = {part: files ^ SENSOR_FILES for part, files in sensors.items() if files != SENSOR_FILES}
    assert wrong == {}
    assert [part for part in sensors if not re.fullmatch(r"[a-z][a-z0-9_]+", part)] == []


def test_a_board_is_a_folder_with_its_declaration(project_files: list[str]) -> None:
    boards = {path.split("/")[1] for path in project_files if re.match(r"boards/[^/]+/", path)}
    assert boards >= {"host", "qemu_stm32f2"}
    wanted = {f"boards/{board}/{name}" for board in boards for name in ("board.toml", "hal.py")}
    assert sorted(wanted - set(project_files)) == []


def test_no_board_name_in_any_condition(product: list[Source], project_files: list[str]) -> None:
    boards = {path.split("/")[1] for path in project_files if path.endswith("/board.toml")}
    found = []
    for source in product:
        for node in source.nodes:
            if isinstance(node, ast.Compare | ast.MatchValue):
                constants = {
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
                found += [f"{source.at(node)} asks for {name}" for name in constants & boards]
    assert found == []


# --- habits -------------------------------------------------------------------------------------


def test_stages_models_and_wire_do_no_io(product: list[Source]) -> None:
    asynchronous = [
        source.at(node)
        for source in product
        if source.path.startswith(SANS_IO_FOLDERS)
        for node in source.nodes
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]
    assert asynchronous == []


def unbounded_queues(source: Source) -> Iterator[str]:
    """Calls that make a queue without saying how long it may get."""
    for node in source.nodes:
        name = called_name(node)
        if name not in QUEUES or not isinstance(node, ast.Call):
            continue
        if not node.args and "maxsize" not in {keyword.arg for keyword in node.keywords}:
            yield f"{source.at(node)} {name}() without a bound"


def test_every_queue_has_a_bound(product: list[Source]) -> None:
    assert [line for source in product for line in unbounded_queues(source)] == []


def test_an_unbounded_queue_is_found() -> None:
    text = "asyncio.Queue()\nqueue.SimpleQueue()\nQueue(maxsize=3)\nQueue(3)\n"
    assert len(list(unbounded_queues(Source("gateway/a.py", text)))) == 2


def test_broad_excepts_stay_within_their_budget(product: list[Source]) -> None:
    broad = [
        source.at(node)
        for source in product
        for node in source.nodes
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    ]
    lines = sum(source.text.count("\n") for source in product)
    assert len(broad) <= BROAD_EXCEPTS_PER_KLOC_MAX * lines / 1000, broad


def test_state_is_never_whether_an_attribute_exists(product: list[Source]) -> None:
    asked = [
        source.at(node)
        for source in product
        for node in source.nodes
        if called_name(node) == "hasattr" and ast.unparse(node).startswith("hasattr(self,")
    ]
    assert asked == []


def test_tasks_start_in_the_application_only(product: list[Source]) -> None:
    started = [
        source.at(node)
        for source in product
        if source.path != "gateway/app.py" and source.folder == "gateway"
        for node in source.nodes
        if called_name(node) in {"TaskGroup", "create_task", "ensure_future"}
    ]
    assert started == []


def test_record_times_are_integers(product: list[Source]) -> None:
    wrong = [
        f"{source.at(node)} {ast.unparse(node)}"
        for source in product
        if source.path == "gateway/records.py"
        for node in source.nodes
        if isinstance(node, ast.AnnAssign)
        and re.search(r"time|_ns$|_us$|_ms$", ast.unparse(node.target))
        and "float" in ast.unparse(node.annotation)
    ]
    assert wrong == []
