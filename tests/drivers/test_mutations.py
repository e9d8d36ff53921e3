"""The checks are worth something: each small mistake in a declaration is caught by one of them.

Driver and emulator share the map, so the sweep alone cannot see a wrong address; the datasheet
pairs must. `python -m tests.drivers.test_mutations` prints how many mistakes of each kind were
seeded into each part and how many were caught, and fails if one was not.
"""

import importlib
import sys
from collections import Counter

import pytest

from drivers.errors import DriverError, EmulatorError
from tests.drivers.datasheet import emulator_failures, failures
from tests.drivers.mutants import ERRORS, mutants_of
from tests.drivers.parts import PARTS, module, sweep

KINDS_MIN = {"sign", "bit", "width", "scale", "address"}


def is_caught(part):
    """Say whether any of the checks objects to the declarations as they are now."""
    try:
        importlib.reload(module(part, "driver"))
        importlib.reload(module(part, "emulator"))
        return bool(
            module(part, "registers").MAP.faults()
            or failures(part)
            or emulator_failures(part)
            or sweep(part)
        )
    except (DriverError, EmulatorError, *ERRORS):
        return True


def seed(part, mutant):
    """Say whether the mutant is caught; the declarations are as before afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mutant.changed.items():
            patch.setattr(mutant.target, name, value)
        return is_caught(part)


@pytest.fixture
def pristine():
    """Put driver and emulator back to the true declarations afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    for part in PARTS:
        importlib.reload(module(part, "driver"))
        importlib.reload(module(part, "emulator"))


@pytest.mark.usefixtures("pristine")
@pytest.mark.parametrize("part", PARTS)
def test_the_true_declarations_pass(part):
    assert not is_caught(part)


@pytest.mark.slow
@pytest.mark.usefixtures("pristine")
@pytest.mark.parametrize("part", PARTS)
def test_every_mistake_in_a_declaration_is_caught(part):
    mutants = mutants_of(part)
    assert len(mutants) >= 15
    assert [mutant.name for mutant in mutants if not seed(part, mutant)] == []


def test_the_kinds_of_mistakes_are_all_seeded():
    kinds = Counter(mutant.kind for part in PARTS for mutant in mutants_of(part))
    assert set(kinds) >= KINDS_MIN
    assert all(kinds[kind] >= 20 for kind in KINDS_MIN)


@pytest.mark.usefixtures("pristine")
def test_a_mutant_that_changes_nothing_survives():
    register = module("tmp117", "registers").CONFIGURATION
    same = mutants_of("tmp117")[0]._replace(target=register, changed={"name": register.name})
    assert not seed("tmp117", same)


def test_one_chip_two_truths_is_caught(pristine):
    """The mistake of a published driver: 1.6 Hz under the code of 1.66 kHz."""
    odr = module("lsm6dsox", "registers").CTRL1_XL.field("odr_xl")
    pristine.setattr(odr, "settings", {**odr.settings, 1660: 11, 1.6: 8})
    assert is_caught("lsm6dsox")


def main():
    """Seed every mistake into every part; print a table by kind; 1 if one was not caught."""
    kinds = sorted({mutant.kind for part in PARTS for mutant in mutants_of(part)})
    print("part".ljust(20) + "".join(kind.rjust(9) for kind in kinds) + "   caught / seeded")
    survivors = []
    for part in PARTS:
        mutants = mutants_of(part)
        escaped = [mutant.name for mutant in mutants if not seed(part, mutant)]
        survivors += [f"{part}: {name}" for name in escaped]
        counted = Counter(mutant.kind for mutant in mutants)
        cells = "".join(str(counted[kind] or "-").rjust(9) for kind in kinds)
        print(part.ljust(20) + cells + f"{len(mutants) - len(escaped):9} / {len(mutants)}")
    for survivor in survivors:
        print(f"not caught: {survivor}", file=sys.stderr)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
