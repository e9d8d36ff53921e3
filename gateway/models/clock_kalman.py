"""A Kalman clock: offset, skew, drift and the shortest way, from delays that err to one side.

State: x offset (ns), h half of the shortest round trip (ns), s = dx/dt skew (ns/s), d = ds/dt
drift (ns/s^2). The drift dies out with a time constant and is stirred by noise so that its standard
deviation stays `wander`: the model of Singer (Estimating optimal tracking filter performance for
manned maneuvering targets, IEEE Trans. AES 6(4), 1970), with offset, skew and drift for place,
speed and acceleration.

Both ways of an exchange are a measurement each,

    T4 - T3        =  x + h + q_up + v        (node -> gateway)
    T2 + tick - T1 = -x + h + q_down + v      (gateway -> node)

q >= 0 the waiting above the shortest way, exponential with a mean learnt per way, v normal with a
variance learnt as well. So what a measurement weighs depends on its delay above the shortest: one
at the edge counts, one far above it moves nothing, however far. With w = x + h + v,
N(mu, S) before it,

    p(w | y) ~ N(w; mu + S/m, S) for w <= y, 0 above,

a truncated normal, whose mean and variance are carried over to the state (assumed density
filtering: Minka, Expectation propagation, UAI 2001; the moments: Johnson, Kotz, Balakrishnan,
Continuous univariate distributions 1, 1994, chapter 13, 10.1).

Promises: plain arithmetic on floats, no arrays; time never runs backwards in it; finite numbers for
finite input. Left to others: asymmetry of the shortest ways (part of x here, no stamp shows it) and
the hard interval (node_clock.py).
"""

import math
from typing import Final, NamedTuple, final

from gateway.models.clock_hull import LineFit

DRIFT_TIME_S: Final = 300.0
"""How long a change of temperature goes on: minutes for a board in its housing."""
_OFFSET_NOISE_NS: Final = 10.0
"""Random walk of the offset per square root of a second: white frequency noise of 1e-8 at 1 s, the
poor end of crystals."""
_WAY_NOISE_NS: Final = 100.0
"""Random walk of the shortest way per square root of a second: a microsecond in 100 s ..."""
_PATH_RATE: Final = 0.5 / 3600
"""... and half of the way itself in an hour of silence, in which another path may be in use."""
_SILENCE_S: Final = 3600.0
"""After such a silence the path counts as another one, of which only the prior is known."""
_MEMORY: Final = 64
"""Exchanges over which the laws of the delays are learnt."""
SHARPNESS_MAX: Final = 1.9
"""A line is believed if the delays above it have a sharp lower edge: 1 for an exponential law, 1.4
for half a normal one, 1.7 for a uniform one, 2.3 for a whole normal one of 60 points ..."""
_SHARPNESS_MAX_FEW: Final = 1.5
_FEW: Final = 48
"""... of 16 points 1.8, so that fewer points than these must be clearly sharp."""
_BLUNT_WORTH: Final = 0.25
"""Share of its information that a measurement without a sharp edge is worth."""
_SURE: Final = 2.0
"""Deviations added to a shortest way before it counts as one that was there."""
_LOST: Final = 1e4
"""A filter whose offset may be off by so many round trips has nothing to add to a new one; to go on
would only take digits from its covariance (a square of it is half of what a float has)."""
_LONG: Final = 16.0
"""Waiting counts as at most so many means when the mean is learnt: exp(-16) of an exponential law
is beyond, and one message that was held for a day must not blunt the filter for an hour."""
_SQRT_2: Final = math.sqrt(2)
_DENSITY_0: Final = 1 / math.sqrt(2 * math.pi)


class Prediction(NamedTuple):
    """What the filter expects at a moment."""

    offset_ns: float
    variance: float


def truncation(alpha: float) -> tuple[float, float]:
    """Return (lambda, kappa) of a standard normal cut above `alpha`: mean -lambda, variance kappa.

    lambda = phi(alpha) / Phi(alpha), kappa = 1 - alpha lambda - lambda^2 (Johnson, Kotz,
    Balakrishnan 1994, chapter 13); far below zero the asymptotic series, where the formula cancels.
    """
    if alpha > 8:
        return 0.0, 1.0
    if alpha > -20:
        peak = _DENSITY_0 * math.exp(-alpha * alpha / 2)
        rate = peak / (0.5 * math.erfc(-alpha / _SQRT_2))
        return rate, max(1 - alpha * rate - rate * rate, 0.0)
    inverse = 1 / (alpha * alpha)
    rate = -alpha * (1 + inverse * (1 - inverse * (2 - 10 * inverse)))
    return rate, inverse * (1 - inverse * (6 - 50 * inverse))


