"""Physics where it is known: a mean from equations, and a twin of what the equations leave.

    y_t = f(u_t, p) + residual_t

f is a `Mean`: outputs from inputs u and parameters p, units stated. Two are here: `FunctionMean`,
any Python function (an algebraic law, or an ODE it integrates itself), and `FmuMean`
(gateway/lifecycle/fmu_mean.py), an FMI 2.0 co-simulation. p minimises the squared residuals, each
output in units of its own deviation and soft beyond three of them, so that spikes do not bend the
physics.

Standard errors are those of the sandwich  H^-1 (sum over blocks g_b g_b') H^-1,  with g_b the
gradient of one block of neighbouring rows: rows that go together do not pass for many.

`hybrid` then fits a TwinModel to [residual, inputs]: what the physics misses may depend on the
inputs, on the other outputs and on the past. `explained` says on rows that neither has seen how
much of each output's variance the mean takes away, how much more the learnt part, and what is left.

Left to others: choosing the equations. A parameter that the rows do not determine is an error that
names it, never a number.

Sources: Bates and Watts (1988), Nonlinear Regression Analysis, chapter 2; White (1980),
Econometrica 48 (sandwich); Psichogios and Ungar (1992), AIChE J. 38 (hybrid models).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from gateway.errors import TrainingError
from gateway.models import fit as twin_fit
from gateway.models import twin_model
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

_BLOCKS: Final = 30
"""Blocks of neighbouring rows for the sandwich; each must be longer than rows remember."""
_SOFT: Final = 3.0
"""Deviations from which a residual counts less than squared."""
_PASSES: Final = 3
_FLAT: Final = 1e-7
"""Singular value, relative to the largest, below which parameters cannot be told apart."""


class Channel(NamedTuple):
    """An input or output and its unit."""

    name: str
    unit: str


class Parameter(NamedTuple):
    """What is to be found: where the search starts and between what it stays, in `unit`."""

    name: str
    unit: str
    start: float
    low: float
    high: float


class Mean(Protocol):
    """Equations: outputs (n, outputs) from inputs (n, inputs) and parameter values (parameters,).

    Rows are one period apart; all values in the units of the channels.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def inputs(self) -> tuple[Channel, ...]:
        """In the order of the columns."""

    @property
    def outputs(self) -> tuple[Channel, ...]:
        """In the order of the columns."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of the values."""

    def __call__(self, inputs: Floats, values: Floats) -> Floats:
        """Return the outputs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionMean:
    """A Python function `law(inputs (n, i), values (p,)) -> outputs (n, o)` as a `Mean`."""

    name: str
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    parameters: tuple[Parameter, ...]
    law: Callable[[Floats, Floats], Floats]

    def __call__(self, inputs: Floats, values: Floats) -> Floats:
        """Return the outputs."""
        return self.law(inputs, values)


class Estimated(NamedTuple):
    """Parameters of a mean as rows determine them."""

    values: Floats
    """(parameters,)."""
    standard_errors: Floats
    """(parameters,): in each parameter's unit; NaN for one that stands at its bound."""
    at_bound: tuple[str, ...]
    """Parameters that stopped at a bound: widen it, or doubt the equations."""
    deviation: Floats
    """(outputs,): of what is left, in each output's unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid:
    """A mean with its parameters, and the twin of [residual, inputs]."""

    mean: Mean
    estimated: Estimated
    residual: TwinModel


class Share(NamedTuple):
    """Parts of one output's variance on rows that nothing was learnt from; they sum to 1."""

    output: str
    by_mean: float
    by_learnt: float
    """Negative if the learnt part makes it worse: then it should not be used."""
    left: float


def outputs_of(mean: Mean, inputs: Floats, values: Floats) -> Floats:
    """Return the mean's outputs (n, o), checked.

    Raises:
        TrainingError: inputs of the wrong width, or outputs of the wrong shape or not finite.
    """
    names = ", ".join(channel.name for channel in mean.inputs)
    if inputs.ndim != 2 or inputs.shape[1] != len(mean.inputs):
        raise TrainingError(
            mean.name, f"inputs have shape {inputs.shape}", f"give rows of {names or 'no inputs'}"
        )
    outputs = np.asarray(mean(inputs, values), dtype=np.float64)
    if outputs.shape != (len(inputs), len(mean.outputs)):
        raise TrainingError(
            mean.name,
            f"the law returned shape {outputs.shape}, not {(len(inputs), len(mean.outputs))}",
            "return one row for each row of inputs, one column for each output",
        )
    bad = np.argwhere(~np.isfinite(outputs))
    if len(bad):
        said = ", ".join(
            f"{parameter.name} = {value:g} {parameter.unit}"
            for parameter, value in zip(mean.parameters, values, strict=True)
        )
        raise TrainingError(
            mean.name,
            f"output {mean.outputs[bad[0, 1]].name} is not finite at row {bad[0, 0]} with {said}",
            "narrow the bounds of the parameters, or guard the law",
        )
    return outputs


