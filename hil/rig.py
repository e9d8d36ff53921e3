"""The rig put together: chips wired to the trace, nodes provisioned, boards started in lockstep.

Order: `plan`, `build`, `start`, `close`.  Promises: `start` brings every board to its application,
or ends every process it started and raises; `close` can always be called.  The boards' clocks
start at zero at their hello; trace time zero is `lead_in_us` later, when every chip is ready.
Leaves to others: what is sampled when (firmware/app.py), the order of events (lockstep.py), what
the gateway makes of it (run.py).
"""

import math
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from boards.build import APPLICATION, build
from boards.catalog import Board, load_board
from boards.emulate import Emulated, check_emulator, start
from boards.provision import NodeSecrets, provisioned_files
from gateway.site import Node, Site
from hil.board_clock import NOMINAL, BoardClock
from hil.bus import BoardPort, Wiring
from hil.errors import ScenarioError
from hil.lockstep import Lockstep
from hil.scenario import Scenario
from hil.traces import Trace
from hil.wiring import Drive, Place, make_chips, plan_drives
from wire.mac import hkdf_sha256

LEAD_IN_MIN_US: Final = 2_000_000
"""Longest start of a board: the slowest chip has its first result within 1.3 s."""
LEAD_IN_MAX_US: Final = 60_000_000
RUN_CODE: Final = "import firmware.main"
_EXIT_S: Final = 10.0
CAUSE_FILE: Final = "reset.cause"
"""What a board leaves that has reset itself (boards/rig_clock.py)."""

Progress = Callable[[str, int], None]


def lead_in_us(scenario: Scenario, site: Site) -> int:
    """Trace time zero on every board's clock: where all blocks start after LEAD_IN_MIN_US.

    Raises ScenarioError when the nodes' blocks have no common start within LEAD_IN_MAX_US.
    """
    common_us = math.lcm(*(node.sample_period_ms * 1000 * node.block for node in site.nodes))
    lead_in = math.ceil(LEAD_IN_MIN_US / common_us) * common_us
    if lead_in > LEAD_IN_MAX_US:
        blocks = ", ".join(
            f"{node.name} {node.sample_period_ms * node.block} ms" for node in site.nodes
        )
        problem = (
            f"blocks of {blocks} start together only every {common_us / 1e6:g} s; choose"
            " sample_period_ms and block in the site file so that they meet within"
            f" {LEAD_IN_MAX_US / 1e6:g} s"
        )
        raise ScenarioError(str(scenario.path), [problem])
    return lead_in


def rig_secrets(seed: int, node: str) -> NodeSecrets:
    """The keys of `node` in a run with `seed`.

    They follow from the scenario, so that two runs give the same bytes, and they are therefore no
    secrets: they are good for a rig and for nothing else.
    """
    salt, info = seed.to_bytes(8, "big"), node.encode()
    return NodeSecrets(
        root=hkdf_sha256(b"twinrig rig key", salt, info, 32),
        seed=hkdf_sha256(b"twinrig rig signing key", salt, info, 32),
    )


