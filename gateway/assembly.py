"""The parts of a gateway for one site: stages and sinks.

Promises: what the site file says is handed over here and nowhere else; nothing is opened yet.
Left to others: in which order the parts are started and what flows between them (`app.py`).
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.clock import NS_PER_MS, NS_PER_S, Clock
from gateway.lifecycle.live import Keeper, starting_model
from gateway.loss import LossLedger
from gateway.models.fit import Asset
from gateway.records import Verified
from gateway.sinks.opcua import OpcUaSink
from gateway.sinks.sink import Sink
from gateway.sinks.sparkplug import SparkplugSink
from gateway.sinks.store import StoreSink
from gateway.site import Site
from gateway.site_kpi import link_budgets
from gateway.site_nodes import ModbusRtuLink
from gateway.stages.events import Events
from gateway.stages.fuse import Fuse, FuseOptions
from gateway.stages.judge import Judge, Persistence
from gateway.stages.keyring import NodeKeys
from gateway.stages.kpi import Kpis
from gateway.stages.pipeline import Pipeline, Watches
from gateway.stages.replay_window import ReplayMark
from gateway.stages.silence import Silence
from gateway.stages.sync import Sync
from gateway.stages.sync_options import SyncOptions
from gateway.stages.verify import Verify
from gateway.stages.work import Begin
from gateway.time_board import TimeBoard
from gateway.web.server import WebSink


def make_assets(
    site: Site, state_dir: Path, clock: Clock, begin: Begin
) -> list[tuple[Fuse, Judge]]:
    """Return the model of the site's asset and its judge.

    Raises `TrainingError` if it cannot be, `ConfigError` or `ModelFileError` for a model that
    cannot be the one to start with.
    """
    fuse_of, judge, units = site.fuse, site.judge, site.units()
    signals = site.fused_signals()
    persistence = Persistence(
        alarm_on=judge.alarm_on,
        rows_on=judge.rows_on,
        alarm_off=judge.alarm_off,
        rows_off=judge.rows_off,
    )
    fuse = Fuse(
        Asset(
            site.asset,
            signals,
            tuple(units[signal] for signal in signals),
            fuse_of.period_ms * NS_PER_MS,
        ),
        fuse_of.training_rows,
        FuseOptions(
            wait_ns=None if fuse_of.wait_ms is None else fuse_of.wait_ms * NS_PER_MS,
            horizon_ns=fuse_of.horizon_ms * NS_PER_MS,
            periods_ns=site.periods_ns(),
            false_alarms_per_hour=fuse_of.false_alarms_per_hour,
            persistence=persistence,
            begin=begin,
        ),
        known=starting_model(site, state_dir),
        keep=Keeper(site, state_dir, clock.now_ns).keep,
    )
    period_ns = fuse_of.period_ms * NS_PER_MS
    return [(fuse, Judge(site.asset, persistence, period_ns=period_ns))]


def make_pipeline(
    site: Site,
    assets: list[tuple[Fuse, Judge]],
    keys: Mapping[str, NodeKeys],
    marks: list[ReplayMark],
    ledger: LossLedger,
) -> Pipeline:
    """Return the stages of a site."""
    time = site.time
    storing = [node.name for node in site.nodes if node.receipts]
    sync = Sync(
        keys,
        probe_period_ns=int(time.probe_period_s * NS_PER_S),
        drift_ppm=time.drift_ppm,
        bound_max_ns=int(time.bound_max_ms * NS_PER_MS),
        unsynchronised_bound_ns=int(time.unsynchronised_bound_ms * NS_PER_MS),
        storing=storing,
        options=SyncOptions(
            wander_ppm_per_s=time.wander_ppm_per_s,
            hold_ns=int(time.hold_s * NS_PER_S),
            false_alarms_per_day=time.false_alarms_per_day,
            asymmetry_min_ns=int(time.asymmetry_min_ms * NS_PER_MS),
            stale_ns=int(time.stale_s * NS_PER_S),
            host_error_max_ns=int(time.host_error_max_ms * NS_PER_MS),
            site=site.name,
        ),
    )
    verify = Verify(keys, ledger, marks, units=site.units(), storing=storing)
    watches = Watches(
        silence=make_silence(site), events=make_events(site), kpis=make_kpis(site, ledger)
    )
    return Pipeline(verify, sync, assets, ledger, watches)


def make_events(site: Site) -> Events:
    """Return the watch over the site's state machines."""
    return Events(machine.machine() for machine in site.machines)


def make_kpis(site: Site, ledger: LossLedger) -> Kpis:
    """Return who measures the links of the site's sources, but for those read by other masters.

    Only of Modbus devices every poll is counted, whether it is answered or not; what an OPC UA
    server or a publisher on MQTT did not say is not known, and their loss is None.
    """
    unheard = {node.name for node in site.nodes if isinstance(node.link, ModbusRtuLink)}
    periods_ns = {
        signal: period_ns
        for signal, period_ns in site.periods_ns().items()
        if signal.partition(":")[0] not in unheard
    }
    budgets = link_budgets(
        site.kpi,
        periods_ns,
        silent_periods=site.time.silent_periods,
        bound_max_ms=site.time.bound_max_ms,
        polled=frozenset(device.name for device in site.modbus),
    )
    return Kpis(budgets, ledger)


def make_silence(site: Site) -> Silence:
    """Return the watch over the site's signals and its asset.

    A row that lacks a value may come as late as it waits for it.
    """
    fuse = site.fuse
    asset_ms = fuse.period_ms if fuse.wait_ms is None else max(fuse.period_ms, fuse.wait_ms)
    periods_ns = site.periods_ns() | {site.asset: asset_ms * NS_PER_MS}
    return Silence(periods_ns, site.time.silent_periods)


def make_store(
    site: Site,
    ledger: LossLedger,
    clock: Clock,
    state_dir: Path,
    settled: Callable[[Verified], None],
) -> StoreSink | None:
    """Return the store the site asks for, None if it asks for none."""
    if site.store is None:
        return None
    path = site.store.path or state_dir / "store.sqlite3"
    return StoreSink(site.store, path, ledger, clock, settled=settled)


def make_publishers(
    site: Site,
    ledger: LossLedger,
    clock: Clock,
    state_dir: Path,
    rng: random.Random,
    board: TimeBoard,
) -> list[Sink]:
    """Return the other sinks the site asks for, most local first; the page shows `board`."""
    found: list[Sink] = []
    if site.web is not None:
        found.append(WebSink(site.web, board, ledger))
    if site.opcua is not None:
        wanted = {"store": site.store, "opcua": site.opcua, "sparkplug": site.sparkplug}
        names = tuple(name for name, settings in wanted.items() if settings is not None)
        found.append(OpcUaSink(site, site.opcua, ledger, clock, state_dir / "opcua", names))
    if site.sparkplug is not None:
        found.append(SparkplugSink(site, site.sparkplug, ledger, clock, rng))
    return found