def estimate(mean: Mean, inputs: Floats, rows: Floats) -> Estimated:
    """Find the parameters from inputs (n, i) and measured outputs (n, o), NaN = missing output.

    Raises:
        TrainingError: the law fails (see `outputs_of`), rows are too few, or a parameter is not
            determined by them; the message names it.
    """
    seen = np.isfinite(rows)
    _check_rows(mean, inputs, rows, seen)
    if not mean.parameters:
        return _left_over(
            np.zeros(0), np.zeros(0), (), rows - outputs_of(mean, inputs, np.zeros(0))
        )
    start, low, high = (
        np.array([getattr(parameter, field) for parameter in mean.parameters])
        for field in ("start", "low", "high")
    )
    reach = high - low
    deviation = np.maximum(np.nanstd(rows, axis=0), 1e-12)
    place = np.clip((start - low) / reach, 1e-6, 1.0 - 1e-6)
    # The first passes only learn how far rows are from the law, which weighs the last one.
    for _ in range(_PASSES):
        found = least_squares(
            lambda where, scale=deviation: _residuals(
                mean, inputs, rows, low + where * reach, scale
            ),
            place,
            bounds=(0.0, 1.0),
            loss="soft_l1",
            f_scale=_SOFT,
            x_scale="jac",
        )
        place = np.clip(found.x, 1e-9, 1.0 - 1e-9)
        residual = rows - outputs_of(mean, inputs, low + found.x * reach)
        deviation = _deviation(residual)
    bound = (found.x < 1e-6) | (found.x > 1.0 - 1e-6)
    # SciPy's slope is scaled for the soft loss; so must the residual be, to make a gradient.
    pull = found.fun * (1.0 + (found.fun / _SOFT) ** 2) ** 0.25
    errors = _standard_errors(mean, found.jac, pull, bound) * reach
    names = tuple(
        parameter.name for parameter, is_at in zip(mean.parameters, bound, strict=True) if is_at
    )
    return _left_over(low + found.x * reach, errors, names, residual)


def hybrid(mean: Mean, inputs: Floats, rows: Floats, *, period_ns: int) -> Hybrid:
    """Estimate the parameters, then learn what the mean leaves of rows (n, o).

    Raises:
        TrainingError: as `estimate`.
        UnfitRowsError: the residual cannot carry a model (gateway/models/fit.py).
    """
    estimated = estimate(mean, inputs, rows)
    residual = rows - outputs_of(mean, inputs, estimated.values)
    channels = (*mean.outputs, *mean.inputs)
    twin = twin_fit.fit(
        np.hstack([residual, inputs]),
        tuple(channel.name for channel in channels),
        tuple(channel.unit for channel in channels),
        period_ns=period_ns,
        asset=mean.name,
    )
    return Hybrid(mean=mean, estimated=estimated, residual=twin)


