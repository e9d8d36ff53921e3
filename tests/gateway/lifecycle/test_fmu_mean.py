"""An FMU made here from a few lines of C is a mean like any other."""

import importlib.resources
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gateway.errors import TrainingError
from gateway.lifecycle.fmu_mean import FmuMean
from gateway.models import hybrid
from gateway.models.hybrid import Parameter

SECOND_NS = 1_000_000_000
TAU = Parameter("tau", "s", 3.0, 0.5, 50.0)
GAIN = Parameter("gain", "", 1.0, 0.0, 10.0)

SOURCE = r"""
#include <math.h>
#include <stdlib.h>
#include "fmi2FunctionTypes.h"
/* 0 input u, 1 output y, 2 tau, 3 gain:  tau dy/dt = gain u - y;  tau <= 0 is refused. */
typedef struct { double value[4]; } Tank;
const char *fmi2GetTypesPlatform(void) { return "default"; }
const char *fmi2GetVersion(void) { return "2.0"; }
fmi2Component fmi2Instantiate(fmi2String name, fmi2Type type, fmi2String guid, fmi2String where,
    const fmi2CallbackFunctions *calls, fmi2Boolean visible, fmi2Boolean logging)
{ Tank *tank = calloc(1, sizeof *tank); tank->value[2] = 3; tank->value[3] = 1; return tank; }
void fmi2FreeInstance(fmi2Component c) { free(c); }
fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean has_tolerance, fmi2Real tolerance,
    fmi2Real start, fmi2Boolean has_stop, fmi2Real stop) { return fmi2OK; }
fmi2Status fmi2EnterInitializationMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2ExitInitializationMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2Terminate(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference *at, size_t n, fmi2Real *to)
{ for (size_t i = 0; i < n; i++) to[i] = ((Tank *)c)->value[at[i]]; return fmi2OK; }
fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference *at, size_t n, const fmi2Real *v)
{ for (size_t i = 0; i < n; i++) ((Tank *)c)->value[at[i]] = v[i]; return fmi2OK; }
/* The standard wants every function to be there, asked or not. */
#define ABSENT(name) fmi2Status name(void) { return fmi2Error; }
ABSENT(fmi2SetDebugLogging) ABSENT(fmi2Reset) ABSENT(fmi2CancelStep)
ABSENT(fmi2GetInteger) ABSENT(fmi2GetBoolean) ABSENT(fmi2GetString)
ABSENT(fmi2SetInteger) ABSENT(fmi2SetBoolean) ABSENT(fmi2SetString)
ABSENT(fmi2GetFMUstate) ABSENT(fmi2SetFMUstate) ABSENT(fmi2FreeFMUstate)
ABSENT(fmi2SerializedFMUstateSize) ABSENT(fmi2SerializeFMUstate) ABSENT(fmi2DeSerializeFMUstate)
ABSENT(fmi2GetDirectionalDerivative) ABSENT(fmi2SetRealInputDerivatives)
ABSENT(fmi2GetRealOutputDerivatives) ABSENT(fmi2GetStatus) ABSENT(fmi2GetRealStatus)
ABSENT(fmi2GetIntegerStatus) ABSENT(fmi2GetBooleanStatus) ABSENT(fmi2GetStringStatus)
fmi2Status fmi2DoStep(fmi2Component c, fmi2Real now, fmi2Real step, fmi2Boolean no_return)
{ double *v = ((Tank *)c)->value, goal = v[3] * v[0];
  if (v[2] <= 0) return fmi2Error;
  v[1] = goal + (v[1] - goal) * exp(-step / v[2]); return fmi2OK; }
"""

DESCRIPTION = """<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription fmiVersion="2.0" modelName="tank" guid="{{tank}}">
  <CoSimulation modelIdentifier="tank"/>
  <UnitDefinitions><Unit name="K"/><Unit name="s"/></UnitDefinitions>
  <ModelVariables>
    <ScalarVariable name="u" valueReference="0" causality="input">
      <Real unit="K" start="0"/></ScalarVariable>
    <ScalarVariable name="y" valueReference="1" causality="output">
      <Real unit="K"/></ScalarVariable>
    <ScalarVariable name="tau" valueReference="2" causality="parameter" variability="fixed">
      <Real unit="s" start="3"/></ScalarVariable>
    <ScalarVariable name="gain" valueReference="3" causality="parameter" variability="fixed">
      <Real start="1"/></ScalarVariable>
  </ModelVariables>
  <ModelStructure><Outputs><Unknown index="2"/></Outputs></ModelStructure>
</fmiModelDescription>
"""


