"""What the ops are given: a row a regime, each a distribution for every input, the ordinary one first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.accuracy.draws import (
    Draw,
    among,
    counts,
    levels,
    log_of,
    logistics,
    near,
    normal,
    one_minus,
    signed,
    spread,
    uniform,
)  # fmt: skip

Regimes = Mapping[str, Mapping[str, Draw]]
ORDINARY: Final = "ordinary"
MIXTURES: Final = 10
_UNIT: Final = uniform(0, 1)
_BITS: Final = among(0, 1)

POSTERIORS: Final[Regimes] = {
    ORDINARY: {"mu": normal(), "scale": uniform(-3, 1)},
    "1e-6 to 1e-2 from the prior": {"mu": signed(1e-6, 1e-2), "scale": signed(1e-6, 1e-2)},
    "log variance to +-80": {"mu": normal(), "scale": signed(20, 80)},
    "variance underflows": {"mu": signed(1e-3, 1e3), "scale": uniform(-300, -88)},
}
PRIORS: Final[Regimes] = {
    ORDINARY: {"mu": normal(), "scale": uniform(-3, 1), "prior_mu": normal(), "prior_scale": uniform(-1, 1)},
    "1e-6 to 1e-2 from the prior": {
        "prior_mu": normal(), "prior_scale": uniform(-1, 1),
        "mu": near("prior_mu", signed(1e-6, 1e-2)), "scale": near("prior_scale", signed(1e-6, 1e-2)),
    },
    "log variances to +-80": {
        "mu": normal(), "scale": uniform(-80, 80), "prior_mu": normal(), "prior_scale": uniform(-80, 80),
    },
    "variances underflow": {
        "mu": signed(1e-20, 1e-18), "scale": uniform(-100, -88), "prior_mu": signed(1e-20, 1e-18),
        "prior_scale": uniform(-100, -88),
    },
}  # fmt: skip
SAMPLES: Final[Regimes] = {
    name: {**POSTERIORS[name], "eps": normal()} for name in (ORDINARY, "log variance to +-80", "variance underflows")
}
BOTH: Final[Regimes] = {name: {**draws, "eps": normal()} for name, draws in POSTERIORS.items()}
LOGITS: Final[Regimes] = {
    ORDINARY: {"input": normal(2), "target": _UNIT},
    "logits 1e-6 to 1e-3": {"input": signed(1e-6, 1e-3), "target": _UNIT},
    "logits 10 to 1e4, targets 0 or 1": {"input": signed(10, 1e4), "target": _BITS},
    "logits 10 to 1e4": {"input": signed(10, 1e4), "target": _UNIT},
}
PROBABILITIES: Final[Regimes] = {
    ORDINARY: {"input": uniform(0.01, 0.99), "target": _UNIT},
    "1e-11 to 1e-3 from 0": {"input": spread(1e-11, 1e-3), "target": _BITS},
    "1e-7 to 1e-3 from 1": {"input": one_minus(spread(1e-7, 1e-3)), "target": _BITS},
}
DISTANCES: Final[Regimes] = {
    ORDINARY: {"input": normal(), "target": normal()},
    "1e-6 to 1e-3 apart": {"input": normal(), "target": near("input", signed(1e-6, 1e-3))},
    "1e10 to 1e18 apart": {"input": signed(1e10, 1e18), "target": signed(1e10, 1e18)},
}
GAUSSIANS: Final[Regimes] = {
    ORDINARY: {"input": normal(), "target": normal(), "log_scale": uniform(-1, 1)},
    "log scale -12 to -4": {
        "input": normal(), "target": near("input", signed(1e-4, 1e-1)), "log_scale": uniform(-12, -4),
    },
    "log scale -43 to -20": {
        "input": signed(1e-12, 1e-9), "target": signed(1e-12, 1e-9), "log_scale": uniform(-43, -20),
    },
    "log scale 5 to 43": {"input": normal(100), "target": normal(100), "log_scale": uniform(5, 43)},
}  # fmt: skip
LOG_RATES: Final[Regimes] = {
    ORDINARY: {"log_rate": uniform(-2, 3), "target": counts(0, 30)},
    "counts 0 to 3": {"log_rate": uniform(-2, 1), "target": among(0, 1, 2, 3)},
    "counts 1e3 to 65,535, fitted": {"target": counts(1e3, 65535), "log_rate": log_of("target", normal(0.02))},
    "log rate to +-80": {"log_rate": uniform(-80, 80), "target": counts(0, 65535)},
}
RATES: Final[Regimes] = {
    ORDINARY: {"rate": spread(0.1, 20), "target": counts(0, 30)},
    "rate 1e-8 to 1e-3": {"rate": spread(1e-8, 1e-3), "target": among(0, 1, 2, 3)},
    "counts 1e3 to 65,535, fitted": {"target": counts(1e3, 65535), "rate": near("target", normal(100))},
}
COUNTS: Final[Regimes] = {
    ORDINARY: {"mean": spread(0.1, 50), "inverse_dispersion": spread(0.1, 20), "target": counts(0, 50)},
    "theta 1e-8 to 1e-3": {
        "mean": spread(0.1, 50), "inverse_dispersion": spread(1e-8, 1e-3), "target": counts(0, 50),
    },
    "theta 1e4 to 1e8": {"mean": spread(0.1, 50), "inverse_dispersion": spread(1e4, 1e8), "target": counts(0, 50)},
    "mean 1e-6 to 1e-2": {"mean": spread(1e-6, 1e-2), "inverse_dispersion": spread(0.1, 20), "target": counts(0, 9)},
    "mean to 1e6, counts to 65,535": {
        "mean": spread(1e2, 1e6), "inverse_dispersion": spread(0.1, 1e3), "target": counts(0, 65535),
    },
    "counts 1e3 to 65,535, fitted": {
        "target": counts(1e3, 65535), "mean": near("target", normal(100)), "inverse_dispersion": spread(10, 1e6),
    },
}  # fmt: skip
INFLATED: Final[Regimes] = {
    **{
        name: {**COUNTS[name], "zero_inflation_logits": normal()}
        for name in (ORDINARY, "theta 1e4 to 1e8", "mean 1e-6 to 1e-2")
    },
    "logits to +-30": {**COUNTS[ORDINARY], "zero_inflation_logits": uniform(-30, 30)},
    "logits to +-30, all 0": {**COUNTS[ORDINARY], "target": among(0), "zero_inflation_logits": uniform(-30, 30)},
}
PIXELS: Final[Regimes] = {
    ORDINARY: {"params": logistics(uniform(-1, 1), uniform(-4, 0), MIXTURES), "target": levels()},
    "log scale -7 to -5, x far": {
        "params": logistics(uniform(-1, 1), uniform(-7, -5), MIXTURES), "target": levels(),
    },
    "means 2 to 50 away": {"params": logistics(signed(2, 50), uniform(-3, 0), MIXTURES), "target": levels()},
    "levels 0 and 255": {"params": logistics(uniform(-1, 1), uniform(-4, 0), MIXTURES), "target": levels(0, 255)},
    "log scale 5 to 15": {"params": logistics(uniform(-1, 1), uniform(5, 15), MIXTURES), "target": levels()},
}  # fmt: skip
POINTS: Final[Regimes] = {
    ORDINARY: {"mu": normal(), "scale": uniform(-3, 1), "z": near("mu", normal())},
    "variance 1e-24 to 1e-13": {
        "mu": signed(1e-12, 1e-6), "scale": uniform(-55, -30), "z": signed(1e-12, 1e-6),
    },
    "variance underflows": {"mu": signed(1e-20, 1e-18), "scale": uniform(-100, -88), "z": signed(1e-20, 1e-18)},
    "log variance 20 to 80": {"mu": normal(1e3), "scale": uniform(20, 80), "z": normal(1e3)},
}  # fmt: skip
COMPONENTS: Final[Regimes] = {
    ORDINARY: {"z": normal(), "mu": normal(), "scale": uniform(-2, 1), "log_weights": normal()},
    "all components far": {"z": normal(), "mu": signed(1e2, 1e3), "scale": uniform(-2, 0), "log_weights": normal()},
    "weights e^-50 to e^50": {"z": normal(), "mu": normal(), "scale": uniform(-2, 1), "log_weights": uniform(-50, 50)},
    "variances underflow": {
        "z": signed(1e-20, 1e-19), "mu": signed(1e-20, 1e-19), "scale": uniform(-92, -88), "log_weights": normal(),
    },
}  # fmt: skip
BATCHES: Final[Regimes] = {
    ORDINARY: {"mu": normal(), "scale": uniform(-4, 0), "z": near("mu", normal(0.3))},
    "posteriors 1e2 to 1e4 apart": {"mu": signed(1e2, 1e4), "scale": uniform(-4, 0), "z": near("mu", normal(0.3))},
    "collapsed": {"mu": signed(1e-4, 1e-2), "scale": signed(1e-4, 1e-2), "z": normal()},
    "variances underflow": {"mu": signed(1e-20, 1e-19), "scale": uniform(-92, -88), "z": signed(1e-20, 1e-19)},
}
WEIGHTS: Final[Regimes] = {
    ORDINARY: {"log_w": uniform(-4, 0)},
    "around -1e4": {"log_w": normal(2, mean=-1e4)},
    "0 to -1e4": {"log_w": uniform(-1e4, 0)},
}
WHOLE: Final[Regimes] = {
    name: {"recon_x": uniform(0.01, 0.99), "x": _UNIT, "mu": draws["mu"], "logvar": draws["scale"]}
    for name, draws in POSTERIORS.items()
    if name in (ORDINARY, "1e-6 to 1e-2 from the prior")
}