def expected(model: Hybrid, inputs: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation (n, o) of each output, given inputs, the others and the past.

    An output's own values are not looked at for it. What the twin has no answer for (a residual
    that never varied) is left to the mean, with the deviation of the estimate.
    """
    physics = outputs_of(model.mean, inputs, model.estimated.values)
    residual = np.hstack([rows - physics, inputs])
    learnt, spread = np.empty_like(physics), np.empty_like(physics)
    for place, channel in enumerate(model.mean.outputs):
        told = twin_model.virtual(model.residual, residual, [channel.name])
        learnt[:, place], spread[:, place] = told.mean[:, 0], told.deviation[:, 0]
    known = np.isfinite(learnt)
    return (
        physics + np.where(known, learnt, 0.0),
        np.where(known, spread, model.estimated.deviation),
    )


def explained(model: Hybrid, inputs: Floats, rows: Floats) -> tuple[Share, ...]:
    """Return what each part explains of held-out rows (n, o), about the mean of those rows."""
    physics = outputs_of(model.mean, inputs, model.estimated.values)
    whole, _ = expected(model, inputs, rows)
    total = np.nanvar(rows, axis=0)
    after_mean = np.nanmean((rows - physics) ** 2, axis=0) / total
    after_both = np.nanmean((rows - whole) ** 2, axis=0) / total
    return tuple(
        Share(channel.name, 1.0 - float(one), float(one - both), float(both))
        for channel, one, both in zip(model.mean.outputs, after_mean, after_both, strict=True)
    )


def report(model: Hybrid, shares: Sequence[Share]) -> str:
    """Return parameters with their errors, and who explains how much, as lines of text."""
    lines = []
    estimated = model.estimated
    for parameter, value, error in zip(
        model.mean.parameters, estimated.values, estimated.standard_errors, strict=True
    ):
        doubt = "at its bound" if parameter.name in estimated.at_bound else f"+- {error:.2g}"
        lines.append(f"{parameter.name} = {value:.6g} {doubt} {parameter.unit}".rstrip())
    lines += [
        f"{share.output}: mean {share.by_mean:.1%}, learnt {share.by_learnt:.1%}, "
        f"left {share.left:.1%}"
        for share in shares
    ]
    return "\n".join(lines)


def _check_rows(mean: Mean, inputs: Floats, rows: Floats, seen: NDArray[np.bool_]) -> None:
    """Refuse rows that do not fit the mean, or say less than its parameters need."""
    if rows.ndim != 2 or rows.shape != (len(inputs), len(mean.outputs)):
        names = ", ".join(channel.name for channel in mean.outputs)
        raise TrainingError(
            mean.name,
            f"measured outputs have shape {rows.shape}",
            f"give {len(inputs)} rows of {names}",
        )
    bad = np.argwhere(~np.isfinite(inputs))
    if len(bad):
        raise TrainingError(
            mean.name,
            f"input {mean.inputs[bad[0, 1]].name} has no value at row {bad[0, 0]}",
            "fill the gaps of the inputs (twin_model.impute) or leave those rows out",
        )
    for place, channel in enumerate(mean.outputs):
        if seen[:, place].sum() < 2 * _BLOCKS + len(mean.parameters):
            raise TrainingError(
                mean.name,
                f"output {channel.name} has {int(seen[:, place].sum())} values",
                f"at least {2 * _BLOCKS + len(mean.parameters)} are needed",
            )


def _deviation(residual: Floats) -> Floats:
    """Return how far rows (n, o) usually are from their median, as a Gaussian's deviation (o,)."""
    middle = np.nanmedian(np.abs(residual - np.nanmedian(residual, axis=0)), axis=0) / 0.6745
    deviation: Floats = np.maximum(
        np.where(middle > 0.0, middle, np.nanstd(residual, axis=0)), 1e-12
    )
    return deviation


def _residuals(mean: Mean, inputs: Floats, rows: Floats, values: Floats, scale: Floats) -> Floats:
    """Return scaled residuals (n * o,); a missing one is 0."""
    residual: Floats = np.nan_to_num((rows - outputs_of(mean, inputs, values)) / scale).ravel()
    return residual


def _standard_errors(
    mean: Mean, jacobian: Floats, pull: Floats, bound: NDArray[np.bool_]
) -> Floats:
    """Return the sandwich's errors (p,) of the scaled parameters; NaN at a bound."""
    free = ~bound
    errors = np.full(len(free), np.nan)
    if not free.any():
        return errors
    slope = jacobian[:, free]
    _check_determined(mean, slope, free)
    inverse = np.linalg.inv(slope.T @ slope)
    blocks = np.array_split(slope * pull[:, None], _BLOCKS)
    scores = np.stack([block.sum(axis=0) for block in blocks])
    sandwich = inverse @ (scores.T @ scores) @ inverse * _BLOCKS / (_BLOCKS - 1)
    errors[free] = np.sqrt(np.diag(sandwich))
    return errors


def _check_determined(mean: Mean, slope: Floats, free: NDArray[np.bool_]) -> None:
    """Refuse parameters whose effects on the rows (n * o, free) are none, or the same."""
    effects = np.linalg.norm(slope, axis=0)
    _, sizes, axes = np.linalg.svd(
        slope / np.where(effects > 0.0, effects, 1.0), full_matrices=False
    )
    if sizes[-1] > _FLAT * sizes[0]:
        return
    parts = np.abs(axes[-1]) if effects.all() else (effects == 0.0).astype(np.float64)
    names = [mean.parameters[place].name for place in np.flatnonzero(free)]
    mixed = [name for name, part in zip(names, parts, strict=True) if part > 0.1]
    raise TrainingError(
        mean.name,
        f"the rows do not determine {' and '.join(mixed)}",
        "fix one of them, or record rows in which the inputs vary more",
    )


def _left_over(
    values: Floats, errors: Floats, at_bound: tuple[str, ...], residual: Floats
) -> Estimated:
    """Return the estimate with what is left of each output (n, o)."""
    return Estimated(values, errors, at_bound, np.sqrt(np.nanmean(residual**2, axis=0)))