@pytest.fixture(scope="module")
def tank(tmp_path_factory):
    """The FMU of a first-order lag, compiled with fmpy's headers."""
    fmpy = pytest.importorskip("fmpy", reason="fmpy is not installed: pip install twinrig[model]")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or fmpy.platform != "linux64":
        pytest.skip("no C compiler for a 64-bit Linux FMU")
    folder = tmp_path_factory.mktemp("fmu")
    (folder / "tank.c").write_text(SOURCE)
    headers = importlib.resources.files("fmpy") / "c-code"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", f"-I{headers}", "-o", "tank.so", "tank.c", "-lm"],
        cwd=folder,
        check=True,
        timeout=60,
    )
    with zipfile.ZipFile(folder / "tank.fmu", "w") as archive:
        archive.writestr("modelDescription.xml", DESCRIPTION)
        archive.write(folder / "tank.so", "binaries/linux64/tank.so")
    return folder / "tank.fmu"


def opened(path, **changes):
    """Load the tank with all it has."""
    wanted = {"inputs": ["u"], "outputs": ["y"], "parameters": (TAU, GAIN), "period_ns": SECOND_NS}
    return FmuMean(path, **(wanted | changes))


def exact(inputs, tau, gain):
    """Return the lag's answer at the end of each second."""
    level, levels = 0.0, []
    for value in inputs[:, 0]:
        level = gain * value + (level - gain * value) * np.exp(-1.0 / tau)
        levels.append([level])
    return np.array(levels)


@pytest.mark.slow
def test_an_fmu_is_a_mean_with_units_and_starts_afresh_each_time(tank):
    inputs = np.random.default_rng(0).normal(size=(50, 1))
    with opened(tank) as mean:
        assert [(channel.name, channel.unit) for channel in mean.outputs] == [("y", "K")]
        for tau, gain in ((4.0, 2.0), (9.0, 1.0)):
            expected = exact(inputs, tau, gain)
            np.testing.assert_allclose(mean(inputs, np.array([tau, gain])), expected, rtol=1e-12)


@pytest.mark.slow
def test_the_parameters_of_an_fmu_are_estimated(tank):
    rng = np.random.default_rng(1)
    inputs = np.repeat(rng.normal(size=30), 10)[:, None]
    rows = exact(inputs, 5.0, 2.0) + 0.05 * rng.normal(size=(300, 1))
    with opened(tank) as mean:
        found = hybrid.estimate(mean, inputs, rows)
    assert (np.abs(found.values - [5.0, 2.0]) < 4.0 * found.standard_errors).all()
    assert (found.standard_errors < 0.2).all()


@pytest.mark.slow
def test_a_step_the_fmu_refuses_names_the_parameters(tank):
    with opened(tank) as mean, pytest.raises(TrainingError, match="tau = -1"):
        mean(np.ones((3, 1)), np.array([-1.0, 1.0]))


@pytest.mark.slow
def test_closing_removes_what_was_unpacked(tank):
    mean = opened(tank)
    folder = mean.folder
    assert (folder / "modelDescription.xml").exists()
    mean.close()
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": ["v"]}, "no Real variable v; its Real variables: gain, tau, u, y"),
        ({"parameters": (TAU._replace(unit="min"),)}, "parameter tau is in s, not in min"),
    ],
)
def test_what_the_fmu_does_not_have_is_named(tank, changes, said):
    with pytest.raises(TrainingError, match=said):
        opened(tank, **changes)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (None, "is no FMU"),
        ('<fmiModelDescription fmiVersion="3.0"/>', "is FMI 3.0"),
        ('<fmiModelDescription fmiVersion="2.0"', "cannot be read"),
        (DESCRIPTION.replace("CoSimulation", "ModelExchange"), "has no co-simulation"),
        (DESCRIPTION, "has no library for"),
    ],
)
def test_a_file_that_is_no_such_fmu_is_refused(tmp_path, description, said):
    pytest.importorskip("fmpy", reason="fmpy is not installed: pip install twinrig[model]")
    path = tmp_path / "broken.fmu"
    if description is None:
        path.write_bytes(b"nothing")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("modelDescription.xml", description)
    with pytest.raises(TrainingError, match=said):
        opened(path)


def test_without_fmpy_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fmpy", None)
    with pytest.raises(TrainingError, match=r"pip install twinrig\[model\]"):
        opened(tmp_path / "any.fmu")
