"""Each bad argument is named, with what it got and what it takes, under both backends."""

import math

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import fastvae
import fastvae.functional as F
from tests.support import ops

MU = torch.zeros(4, 6)
NONE = torch.zeros(0, 6)
MANY = torch.zeros(())  # an operand of rank 0
META = torch.zeros(4, 6, device="meta")
ONE = torch.ones(4, 6)
UNIT = torch.zeros(1)
KL_OPS = {
    "gaussian_kl": lambda mu=MU, scale=MU, prior=None, **options: F.gaussian_kl(mu, scale, prior, **options),
    "reparameterize_kl": lambda mu=MU, scale=MU, prior=None, **options: F.reparameterize_kl(
        mu, scale, prior, **options
    ),
}
SAMPLERS = {
    "reparameterize": lambda mu=MU, scale=MU, **options: F.reparameterize(mu, scale, **options),
    "reparameterize_kl": KL_OPS["reparameterize_kl"],
}
POSTERIORS = {**SAMPLERS, **KL_OPS}
PACKED = {"reparameterize_kl_packed": lambda moments=MU, **options: F.reparameterize_kl_packed(moments, **options)}
LOSSES = {
    name: lambda input=ONE, target=ONE, name=name, **options: getattr(F, name)(input, target, **options)
    for name in ops.LOSSES
}
SCALED_LOSSES = {
    name: lambda input=ONE, target=ONE, log_scale=UNIT, name=name, **options: getattr(F, name)(
        input, target, log_scale, **options
    )
    for name in ops.SCALED_LOSSES
}
LOSSES |= SCALED_LOSSES
POISSONS = {name: LOSSES[name] for name in ("poisson_nll", "poisson_nll_of_rate")}
OTHER_LOSSES = {name: call for name, call in LOSSES.items() if name not in POISSONS}
OVERWRITING = {name: LOSSES[name] for name in ops.OVERWRITING_LOSSES}
COUNTS = {
    "negative_binomial_nll": lambda mean=ONE, target=ONE, dispersion=ONE, **options: F.negative_binomial_nll(
        mean, target, dispersion, **options
    )
}
PAIRS = {
    "minibatch_log_densities": lambda z=MU, mu=MU, scale=MU, dataset_size=9, **options: F.minibatch_log_densities(
        z, mu, scale, dataset_size=dataset_size, **options
    )
}
WHOLE = {
    "vae_loss": lambda recon_x=ONE, x=ONE, mu=MU, logvar=MU, **options: F.vae_loss(recon_x, x, mu, logvar, **options)
}
DENSITIES = {"log_normal": lambda z=MU, mu=None, scale=None, **options: F.log_normal(z, mu, scale, **options)}
BOUNDS = {"importance_weighted_bound": lambda log_w=MU, **options: F.importance_weighted_bound(log_w, **options)}
SCALED = {**POSTERIORS, **PACKED, **DENSITIES}
REDUCING = {**KL_OPS, **PACKED, **LOSSES, **DENSITIES}
EVERY = {**POSTERIORS, **PACKED, **LOSSES, **DENSITIES, **BOUNDS}
NOISY = {**SAMPLERS, **PACKED}

