"""A pump skid: centrifugal pump, valve and pipe in a closed water loop, with a valve that closes.

Promises: `write_pump_trace` writes a CSV file with the columns, separator and cadence of the SKAB
recordings (1 Hz; anomaly and changepoint labels), byte-identical for the same seed and row count.
The first third is healthy, so a model can learn it; in the middle the valve closes by itself.
Leaves to others: everything after the file. It is a plausible skid, not a fit of a certain one.

Hydraulics, algebraic at 1 Hz (water hammer and pump inertia settle within a second):

    pump       head_m   = (SHUTOFF_HEAD_M - a q2) scaled by the affinity laws, q2 = flow squared
    circuit    head_m   = (PIPE + VALVE / opening^2) q2
    pressure            = density * gravity * head at the pump outlet, gauge
    shaft      power_w  = density * gravity * flow * head / efficiency(flow) + friction
    motor      current  = hypot(active, magnetising); slip makes speed follow the mains a little
    vibration           = level * speed^2 * (1 + OFF_DESIGN (1 - flow / design flow)^2)

The temperatures are first-order lags, solved exactly over each second: the motor towards ambient
plus thermal resistance times its loss, the water towards ambient plus the heat of the shaft.
The order of a second: mains, valve, hydraulics, motor, heat, then the instruments' noise.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, final

from hil.units import unit

ROWS: Final = 1200
COLUMNS: Final = (
    ("Accelerometer1RMS", "g"),
    ("Accelerometer2RMS", "g"),
    ("Current", "A"),
    ("Pressure", "bar"),
    ("Temperature", "degC"),
    ("Thermocouple", "degC"),
    ("Voltage", "V"),
    ("Volume Flow RateRMS", "l/min"),
)
"""Name and unit of the value columns, in the order of the file and of `_Instruments.read`."""
START: Final = datetime(2024, 1, 1, tzinfo=UTC)

_PASCAL_PER_METRE: Final = 998.2 * 9.80665
"""Water at 20 degC times standard gravity."""
_DESIGN_FLOW_M3_S: Final = 32e-3 / 60
_SHUTOFF_HEAD_M: Final = 4.0
_PUMP_HEAD_LOSS_M: Final = 1.0
"""Head the pump loses inside at the design flow; PIPE and VALVE are such heads too."""
_PIPE_HEAD_M: Final = 2.0
_VALVE_HEAD_M: Final = 1.0
_EFFICIENCY_BEST: Final = 0.35
_FRICTION_WATT: Final = 20.0
_MOTOR_LOSS_WATT: Final = 90.0
_MAGNETISING_AMPERE: Final = 0.65
_MAINS_VOLT: Final = 230.0
_SPEED_PER_MAINS: Final = 0.25
_OFF_DESIGN: Final = 0.8
_AMBIENT_CELSIUS: Final = 21.0
_MOTOR_CELSIUS_PER_WATT: Final = 0.36
_MOTOR_LAG_S: Final = 240.0
_WATER_CELSIUS_PER_WATT: Final = 0.075
_WATER_LAG_S: Final = 600.0
_CLOSED_OPENING: Final = 0.35
_CLOSING_S: Final = 40


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PumpState:
    """The skid at one second, without instrument noise, in SI units and degrees Celsius."""

    opening: float
    """Of the valve, 1 is open."""
    mains_volt: float
    speed: float
    """Relative to nominal."""
    flow_m3_s: float
    pressure_pascal: float
    current_ampere: float
    vibration_1_m_s2: float
    vibration_2_m_s2: float
    motor_celsius: float
    water_celsius: float


def fault_rows(rows: int = ROWS) -> tuple[int, int]:
    """Return (first row, first row after) of the closing valve: a third of the run, centred."""
    length = rows // 3
    first = (rows - length) // 2
    return first, first + length


def valve_opening(row: int, rows: int = ROWS) -> float:
    """Return the opening at this second: 1, down in CLOSING_S, held, up again, 1."""
    first, after = fault_rows(rows)
    closed = min(max((row - first) / _CLOSING_S, 0.0), 1.0)
    reopened = min(max((row - (after - _CLOSING_S)) / _CLOSING_S, 0.0), 1.0)
    return 1.0 - (1.0 - _CLOSED_OPENING) * (closed - reopened)


def simulate(seed: int, rows: int = ROWS) -> Iterator[PumpState]:
    """Yield the state at every second, starting warm; the mains is an AR(1) process."""
    mains_noise = random.Random(f"mains-{seed}")  # noqa: S311 - a model, not a secret
    mains_volt = _MAINS_VOLT
    motor_celsius, water_celsius = 0.0, 0.0
    for row in range(rows):
        mains_volt += (_MAINS_VOLT - mains_volt) / 20.0 + mains_noise.gauss(0.0, 1.2)
        opening = valve_opening(row, rows)
        speed = 1.0 + _SPEED_PER_MAINS * (mains_volt / _MAINS_VOLT - 1.0)
        flow_m3_s, head_m = operating_point(opening, speed)
        shaft_watt = _shaft_watt(flow_m3_s, head_m, speed)
        active_ampere = (shaft_watt + _MOTOR_LOSS_WATT) / mains_volt
        magnetising_ampere = _MAGNETISING_AMPERE * mains_volt / _MAINS_VOLT
        loss_watt = _MOTOR_LOSS_WATT + 0.5 * shaft_watt
        motor_target = _AMBIENT_CELSIUS + _MOTOR_CELSIUS_PER_WATT * loss_watt
        water_target = _AMBIENT_CELSIUS + _WATER_CELSIUS_PER_WATT * shaft_watt
        motor_celsius = _lagged(motor_celsius, motor_target, _MOTOR_LAG_S if row else 0.0)
        water_celsius = _lagged(water_celsius, water_target, _WATER_LAG_S if row else 0.0)
        off_design = 1.0 + _OFF_DESIGN * (1.0 - flow_m3_s / (_DESIGN_FLOW_M3_S * speed)) ** 2
        yield PumpState(
            opening=opening,
            mains_volt=mains_volt,
            speed=speed,
            flow_m3_s=flow_m3_s,
            pressure_pascal=_PASCAL_PER_METRE * head_m,
            current_ampere=math.hypot(active_ampere, magnetising_ampere),
            vibration_1_m_s2=0.26 * speed**2 * off_design,
            vibration_2_m_s2=0.39 * speed**2 * off_design,
            motor_celsius=motor_celsius,
            water_celsius=water_celsius,
        )


def operating_point(opening: float, speed: float) -> tuple[float, float]:
    """Return (flow in m3/s, head in m) where the pump's curve meets the circuit's.

    Solves SHUTOFF speed^2 - PUMP q^2 = (PIPE + VALVE / opening^2) q^2, q relative to design flow.
    """
    circuit_head_m = _PIPE_HEAD_M + _VALVE_HEAD_M / opening**2
    relative_flow = speed * math.sqrt(_SHUTOFF_HEAD_M / (_PUMP_HEAD_LOSS_M + circuit_head_m))
    return relative_flow * _DESIGN_FLOW_M3_S, circuit_head_m * relative_flow**2


def write_pump_trace(path: Path, *, seed: int, rows: int = ROWS) -> None:
    """Write the trace of a seed; the file appears whole or not at all. Errors: OSError."""
    first, after = fault_rows(rows)
    changes = {first, first + _CLOSING_S, after - _CLOSING_S, after}
    instruments = _Instruments(random.Random(f"instruments-{seed}"))  # noqa: S311 - as above
    lines = [";".join(("datetime", *(name for name, _ in COLUMNS), "anomaly", "changepoint"))]
    for row, state in enumerate(simulate(seed, rows)):
        when = (START + timedelta(seconds=row)).strftime("%Y-%m-%d %H:%M:%S")
        values = (
            f"{unit(name).from_si(value):.6g}"
            for (_, name), value in zip(COLUMNS, instruments.read(state), strict=True)
        )
        labels = (f"{float(first <= row < after)}", f"{float(row in changes)}")
        lines.append(";".join((when, *values, *labels)))
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@final
class _Instruments:
    """White noise of each instrument, drawn in the order of the columns."""

    def __init__(self, noise: random.Random) -> None:
        self._noise = noise

    def read(self, state: PumpState) -> tuple[float, ...]:
        """Return the eight readings in SI, in the order of COLUMNS."""
        exact_and_deviation = (
            (state.vibration_1_m_s2, 0.0028),
            (state.vibration_2_m_s2, 0.0066),
            (state.current_ampere, 0.03),
            (state.pressure_pascal, 1500.0),
            (state.motor_celsius, 0.12),
            (state.water_celsius, 0.012),
            (state.mains_volt, 0.8),
            (state.flow_m3_s, 0.4e-3 / 60),
        )
        return tuple(self._noise.gauss(exact, width) for exact, width in exact_and_deviation)


def _shaft_watt(flow_m3_s: float, head_m: float, speed: float) -> float:
    """Return the shaft power; efficiency is a parabola through 0 with its top at design flow."""
    relative = flow_m3_s / (_DESIGN_FLOW_M3_S * speed)
    efficiency = _EFFICIENCY_BEST * relative * (2.0 - relative)
    return _PASCAL_PER_METRE * flow_m3_s * head_m / efficiency + _FRICTION_WATT * speed**2


def _lagged(value: float, target: float, lag_s: float) -> float:
    """Return the value one second later on its way to target; a lag of 0 is there at once."""
    return target if lag_s == 0.0 else target + (value - target) * math.exp(-1.0 / lag_s)
