"""Runs the device tests under MicroPython: on the unix port and on every emulated board.

`import tests.device.runner` does nothing; `run(names)` imports each module in turn, calls every
`test_*` function, forgets the module and all it has imported, so that one start of a small board
is enough for all of them, and prints one line per test, which `tests/boards/test_device_tests.py`
reads:

    ok test_cbor.test_integers
    FAILED test_cbor.test_floats
"""

import gc
import sys


def run(names) -> int:
    """Run the named modules of this folder; the number of failures."""
    failures = 0
    known = set(sys.modules)
    for name in names:
        _forget_all_but(known)
        path = "tests.device." + name
        try:
            module = __import__(path, None, None, ("*",))
        except Exception as error:  # noqa: BLE001 - whatever a test raises is its failure
            sys.print_exception(error)
            print("FAILED %s (import)" % name)
            failures += 1
            continue
        for attribute in sorted(dir(module)):
            if attribute.startswith("test_"):
                failures += _run_one(module, name, attribute)
        module = None
    print("done")
    return failures


def _forget_all_but(known) -> None:
    for name in [name for name in sys.modules if name not in known]:
        del sys.modules[name]
        parent, _, child = name.rpartition(".")
        if parent in known:
            # A package holds what was imported from it, too.
            delattr(sys.modules[parent], child)
    gc.collect()


def _run_one(module, name: str, attribute: str) -> int:
    gc.collect()
    try:
        getattr(module, attribute)()
    except Exception as error:  # noqa: BLE001 - whatever a test raises is its failure
        sys.print_exception(error)
        print("FAILED %s.%s" % (name, attribute))
        return 1
    print("ok %s.%s" % (name, attribute))
    return 0