# Ops, bad arguments, the exception, the argument its message names.
BAD = [
    (POSTERIORS, {"mu": [0.0]}, TypeError, "mu"),
    (POSTERIORS, {"mu": MU.long()}, TypeError, "mu"),
    (POSTERIORS, {"mu": MU.to(torch.complex64)}, TypeError, "mu"),
    (POSTERIORS, {"mu": MANY, "scale": MANY}, ValueError, "mu"),
    (POSTERIORS, {"scale": None}, TypeError, "scale"),
    (POSTERIORS, {"scale": torch.zeros(6)}, ValueError, "scale"),
    (POSTERIORS, {"scale": MU.double()}, TypeError, "scale"),
    (POSTERIORS, {"scale": META}, ValueError, "scale"),
    (SCALED, {"parameterization": "sigma"}, ValueError, "parameterization"),
    (SCALED, {"parameterization": None}, ValueError, "parameterization"),
    (SCALED, {"parameterization": ["logvar"]}, ValueError, "parameterization"),
    (SCALED, {"clamp": (0, 10**400)}, ValueError, "clamp"),
    (SCALED, {"clamp": (math.inf, math.inf)}, ValueError, "clamp"),
    (SCALED, {"clamp": (-math.inf, -math.inf)}, ValueError, "clamp"),
    (SCALED, {"min_std": torch.ones(2)}, ValueError, "min_std"),
    (SCALED, {"min_var": 10**400}, ValueError, "min_var"),
    (SCALED, {"clamp": (1.0, -1.0)}, ValueError, "clamp"),
    (SCALED, {"clamp": (0.0, float("nan"))}, ValueError, "clamp"),
    (SCALED, {"clamp": (1.0,)}, ValueError, "clamp"),
    (SCALED, {"clamp": 3.0}, (TypeError, ValueError), "clamp"),
    (SCALED, {"clamp": ("a", "b")}, (TypeError, ValueError), "clamp"),
    (SCALED, {"min_std": -0.1}, ValueError, "min_std"),
    (SCALED, {"min_std": float("inf")}, ValueError, "min_std"),
    (SCALED, {"min_std": "small"}, (TypeError, ValueError), "min_std"),
    (SCALED, {"min_var": float("nan")}, ValueError, "min_var"),
    (SCALED, {"min_var": None}, (TypeError, ValueError), "min_var"),
    (SCALED, {"min_std": 0.1, "min_var": 0.1}, ValueError, "min_std, min_var"),
    (SCALED, {"min_std": 0.1, "parameterization": "std"}, ValueError, "min_std"),
    (REDUCING, {"reduction": "average"}, ValueError, "reduction"),
    (REDUCING, {"reduction": None}, ValueError, "reduction"),
    (REDUCING, {"reduction": ["sum"]}, ValueError, "reduction"),
    (REDUCING, {"reduction": np.array(["sum", "mean"])}, ValueError, "reduction"),
    (REDUCING, {"batch_dims": 0}, ValueError, "batch_dims"),
    (REDUCING, {"batch_dims": 3}, ValueError, "batch_dims"),
    (REDUCING, {"batch_dims": 1.5}, ValueError, "batch_dims"),
    (REDUCING, {"batch_dims": True}, ValueError, "batch_dims"),
    (REDUCING, {"batch_dims": "1"}, ValueError, "batch_dims"),
    (KL_OPS, {"prior": MU}, TypeError, "prior"),
    (KL_OPS, {"prior": (MU,)}, TypeError, "prior"),
    (KL_OPS, {"prior": (MU, MU, MU)}, TypeError, "prior"),
    (KL_OPS, {"prior": (MU, 1.0)}, TypeError, "prior"),
    (KL_OPS, {"prior": (MU.long(), MU)}, TypeError, "prior"),
    (KL_OPS, {"prior": (MU, torch.zeros(4))}, ValueError, "prior"),
    (KL_OPS, {"prior": (torch.zeros(2, 4, 6), MU)}, ValueError, "prior"),
    (KL_OPS, {"prior": (META, MU)}, ValueError, "prior"),
    (PACKED, {"prior": (MU, MU)}, ValueError, "prior"),
    (PACKED, {"moments": None}, TypeError, "moments"),
    (PACKED, {"moments": MU.int()}, TypeError, "moments"),
    (PACKED, {"moments": torch.zeros(6)}, ValueError, "moments"),
    (PACKED, {"moments": torch.zeros(4, 5)}, ValueError, "moments"),
    (PACKED, {"dim": 0}, ValueError, "dim"),
    (PACKED, {"dim": -2}, ValueError, "dim"),
    (PACKED, {"dim": 2}, ValueError, "dim"),
    (PACKED, {"dim": 1.0}, ValueError, "dim"),
    (PACKED, {"dim": None}, ValueError, "dim"),
    (PACKED, {"interleaved": "no"}, TypeError, "interleaved"),
    (NOISY, {"num_samples": 0}, ValueError, "num_samples"),
    (NOISY, {"num_samples": -1}, ValueError, "num_samples"),
    (NOISY, {"num_samples": True}, ValueError, "num_samples"),
    (NOISY, {"num_samples": 1.5}, ValueError, "num_samples"),
    (NOISY, {"num_samples": 2**62}, ValueError, "num_samples"),
    (NOISY, {"num_samples": 2**70}, ValueError, "num_samples"),
    (SAMPLERS, {"mu": NONE, "scale": NONE, "seed": 0, "shard": (0, 2**63)}, ValueError, "shard"),
    (SAMPLERS, {"mu": NONE, "scale": NONE, "seed": 0, "num_samples": 2**63}, ValueError, "num_samples"),
    (NOISY, {"seed": 1.5}, TypeError, "seed"),
    (NOISY, {"seed": True}, TypeError, "seed"),
    (NOISY, {"seed": 2**63}, ValueError, "seed"),
    (NOISY, {"seed": -(2**63) - 1}, ValueError, "seed"),
    (NOISY, {"seed": torch.zeros(1)}, TypeError, "seed"),
    (NOISY, {"seed": torch.zeros(2, dtype=torch.int64)}, TypeError, "seed"),
    (NOISY, {"seed": torch.zeros(1, dtype=torch.int64, device="meta")}, ValueError, "seed"),
    (NOISY, {"generator": 1}, TypeError, "generator"),
    (NOISY, {"eps": 1.0}, TypeError, "eps"),
    (NOISY, {"eps": torch.zeros(3, 3)}, ValueError, "eps"),
    (NOISY, {"eps": MU.int()}, TypeError, "eps"),
    (NOISY, {"eps": torch.zeros(6)}, ValueError, "eps"),
    (SAMPLERS, {"eps": MU, "num_samples": 2}, ValueError, "eps"),
    (SAMPLERS, {"eps": META}, ValueError, "eps"),
    (SAMPLERS, {"eps": torch.zeros(4, 6, requires_grad=True)}, ValueError, "eps"),
    (SAMPLERS, {"eps": MU, "seed": 1}, ValueError, "eps, seed"),
    (SAMPLERS, {"eps": MU, "generator": torch.Generator()}, ValueError, "eps, generator"),
    (NOISY, {"seed": 1, "generator": torch.Generator()}, ValueError, "seed, generator"),
    (OTHER_LOSSES, {"input": 1.0}, TypeError, "input"),
    (OTHER_LOSSES, {"input": ONE.int()}, TypeError, "input"),
    (OTHER_LOSSES, {"input": MANY, "target": MANY}, ValueError, "input"),
    ({"poisson_nll": POISSONS["poisson_nll"]}, {"input": 1.0}, TypeError, "log_rate"),
    ({"poisson_nll": POISSONS["poisson_nll"]}, {"input": 1.0, "log_input": False}, TypeError, "log_rate"),
    ({"poisson_nll_of_rate": POISSONS["poisson_nll_of_rate"]}, {"input": 1.0}, TypeError, "rate"),
    (POISSONS, {"full": "no"}, TypeError, "full"),
    ({"poisson_nll": POISSONS["poisson_nll"]}, {"log_input": "no"}, TypeError, "log_input"),
    ({"gaussian_nll": LOSSES["gaussian_nll"]}, {"full": "no"}, TypeError, "full"),
    (OVERWRITING, {"inplace": "no"}, TypeError, "inplace"),
    (COUNTS, {"log_input": None}, TypeError, "log_input"),
    (PAIRS, {"dataset_size": 2**63}, ValueError, "dataset_size"),
    (PAIRS, {"weighting": np.array(["mws", "mss"])}, ValueError, "weighting"),
    (WHOLE, {"preset": ["pythae"]}, ValueError, "preset"),
    (WHOLE, {"beta": "1"}, TypeError, "beta"),
    (WHOLE, {"beta": None}, TypeError, "beta"),
    (WHOLE, {"beta": 10**400}, ValueError, "beta"),
    (WHOLE, {"beta": torch.ones(3)}, ValueError, "beta"),
    (WHOLE, {"recon_x": (0, 1)}, TypeError, "recon_x"),
    (WHOLE, {"x": "data"}, TypeError, "x"),
    (WHOLE, {"x": torch.ones(4, 5)}, ValueError, "x"),
    (WHOLE, {"logvar": torch.zeros(4)}, ValueError, "logvar"),
    (WHOLE, {"logvar": 0.0}, TypeError, "logvar"),
    (LOSSES, {"target": None}, TypeError, "target"),
    (LOSSES, {"target": ONE.long()}, TypeError, "target"),
    (LOSSES, {"target": ONE[0]}, ValueError, "target"),
    (LOSSES, {"target": ONE[:1]}, ValueError, "target"),
    (LOSSES, {"target": META}, ValueError, "target"),
    (LOSSES, {"weight": 0.5}, TypeError, "weight"),
    (LOSSES, {"weight": ONE.int()}, TypeError, "weight"),
    (LOSSES, {"weight": torch.ones(4)}, ValueError, "weight"),
    (LOSSES, {"weight": torch.ones(2, 4, 6)}, ValueError, "weight"),
    (LOSSES, {"weight": META}, ValueError, "weight"),
    (LOSSES, {"weight": torch.ones(4, 1, requires_grad=True)}, ValueError, "weight"),
    (SCALED_LOSSES, {"log_scale": 0.0}, TypeError, "log_scale"),
    (SCALED_LOSSES, {"log_scale": torch.zeros(1).int()}, TypeError, "log_scale"),
    (SCALED_LOSSES, {"log_scale": torch.zeros(4)}, ValueError, "log_scale"),
    (SCALED_LOSSES, {"log_scale": META}, ValueError, "log_scale"),
    (DENSITIES, {"z": 1.0}, TypeError, "z"),
    (DENSITIES, {"z": MANY}, ValueError, "z"),
    (DENSITIES, {"mu": MU}, ValueError, "scale"),
    (DENSITIES, {"scale": MU}, ValueError, "mu"),
    (DENSITIES, {"mu": 0.0, "scale": 1.0}, TypeError, "mu"),
    (DENSITIES, {"mu": MU, "scale": MU.int()}, TypeError, "scale"),
    (DENSITIES, {"mu": torch.zeros(4), "scale": MU}, ValueError, "mu"),
    (DENSITIES, {"mu": MU, "scale": META}, ValueError, "scale"),
    (BOUNDS, {"log_w": [1.0]}, TypeError, "log_w"),
    (BOUNDS, {"log_w": MU.int()}, TypeError, "log_w"),
    (BOUNDS, {"log_w": MANY}, ValueError, "log_w"),
    (BOUNDS, {"log_w": torch.zeros(0, 3)}, ValueError, "log_w"),
    (BOUNDS, {"dim": 2}, ValueError, "dim"),
    (BOUNDS, {"dim": -3}, ValueError, "dim"),
    (BOUNDS, {"dim": 0.0}, ValueError, "dim"),
    (BOUNDS, {"dim": True}, ValueError, "dim"),
    (BOUNDS, {"dim": None}, ValueError, "dim"),
]  # fmt: skip


