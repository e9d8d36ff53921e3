"""The model an asset starts with, and where one that was learnt live is kept.

    <state>/models/<asset>/    its versions and the record of changes (`store.py`)

In this order: the model the site names (`[fuse] model`), the one learnt by an earlier run of this
gateway, none. A model is that of an asset, its signals in their order, their units and the period
of its rows; the site's own must agree in all of them or the gateway does not start, an older one
learnt live that no longer agrees is left where it is, and a new one is learnt.
Promises: a restart goes on with the same model and does not train again, whatever the machine does
meanwhile; a model that cannot be kept is said in the log and used all the same; one whose training
rows had no date is taken as if they had ended just now, and the log says so. What it was learnt
with is checked before it gets here (`shapes.py`, by `file.load` and by the lesson).
Left to others: the file (`file.py`), gates for updates (`gate.py`).
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from gateway.clock import NS_PER_MS, NS_PER_S
from gateway.errors import ConfigError, OperatorError
from gateway.lifecycle.data import dated
from gateway.lifecycle.file import ModelFile
from gateway.lifecycle.store import Gate, ModelStore, open_model
from gateway.models.twin_model import TwinModel
from gateway.site import Site
from gateway.stages.learning import (
    ID_DIGITS,
    Known,
    Learnt,
    model_id,
    origin_of,
    with_set_point,
)

_LOG: Final = logging.getLogger("twinrig.gateway.lifecycle.live")


def starting_model(site: Site, state_dir: Path) -> Known | None:
    """Return the model to start with; None if one has to be learnt.

    Raises `ConfigError` for a model the site names and cannot mean, `ModelFileError` for one that
    cannot be read.
    """
    stated = site.fuse.model
    if stated is not None:
        found = open_model(stated)
        problems = disagreements(found.model, site)
        if problems:
            raise ConfigError(str(stated), problems)
        return _known(found, str(stated), site)
    store = ModelStore(folder_of(state_dir, site.asset))
    if not store.exists or not store.versions():
        return None
    found = store.load()
    problems = disagreements(found.model, site)
    if problems:
        _LOG.warning("model_left asset=%s reasons=%s", site.asset, "; ".join(problems))
        return None
    return _known(found, store.current(), site)


def folder_of(state_dir: Path, asset: str) -> Path:
    """Return where the models of an asset are kept."""
    return state_dir / "models" / asset


def disagreements(model: TwinModel, site: Site) -> list[str]:
    """Return what a model and a site do not agree in, with a remedy each; nothing if they do."""
    units = site.units()
    problems = []
    if model.asset != site.asset:
        problems.append(
            f"fuse.model: is a model of asset {model.asset!r}, the site watches {site.asset!r}; "
            "name the model of that asset"
        )
    signals = site.fused_signals()
    if model.signals != signals:
        problems.append(f"fuse.signals: {_difference(model.signals, signals)}")
    for signal, unit in zip(model.signals, model.units, strict=True):
        if units.get(signal, unit) != unit:
            problems.append(
                f"fuse.model: {signal} was learnt in {unit!r}, the site has {units[signal]!r}; "
                "change the unit back, or fit anew"
            )
    period_ns = site.fuse.period_ms * NS_PER_MS
    if model.period_ns != period_ns:
        problems.append(
            f"fuse.period_ms: the model knows rows every {model.period_ns / NS_PER_S:g} s, the "
            f"site makes one every {period_ns / NS_PER_S:g} s; set it to "
            f"{model.period_ns // NS_PER_MS}, or fit anew"
        )
    return problems


@final
class Keeper:
    """Keeps what is learnt live in the state folder; gives each model its id."""

    def __init__(self, site: Site, state_dir: Path, now_ns: Callable[[], int]) -> None:
        self._site = site
        self._folder = folder_of(state_dir, site.asset)
        self._now_ns = now_ns

    def keep(self, learnt: Learnt) -> str:
        """Make a model the current version and return its id; a failure is only logged."""
        site = self._site
        unverified = "" if learnt.is_sealed else "not every training value was sealed by its node"
        gate = Gate(facts={"rows": learnt.rows}, unverified=unverified)
        # Who writes training_rows into the site file says that the machine is well at the start.
        by = f"site {site.name}: the first {learnt.rows} rows"
        try:
            name = ModelStore(self._folder).put(
                learnt.model, origin_of(learnt), gate, now_ns=self._now_ns(), by=by
            )
            _LOG.info("model_learnt asset=%s rows=%d kept_as=%s", site.asset, learnt.rows, name)
        except OperatorError as error:
            _LOG.error("model_not_kept asset=%s error=%s", site.asset, error)
        return model_id(learnt)


def _known(found: ModelFile, name: str, site: Site) -> Known:
    """Return a model that was read, with its limits at the set-point of the site."""
    _LOG.info("model_loaded asset=%s from=%s sha256=%s", found.model.asset, name, found.digest)
    if found.model.calibration is None:
        _LOG.warning("model_not_calibrated asset=%s from=%s", found.model.asset, name)
    model = with_set_point(found.model, site.fuse.false_alarms_per_hour)
    learnt_to_ns = dated(found.origin.to_ns)
    if learnt_to_ns is None:
        _LOG.warning("model_not_dated asset=%s from=%s: it does not age", found.model.asset, name)
    return Known(model, found.digest[:ID_DIGITS], learnt_to_ns)


def _difference(model: tuple[str, ...], site: tuple[str, ...]) -> str:
    """Return how two lists of signals differ, and what to do."""
    missing = [name for name in model if name not in site]
    foreign = [name for name in site if name not in model]
    parts = []
    if missing:
        parts.append(f"the model needs {', '.join(missing)}, which the site does not fuse")
    if foreign:
        parts.append(f"the model does not know {', '.join(foreign)}")
    if not parts:
        parts.append(f"the model has them in the order {', '.join(model)}")
    return "; ".join(parts) + "; list the model's signals in its order, or fit anew"