def singer_noise(step_s: float, wander: float, time_s: float) -> tuple[float, ...]:
    """Return (q11, q12, q13, q22, q23, q33) of offset, skew and drift over a step.

    Singer (1970), with alpha = 1 / `time_s` and variance `wander`^2 of the drift; for short
    steps the leading terms, because the full ones cancel.
    """
    a = 1 / time_s
    density = 2 * wander * wander * a
    t = step_s
    k = a * t
    if k < 0.05:
        square = t * t
        cube = square * t
        return (
            density * cube * square / 20, density * square * square / 8, density * cube / 6,
            density * cube / 3, density * square / 2, density * t,
        )  # fmt: skip
    e = math.exp(-k)
    half = density / 2
    return (
        half / a**5 * (1 - e * e + 2 * k + 2 * k**3 / 3 - 2 * k * k - 4 * k * e),
        half / a**4 * (e * e + 1 - 2 * e + 2 * k * e - 2 * k + k * k),
        half / a**3 * (1 - e * e - 2 * k * e),
        half / a**3 * (4 * e - 3 - e * e + 2 * k),
        half / a**2 * (e * e + 1 - 2 * e),
        half / a * (1 - e * e),
    )


@final
class ClockKalman:
    """The filter of one clock; times in seconds from an origin of the caller's."""

    __slots__ = (
        "_floor_ns",
        "_least_half_ns",
        "_wander",
        "count",
        "detour_variance",
        "down_mean_ns",
        "down_variance",
        "drift",
        "flatness",
        "half_ns",
        "offset_ns",
        "p_dd",
        "p_hd",
        "p_hh",
        "p_hs",
        "p_sd",
        "p_ss",
        "p_xd",
        "p_xh",
        "p_xs",
        "p_xx",
        "skew",
        "time_s",
        "up_mean_ns",
        "up_variance",
        "worth",
    )  # fmt: skip

    def __init__(
        self, time_s: float, up_ns: float, down_ns: float, *, skew_max: float, wander: float,
        floor_ns: float,
    ) -> None:  # fmt: skip
        """Start from one exchange: all between its two limits is as likely as not.

        `skew_max` in ns/s bounds the rate, `wander` in ns/s^2 is the standard deviation of its
        change, `floor_ns` the least scale of delays that is believed.
        """
        delay_ns = max(up_ns + down_ns, floor_ns)
        self._floor_ns, self._wander = floor_ns, wander
        self.time_s, self.count = time_s, 1
        self.worth = self.flatness = 1.0
        self.detour_variance, self._least_half_ns = 0.0, math.inf
        self.offset_ns, self.half_ns = (up_ns - down_ns) / 2, 0.375 * delay_ns
        self.skew = self.drift = 0.0
        self.p_xx, self.p_hh = delay_ns**2 / 12, delay_ns**2 / 16
        self.p_ss, self.p_dd = skew_max**2 / 3, wander**2
        self.p_xh = self.p_xs = self.p_xd = self.p_hs = self.p_hd = self.p_sd = 0.0
        # A quarter of the trip is waiting until more is known, and no edge is believed to be sharp.
        self.up_mean_ns = self.down_mean_ns = max(delay_ns / 8, floor_ns)
        self.up_variance = self.down_variance = self.up_mean_ns**2

    def at(self, time_s: float) -> Prediction:
        """Return offset and variance at a time before or after the last exchange."""
        step = time_s - self.time_s
        reach = abs(step)
        c1 = DRIFT_TIME_S * (DRIFT_TIME_S * math.expm1(-reach / DRIFT_TIME_S) + reach)
        variance = (
            self.p_xx + 2 * step * self.p_xs + 2 * c1 * self.p_xd + step * step * self.p_ss
            + 2 * step * c1 * self.p_sd + c1 * c1 * self.p_dd + _OFFSET_NOISE_NS**2 * reach
            + singer_noise(reach, self._wander, DRIFT_TIME_S)[0]
        )  # fmt: skip
        return Prediction(self.offset_ns + step * self.skew + c1 * self.drift, variance)

    def held_against(
        self, expected: Prediction, up: float, down: float
    ) -> tuple[float, float, float, float, float, float, float]:
        """Return innovation, its deviation, excess up and down, mean excess of both, way deviation.

        `expected` was said of the moment of the exchange, before it.
        """
        up_mean, down_mean = self.up_mean_ns, self.down_mean_ns
        innovation = (up - down) / 2 - expected.offset_ns - (up_mean - down_mean) / 2
        waiting = up_mean**2 + down_mean**2 + self.up_variance + self.down_variance
        return (
            innovation,
            math.sqrt(max(expected.variance, 0.0) + waiting / 4),
            up - expected.offset_ns - self.half_ns,
            down + expected.offset_ns - self.half_ns,
            up_mean,
            down_mean,
            math.sqrt(max(expected.variance + self.p_hh, 0.0)),
        )

    def mean_at(self, time_s: float) -> float:
        """Return the offset alone at a time near the last exchange, drift left out."""
        return self.offset_ns + (time_s - self.time_s) * self.skew

    def predict(self, time_s: float) -> None:
        """Carry the state on to `time_s`; a time that is past changes nothing."""
        t = time_s - self.time_s
        if t <= 0:
            return
        self.time_s = time_s
        if t > _SILENCE_S:
            self._least_half_ns = math.inf
        decay = math.exp(-t / DRIFT_TIME_S)
        c2 = DRIFT_TIME_S * (1 - decay)
        c1 = DRIFT_TIME_S * (t - c2)
        self.offset_ns += t * self.skew + c1 * self.drift
        self.skew += c2 * self.drift
        self.drift *= decay
        q11, q12, q13, q22, q23, q33 = singer_noise(t, self._wander, DRIFT_TIME_S)
        p_xs, p_xd, p_sd, p_dd = self.p_xs, self.p_xd, self.p_sd, self.p_dd
        xs = p_xs + t * self.p_ss + c1 * p_sd
        xd = p_xd + t * p_sd + c1 * p_dd
        sd = p_sd + c2 * p_dd
        self.p_xx += t * (p_xs + xs) + c1 * (p_xd + xd) + q11 + _OFFSET_NOISE_NS**2 * t
        self.p_xh += t * self.p_hs + c1 * self.p_hd
        self.p_xs = xs + c2 * xd + q12
        self.p_xd = decay * xd + q13
        self.p_hh += _WAY_NOISE_NS**2 * t + (_PATH_RATE * self.half_ns * t) ** 2
        self.p_hs += c2 * self.p_hd
        self.p_hd *= decay
        self.p_ss += c2 * (p_sd + sd) + q22
        self.p_sd = decay * sd + q23
        self.p_dd = decay * decay * p_dd + q33

    def update(self, up_ns: float, down_ns: float) -> None:
        """Take both ways of an exchange that ended at the time of the last `predict`."""
        self.count += 1
        gain = 1 / min(self.count, _MEMORY)
        self.up_mean_ns, self.up_variance = self._way(
            1.0, up_ns, self.up_mean_ns, self.up_variance, gain
        )
        self.down_mean_ns, self.down_variance = self._way(
            -1.0, down_ns, self.down_mean_ns, self.down_variance, gain
        )

    def hear(self, up_ns: float) -> None:
        """Take one way alone, node -> gateway."""
        self.count += 1
        gain = 1 / min(self.count, _MEMORY)
        self.up_mean_ns, self.up_variance = self._way(
            1.0, up_ns, self.up_mean_ns, self.up_variance, gain
        )

    def is_lost(self, expected: Prediction, delay_ns: float) -> bool:
        """Tell whether an exchange of such a round trip is worth more than all that was known."""
        return expected.variance > (_LOST * max(delay_ns, self._floor_ns)) ** 2

    def adopt(self, line: LineFit, time_s: float) -> bool:
        """Start anew from a line that is surer in rate and offset; return whether it was.

        The line is fitted to exchanges the filter has seen, so it replaces and is not weighed in.
        Where delays have no sharp lower edge it is not believed, and every measurement counts half
        from then on: the exponential law is not theirs.
        """
        is_sharp = line.sharpness <= (_SHARPNESS_MAX_FEW if line.points < _FEW else SHARPNESS_MAX)
        self.worth = 1.0 if is_sharp else _BLUNT_WORTH
        self.flatness = max(line.sharpness, 1.0) if line.sharpness <= SHARPNESS_MAX else 1.0
        self._compare(self.half_ns, self.p_hh)
        if not is_sharp:
            return False
        variance, skew_variance = self._sureness(line, time_s)
        detour = self._detour(line.half_ns)
        if skew_variance >= self.p_ss or variance + detour >= self.p_xx + self.detour_variance:
            return False
        self.take(line, time_s)
        return True

    def take(self, line: LineFit, time_s: float) -> None:
        """Start anew from a line, whatever was believed before."""
        age = time_s - line.time_s
        self._compare(line.half_ns, line.offset_variance)
        self.p_xx, self.p_ss = self._sureness(line, time_s)
        self.p_dd = self._wander**2
        self.offset_ns, self.half_ns = line.offset_ns + age * line.skew, line.half_ns
        self.skew, self.drift = line.skew, 0.0
        self.p_xs = age * line.skew_variance
        self.p_hh = line.offset_variance
        self.p_xh = self.p_xd = self.p_hs = self.p_hd = self.p_sd = 0.0
        self.up_mean_ns = line.up_excess_ns / self.flatness
        self.down_mean_ns = line.down_excess_ns / self.flatness
        # The line was believed because the edge is sharp: to a tenth of the waiting above it.
        self.up_variance = max(0.1 * line.up_excess_ns, self._floor_ns) ** 2
        self.down_variance = max(0.1 * line.down_excess_ns, self._floor_ns) ** 2

    def _compare(self, half_ns: float, variance: float) -> None:
        """Hold half of a shortest round trip against the least one there was."""
        surely_ns = half_ns + _SURE * math.sqrt(max(variance, 0.0))
        self._least_half_ns = min(self._least_half_ns, surely_ns)
        self.detour_variance = self._detour(half_ns)

    def _detour(self, half_ns: float) -> float:
        """Return the variance of the offset due to a round trip that is longer than it was.

        If all of the extra time is spent on one way, the middle is off by half of it either way;
        anything between is as likely (GUM 4.3.7). It may have come in a leap or in a day.
        """
        longer_ns = half_ns - min(self._least_half_ns, half_ns)
        return longer_ns * longer_ns / 3

    def _sureness(self, line: LineFit, time_s: float) -> tuple[float, float]:
        """Return the variances of offset and rate that a line gives at a time.

        A rate that drifts by `wander` bends the line: by span / 2 of it in rate, span^2 / 8 in
        offset.
        """
        age, bend = time_s - line.time_s, self._wander * line.span_s
        return (
            line.offset_variance + age * age * line.skew_variance + (bend * line.span_s / 8) ** 2,
            line.skew_variance + (bend / 2) ** 2,
        )

    def _way(
        self, sign: float, measured_ns: float, mean_ns: float, noise: float, gain: float
    ) -> tuple[float, float]:
        """Take one way; return the new mean of its waiting and variance of its noise."""
        x = sign * self.p_xx + self.p_xh
        h = sign * self.p_xh + self.p_hh
        s = sign * self.p_xs + self.p_hs
        d = sign * self.p_xd + self.p_hd
        total = max(sign * x + h, 0.0) + noise
        ahead = measured_ns - sign * self.offset_ns - self.half_ns
        deviation = math.sqrt(total)
        # As in `Hull.edge_scale`: what counts is how dense the delays are at the edge.
        pull = total / (mean_ns * self.flatness)
        rate, kappa = truncation((ahead - pull) / deviation)
        shift = pull - deviation * rate
        weight = shift / total
        self.offset_ns += weight * x
        self.half_ns += weight * h
        self.skew += weight * s
        self.drift += weight * d
        k = self.worth * (1 - kappa) / total
        self.p_xx = max(self.p_xx - k * x * x, 0.0)
        self.p_xh -= k * x * h
        self.p_xs -= k * x * s
        self.p_xd -= k * x * d
        self.p_hh = max(self.p_hh - k * h * h, 0.0)
        self.p_hs -= k * h * s
        self.p_hd -= k * h * d
        self.p_ss = max(self.p_ss - k * s * s, 0.0)
        self.p_sd -= k * s * d
        self.p_dd = max(self.p_dd - k * d * d, 0.0)
        seen = (weight * noise) ** 2 + noise - k * noise * noise
        floor_ns = self._floor_ns
        waited = min(ahead - shift, _LONG * mean_ns)
        return (
            max(mean_ns + gain * (waited - mean_ns), floor_ns),
            max(noise + gain * (seen - noise), floor_ns * floor_ns),
        )