def summary(arguments):
    def short(value):
        return f"{value.dtype}{list(value.shape)}" if isinstance(value, torch.Tensor) else str(value)[:24]

    return ",".join(f"{key}={short(value)}" for key, value in arguments.items())


CASES = [
    pytest.param(call, arguments, error, name, id=f"{op}-{summary(arguments)}")
    for calls, arguments, error, name in BAD
    for op, call in calls.items()
]


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize(("call", "arguments", "error", "name"), CASES)
def test_bad_arguments(call, arguments, error, name, backend):
    with fastvae.use_backend(backend), pytest.raises(error) as caught:
        call(**arguments)
    message = str(caught.value)
    assert message.startswith(name), message
    assert ": got " in message
    assert "; takes " in message


@pytest.mark.parametrize("call", EVERY.values(), ids=EVERY)
def test_a_device_without_kernels_names_the_reference(call):
    with FakeTensorMode():  # which needs no such device
        xpu = torch.zeros(4, 6, device="xpu")
    options = {"log_scale": xpu} if call in SCALED_LOSSES.values() else {}
    message = r"got device xpu.*; takes cpu, cuda or meta\..*use_backend\('reference'\)"
    with pytest.raises(NotImplementedError, match=message):
        call(*[xpu] * (2 if call in (*POSTERIORS.values(), *LOSSES.values()) else 1), **options)


