"""Entry point: `import firmware.main` on the board's console, or from its main.py, runs the node.

A SystemExit is the orderly end of a run on the rig; anything else is logged with its text, and
then raised, so that it is seen on the console too, and by the loader.
"""

import hal

from firmware import app


def run() -> None:
    """Start the board's clock and links, then run the node until it is stopped."""
    hal.start()
    try:
        app.bring_up(hal).run()
    except SystemExit:
        hal.log("stopped")
    except Exception as error:
        hal.log("fatal: %s: %s" % (type(error).__name__, error))
        raise
    finally:
        hal.stop()


run()