class Rig:
    """The boards of one run of one scenario."""

    def __init__(
        self,
        scenario: Scenario,
        site: Site,
        trace: Trace,
        folder: Path,
        images: dict[str, Path] | None = None,
    ) -> None:
        self.scenario = scenario
        self.site = site
        self.trace = trace
        self.folder = folder
        self.lockstep = Lockstep()
        self.origin_us = lead_in_us(scenario, site)
        self.drives: tuple[Drive, ...] = ()
        self.clocks: Mapping[str, BoardClock] = {}
        """By node; to be set before `start`. Who is not in it has a nominal clock."""
        self.secrets = {
            board.node: rig_secrets(scenario.scenario.seed, board.node) for board in scenario.boards
        }
        self._boards = {board.node: load_board(board.board) for board in scenario.boards}
        self._images = {} if images is None else images
        self._emulated: list[Emulated] = []

    @property
    def keys(self) -> dict[str, bytes]:
        """The root key of every node."""
        return {node: secrets.root for node, secrets in self.secrets.items()}

    def plan(self) -> None:
        """Check every wire and every value before anything is started."""
        origins = dict.fromkeys(self.secrets, self.origin_us)
        self.drives = plan_drives(self.scenario, self.site, self.trace, origins)

    def build(
        self,
        progress: Progress = lambda step, count: None,
        stop: threading.Event | None = None,
    ) -> None:
        """Build the image of every board that has none yet; may take minutes the first time.

        Raises MissingToolError before that if an emulator is missing.
        While another build holds the cache, `stop` ends the wait: a thread hears no Ctrl-C.
        """
        boards = {board.name: board for board in self._boards.values()}
        for board in boards.values():
            check_emulator(board)
        for name, board in boards.items():
            if name not in self._images:
                self._images[name] = build(board, APPLICATION, progress=progress, stop=stop)

    def start(self) -> None:
        """Wire the chips and start every board; plans and builds what was not yet."""
        if not self.drives:
            self.plan()
        self.build()
        nodes = {node.name: node for node in self.site.nodes}
        try:
            for name, board in self._boards.items():
                self._start_board(nodes[name], board, self._images[board.name])
        except BaseException:
            self.close()
            raise

    def _start_board(self, node: Node, board: Board, image: Path) -> None:
        try:
            chips = make_chips(node)
        except ValueError as error:
            raise ScenarioError(str(self.scenario.path), [str(error)]) from error
        for drive in self.drives:
            if drive.wire.node == node.name:
                chips[drive.place].drive(drive.quantity, drive.source())
        wiring = wiring_of(chips, board)
        folder = self.folder / node.name
        # What an earlier run left there, such as its sequence numbers, would change this run.
        shutil.rmtree(folder, ignore_errors=True)
        emulated = start(
            board,
            image,
            folder,
            code=RUN_CODE,
            files=provisioned_files(node, rig_secrets(self.scenario.scenario.seed, node.name)),
        )
        self._emulated.append(emulated)
        clock = self.clocks.get(node.name, NOMINAL)
        uplink = self.lockstep.uplink
        self.lockstep.add(BoardPort(node.name, emulated, wiring, uplink=uplink, clock=clock))

    def restart(self, node: str) -> None:
        """Cut the power of a node and start it again, now, with the files it has.

        The chips keep theirs.
        """
        old = next(port for port in self.lockstep.ports if port.node == node)
        board, dead = self._boards[node], old.emulated
        new_port = old.restarted_at(self.lockstep.now_ns)
        self.lockstep.remove(old)
        dead.close()
        self._emulated.remove(dead)
        image = self._images[board.name]
        new_port.emulated = start(board, image, dead.folder, code=RUN_CODE, files={})
        self._emulated.append(new_port.emulated)
        self.lockstep.put_back(new_port)

    def restart_those_that_ask(self) -> None:
        """Start the boards again that have reset themselves, as a board that has power does."""
        for port in self.ports:
            if not port.has_ended_by_itself:
                continue
            if port.emulated.board.simulation == "process":
                # What it writes on its way out counts.
                port.emulated.process.wait(timeout=_EXIT_S)
            if (port.emulated.folder / CAUSE_FILE).exists():
                self.restart(port.node)

    @property
    def ports(self) -> Sequence[BoardPort]:
        """The boards, in the order of the scenario."""
        return self.lockstep.ports

    def close(self) -> None:
        """End every board; safe to call twice."""
        while self._emulated:
            self._emulated.pop().close()


def wiring_of(chips: Mapping[Place, Any], board: Board) -> Wiring:
    """Return the wiring of a board with these chips, at the speeds of its first buses."""
    rs485: dict[int, dict[int, Any]] = {}
    for place, chip in chips.items():
        if place.kind == "rs485" and place.address is not None:
            rs485.setdefault(place.bus, {})[place.address] = chip
    baud = {bus.kind: bus.baud for bus in reversed(board.buses) if bus.baud}
    speed = {bus.kind: bus.frequency_hz for bus in reversed(board.buses) if bus.frequency_hz}
    return Wiring(
        i2c={
            (place.bus, place.address): chip
            for place, chip in chips.items()
            if place.kind == "i2c" and place.address is not None
        },
        spi={place.bus: chip for place, chip in chips.items() if place.kind == "spi"},
        rs485=rs485,
        i2c_hz=speed.get("i2c", 400_000),
        spi_hz=speed.get("spi", 1_000_000),
        uart_baud=baud.get("uart", 115_200),
        rs485_baud=baud.get("rs485", 9_600),
    )
