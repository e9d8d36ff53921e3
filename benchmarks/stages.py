"""How many sealed frames a second one core takes through the gateway's stages.

The frames are sealed beforehand with the node's own code and have four records each, as in the pump
example; the clock is virtual.  Reported: verify alone, and verify + sync + fuse + judge with the
model trained, which is the state a gateway spends its life in.
"""

import math
import random
import time
from typing import Final

from gateway.loss import LossLedger
from gateway.models.fit import Asset
from gateway.records import Estimate, Received, Verified
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge, Persistence
from gateway.stages.pipeline import Pipeline
from gateway.stages.sync import Sync
from gateway.stages.verify import Verify
from wire.content import SENML_CBOR
from wire.cose import Sealer
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.senml import pack

NODES: Final = ("pump-a", "pump-b")
CHANNELS: Final = ("one", "two", "three", "four")
SECOND_NS: Final = 1_000_000_000
TRAINING_ROWS: Final = 400
START_NS: Final = 1_600_000_000 * SECOND_NS


def frames_per_second(seconds: int = 6000) -> dict[str, float]:
    """Name -> frames a second, over two nodes that send once a second for `seconds`."""
    keys = {node: bytes([index + 1]) * 32 for index, node in enumerate(NODES)}
    frames = _sealed(keys, TRAINING_ROWS + 100 + seconds)
    warm = 2 * (TRAINING_ROWS + 100)
    verify = Verify(keys, LossLedger())
    started_s = time.perf_counter()
    verified = sum(
        isinstance(record, Verified)
        for frame in frames
        for record in verify.feed(frame, frame.received_ns)
    )
    verify_s = time.perf_counter() - started_s
    if verified != len(frames):
        raise RuntimeError(f"{len(frames) - verified} frames of the benchmark were rejected")
    pipeline = _pipeline(keys)
    for frame in frames[:warm]:
        pipeline.feed(frame, frame.received_ns)
    started_s = time.perf_counter()
    estimates = sum(
        isinstance(record, Estimate) and record.is_trained
        for frame in frames[warm:]
        for record in pipeline.feed(frame, frame.received_ns)
    )
    whole_s = time.perf_counter() - started_s
    if estimates < seconds - 2:
        raise RuntimeError(f"{estimates} trained estimates from {seconds} rows")
    return {
        "verify": len(frames) / verify_s,
        "verify + sync + fuse + judge": (len(frames) - warm) / whole_s,
    }


def _pipeline(keys: dict[str, bytes]) -> Pipeline:
    ledger = LossLedger()
    signals = tuple(f"{node}:{channel}" for node in NODES for channel in CHANNELS)
    asset = Asset("asset", signals, ("V",) * len(signals), SECOND_NS)
    fuse = Fuse(asset, TRAINING_ROWS)
    sync = Sync(keys, probe_period_ns=10 * SECOND_NS, drift_ppm=100.0, bound_max_ns=SECOND_NS)
    return Pipeline(Verify(keys, ledger), sync, [(fuse, Judge("asset", Persistence()))], ledger)


def _sealed(keys: dict[str, bytes], seconds: int) -> list[Received]:
    """Frames of coupled, noisy signals, in the order of their arrival."""
    rng = random.Random(1)  # noqa: S311 - test signals
    sealers = {
        node: Sealer(node.encode(), HmacSha256(uplink_key(key, node.encode())))
        for node, key in keys.items()
    }
    frames = []
    for second in range(seconds):
        common = math.sin(second / 50) + rng.gauss(0, 0.1)
        for index, (node, sealer) in enumerate(sealers.items()):
            records = [
                (name, "V", common * (position + 1) + rng.gauss(0, 0.1), -0.45)
                for position, name in enumerate(CHANNELS)
            ]
            tick_us = second * 1_000_000 + 900_000
            data = sealer.seal(SENML_CBOR, second, 1, tick_us, pack(f"{node}:", records))
            received_ns = START_NS + tick_us * 1000 + (20 + index) * 1_000_000
            frames.append(Received(source=node, link="bench", data=data, received_ns=received_ns))
    return frames
