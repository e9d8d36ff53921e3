"""Trials of an update: only the set that runs is confirmed, and only while nobody gave it up."""

from firmware.manifest import OUT_OF_ORDER
from firmware.slots import Slots
from firmware.update import ROLLED_BACK, STATE_FILES
from tests.device.test_update import Flash, manifest, refused, restart, send, started


def _on_trial():
    """A flash on which the loader has begun a trial of folder b."""
    flash = Flash()
    update = restart(flash)
    send(update)
    update.finish()
    assert restart(flash, True).state() == "trial"
    return flash


def _stored(flash):
    return Slots(flash, STATE_FILES).read()[0]


def test_an_update_can_be_given_up_at_any_time():
    flash = Flash()
    update = restart(flash)
    send(update)
    update.abort()
    assert update.state() == "idle"
    send(update)
    update.finish()
    update.abort()
    assert restart(flash).state() == "idle"
    send(update)
    update.finish()
    update = restart(flash, True)
    update.abort()
    assert update.running == "b"
    update = restart(flash)
    assert (update.state(), update.running) == ("rolled back", "a")
    send(update)


def test_a_trial_that_was_given_up_is_not_confirmed_afterwards():
    flash = _on_trial()
    update = started(flash, "b")
    update.abort()
    assert update.state() == "rolled back"
    refused(OUT_OF_ORDER, update.confirm)
    refused(OUT_OF_ORDER, started(flash, "b").confirm)
    update.abort()
    assert _stored(flash) == (0, ROLLED_BACK, 0, 0)


def test_a_trial_given_up_on_a_flash_that_refuses_is_not_confirmed_either():
    flash = _on_trial()
    update = started(flash, "b")
    flash.fails_at = flash.writes + 1
    try:
        update.abort()
    except OSError:
        refused(OUT_OF_ORDER, update.confirm)
        return
    raise AssertionError("no error")


def test_the_set_that_hung_is_not_confirmed_by_the_trusted_one():
    # The loader could not write that the trial is over, and has started the trusted set.
    flash = _on_trial()
    for folder in ("a", None):
        update = started(flash, folder)
        assert (update.state(), update.running) == ("rolled back", "a")
        refused(OUT_OF_ORDER, update.confirm)
    send(update)
    update.finish()
    assert restart(flash, True).running == "b"


def test_the_set_that_runs_is_not_overwritten_whatever_the_state_says():
    # The trusted set has no main any more, and the loader could not write that the other started.
    flash = Flash()
    update = started(flash, "b")
    assert (update.state(), update.running) == ("idle", "b")
    refused(OUT_OF_ORDER, update.begin, manifest())
    assert flash.writes == 0


def test_a_set_given_up_is_not_overwritten_while_it_runs():
    update = started(_on_trial(), "b")
    update.abort()
    refused(OUT_OF_ORDER, update.begin, manifest(2))
    assert update.running == "b"


def test_numbers_that_cannot_be_are_a_lost_state():
    flash = Flash()
    Slots(flash, STATE_FILES).write((2, 0, 0, 0))
    update = started(flash, None)
    assert (update.state(), update.running) == ("state lost", "a")
