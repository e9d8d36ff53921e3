"""What the commands share: the terminal, and one bar for whatever takes long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

console = Console()


class Bar:
    """One bar that changes its description as the work goes on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step = ""
        self._task = progress.add_task("starting", total=None, visible=False)

    def building(self, step: str, count: int) -> None:
        """Files compiled in this step of a build."""
        self._show(step, count, None)

    def playing(self, now_s: float, end_s: float) -> None:
        """Virtual seconds played, of how many."""
        self._show("virtual seconds", round(now_s), round(end_s))

    def working(self, step: str, done: int, total: int) -> None:
        """Bytes or per cent of a step, of how many."""
        self._show(step, done, total)

    def _show(self, step: str, done: int, total: int | None) -> None:
        if step != self._step:
            self._step = step
            self._progress.reset(self._task, description=step, total=total, visible=True)
        self._progress.update(self._task, completed=done, total=total)


@contextmanager
def bar() -> Iterator[Bar]:
    """A bar that is there while something is done, on a terminal."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield Bar(progress)


@contextmanager
def progress() -> Iterator[tuple[Callable[[str, int], None], Callable[[float, float], None]]]:
    """What builds (files compiled) and runs (virtual seconds) report to, shown when used."""
    with bar() as shown:
        yield shown.building, shown.playing