@pytest.mark.parametrize("call", [*POSTERIORS.values(), *LOSSES.values()], ids=[*POSTERIORS, *LOSSES])
def test_the_reference_runs_on_any_device(call):
    options = {"log_scale": META} if call in SCALED_LOSSES.values() else {}
    options |= {"eps": META} if call in SAMPLERS.values() else {}
    with fastvae.use_backend("reference"):
        result = call(META, META, **options)
    assert (result[-1] if isinstance(result, tuple) else result).device.type == "meta"


@pytest.mark.parametrize("name", ["cuda", "cpu", "", None, ["reference"]])
def test_an_unknown_backend(name):
    with pytest.raises(ValueError, match=r"name: got .*; takes one of"), fastvae.use_backend(name):
        pass


def test_use_backend_ends_with_its_block_and_belongs_to_its_thread():
    from concurrent.futures import ThreadPoolExecutor

    def differentiates_twice():
        x = torch.ones(2, 3, requires_grad=True)
        (first,) = torch.autograd.grad(F.mse_loss(x, torch.zeros(2, 3)), x, create_graph=True)
        try:
            first.sum().backward()
        except RuntimeError:
            return False
        return True

    assert not differentiates_twice()
    with fastvae.use_backend("reference"):
        with fastvae.use_backend("auto"):
            assert not differentiates_twice()
        assert differentiates_twice()
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(differentiates_twice).result()
    with pytest.raises(ZeroDivisionError), fastvae.use_backend("reference"):
        raise ZeroDivisionError
    assert not differentiates_twice()


