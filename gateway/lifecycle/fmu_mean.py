"""An FMU as the physics of a hybrid twin: FMI 2.0 co-simulation, one step for each row.

    row t:  set inputs u_t;  doStep from t to t + period;  read outputs y_(t+1)

so outputs of row t are those at the end of its period. Every call starts the model afresh with the
parameters it is given: the same values give the same outputs. Units are those that the FMU itself
declares for its variables.

An FMU is machine code that runs with the gateway's rights: load only what you would install. It is
unpacked into a folder of its own, which `close` removes.

Left to others: model exchange, FMI 1 and 3, variables that are not Real. The estimation of
parameters is hybrid.py's. fmpy is an extra, imported when an FMU is loaded and not before.

Source: Functional Mock-up Interface 2.0.4 (Modelica Association, 2022), sections 2.2.7 and 4.2.
"""

import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Self, final

import numpy as np

from gateway.errors import TrainingError
from gateway.models.hybrid import Channel, Floats, Parameter

_HEAD_BYTES: Final = 65_536
"""The version stands in the first element of the description."""
_EXPORT: Final = "export it as FMI 2.0 co-simulation"


@final
class FmuMean:
    """A `Mean` whose law is an FMU; a context manager, since it owns a folder of unpacked files.

    `inputs` and `outputs` are names of Real variables; each `Parameter` too. The rows it will be
    given are `period_ns` apart.
    """

    __slots__ = (
        "_description",
        "_fmpy",
        "_places",
        "_step_s",
        "folder",
        "inputs",
        "name",
        "outputs",
        "parameters",
    )

    def __init__(
        self,
        path: Path,
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        parameters: Sequence[Parameter],
        period_ns: int,
    ) -> None:
        """Read and unpack the FMU.

        Raises:
            TrainingError: fmpy is absent, the file is no FMI 2.0 co-simulation, or has no such
                Real variable; the message says which and what there is.
        """
        self.name = path.name
        self._fmpy = _fmpy(path.name)
        self._step_s = period_ns / 1e9
        self._description = self._read(path)
        known = {
            variable.name: variable
            for variable in self._description.modelVariables
            if variable.type == "Real"
        }
        self.inputs = tuple(Channel(name, _unit(known, name, path.name)) for name in inputs)
        self.outputs = tuple(Channel(name, _unit(known, name, path.name)) for name in outputs)
        self.parameters = tuple(parameters)
        for parameter in parameters:
            declared = _unit(known, parameter.name, path.name)
            if declared not in ("", parameter.unit):
                raise TrainingError(
                    path.name,
                    f"parameter {parameter.name} is in {declared}, not in {parameter.unit}",
                    "state start and bounds in the unit of the FMU",
                )
        self._places = {name: variable.valueReference for name, variable in known.items()}
        self.folder = Path(self._fmpy.extract(str(path)))
        if not (self.folder / "binaries" / self._fmpy.platform).is_dir():
            self.close()
            raise TrainingError(
                path.name, f"has no library for {self._fmpy.platform}", "export it for this machine"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the unpacked files; the mean cannot be called any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __call__(self, inputs: Floats, values: Floats) -> Floats:
        """Return outputs (n, o) of a run over inputs (n, i) with parameter values (p,)."""
        slave = self._slave()
        slave.instantiate()
        try:
            return self._run(slave, inputs, values)
        except self._fmpy.fmi1.FMICallException as error:
            said = ", ".join(
                f"{parameter.name} = {value:g}"
                for parameter, value in zip(self.parameters, values, strict=True)
            )
            raise TrainingError(
                self.name, f"{error} With {said or 'no parameters'}", "narrow their bounds"
            ) from error
        finally:
            slave.freeInstance()

    def _slave(self) -> Any:
        """Load the FMU's library."""
        try:
            return self._fmpy.fmi2.FMU2Slave(
                guid=self._description.guid,
                unzipDirectory=str(self.folder),
                modelIdentifier=self._description.coSimulation.modelIdentifier,
                instanceName=self.name,
            )
        except (AttributeError, OSError) as error:
            raise TrainingError(
                self.name, f"its library does not load: {error}", _EXPORT
            ) from error

    def _run(self, slave: Any, inputs: Floats, values: Floats) -> Floats:
        """Initialise, step once for each row, terminate."""
        taken = [self._places[channel.name] for channel in self.inputs]
        given = [self._places[channel.name] for channel in self.outputs]
        slave.setupExperiment(startTime=0.0)
        if self.parameters:
            places = [self._places[parameter.name] for parameter in self.parameters]
            slave.setReal(places, [float(value) for value in values])
        slave.enterInitializationMode()
        slave.exitInitializationMode()
        outputs = np.empty((len(inputs), len(given)))
        for number, row in enumerate(inputs.tolist()):
            if taken:
                slave.setReal(taken, row)
            slave.doStep(number * self._step_s, self._step_s)
            outputs[number] = slave.getReal(given)
        slave.terminate()
        return outputs

    def _read(self, path: Path) -> Any:
        """Return fmpy's description of an FMI 2.0 co-simulation."""
        version = _version(path)
        if version != "2.0":
            raise TrainingError(
                path.name, f"is FMI {version}", "export it as FMI 2.0 co-simulation"
            )
        try:
            description = self._fmpy.read_model_description(str(path), validate=False)
        except (SyntaxError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(
                path.name, f"its modelDescription.xml cannot be read: {error}", "export it again"
            ) from error
        if description.coSimulation is None:
            raise TrainingError(path.name, "has no co-simulation", _EXPORT)
        return description


def _version(path: Path) -> str:
    """Return the FMI version a file says it is of."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("modelDescription.xml") as file:
            found = re.search(rb'fmiVersion\s*=\s*["\']([^"\']{1,20})', file.read(_HEAD_BYTES))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            path.name, f"is no FMU: {error}", "name an existing .fmu file"
        ) from error
    return found[1].decode("ascii", "replace") if found else "of unknown version"


def _fmpy(name: str) -> ModuleType:
    """Import fmpy when it is first needed."""
    try:
        import fmpy  # noqa: PLC0415
        import fmpy.fmi1  # noqa: PLC0415
        import fmpy.fmi2  # noqa: PLC0415
    except ImportError as error:
        raise TrainingError(
            name,
            "the package fmpy is not installed",
            "install the extra: pip install twinrig[model]",
        ) from error
    module: ModuleType = fmpy
    return module


def _unit(known: dict[str, Any], name: str, fmu: str) -> str:
    """Return the unit of a Real variable, "" if the FMU declares none."""
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise TrainingError(fmu, f"has no Real variable {name}", f"its Real variables: {there}")
    return str(known[name].unit or "")