def test_options_are_keyword_only():
    for call in (
        lambda: F.reparameterize(MU, MU, "logvar"),
        lambda: F.gaussian_kl(MU, MU, None, "logvar"),
        lambda: F.reparameterize_kl_packed(MU, None, 1),
        lambda: F.mse_loss(MU, MU, None),
        lambda: F.log_normal(MU, MU, MU, "logvar"),
        lambda: F.importance_weighted_bound(MU, 0),
    ):
        with pytest.raises(TypeError, match="positional"):
            call()


def test_too_many_dimensions_that_do_not_collapse():
    x = torch.zeros((2,) * 17).permute(*range(0, 17, 2), *range(1, 17, 2))
    with pytest.raises(ValueError, match=r"shape: got over 16 dimensions.*takes 16"):
        F.mse_loss(x, torch.zeros((2,) * 17))


def test_a_weight_that_requires_grad_is_a_constant_under_no_grad():
    weight = torch.ones(4, 1, requires_grad=True)
    with torch.no_grad():
        assert F.mse_loss(ONE, 2 * ONE, weight=weight).item() == 1


@pytest.mark.parametrize("options", [{"min_std": 2**70}, {"min_var": 2**70}, {"clamp": (0, 2**70)}], ids=summary)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_an_int_of_any_size_is_its_float(options, backend):
    """Found by fuzzing: the reference gave it to torch, which takes 64 bits."""
    with fastvae.use_backend(backend):
        kl = F.gaussian_kl(MU, MU, **options)
        as_floats = {
            name: tuple(map(float, value)) if name == "clamp" else float(value) for name, value in options.items()
        }
        assert torch.equal(kl, F.gaussian_kl(MU, MU, **as_floats))
