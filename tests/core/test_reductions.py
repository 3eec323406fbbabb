"""The five reductions mean the same everywhere, and agree with each other."""

import itertools

import pytest
import torch

import fastvae
from tests.support.backends import on_each
from tests.support.ops import COUNT_LOSSES, LOSSES, OPS
from tests.support.oracle import evaluate

REDUCING = [name for name, op in OPS.items() if op.reduces]
# A batch has one dimension where a pixel has channels behind it.
BATCH_DIMS = [name for name in REDUCING if name != "discretized_logistic_mixture_nll"]
SHAPES = [(7,), (6, 37), (3, 5, 701), (2, 3, 4, 5), (4, 2048), (300, 7)]


def loss_of(name, operands, **options):
    """The op's loss: the last of its outputs."""
    return list(evaluate(OPS[name].call, operands, (), **options).values())[-1]


def cases():
    return [(n, s) for n in REDUCING for s in SHAPES if len(s) > 1 or "kl_" not in n]


OF_REFERENCE = [pytest.param("reference", case, id=f"reference-{case[0]}-{case[1]}") for case in cases()]


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(cases(), itertools.product(REDUCING, [(6, 37), (4, 2048)])) + OF_REFERENCE,
    indirect=["backend"],
)
def test_they_agree(backend, case):
    name, shape = case
    operands = OPS[name].operands(shape, torch.float64)
    whole = loss_of(name, operands, reduction="none")
    found = {how: loss_of(name, operands, reduction=how) for how in ("sample", "sum", "mean", "batchmean")}
    assert whole.shape == shape
    expected = {
        "sample": whole.reshape(shape[0], -1).sum(1),
        "sum": whole.sum(),
        "mean": whole.mean(),
        "batchmean": whole.sum() / shape[0],
    }
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch_dims", [1, 2, 3, 4])
@pytest.mark.parametrize("name", BATCH_DIMS)
@pytest.mark.usefixtures("backend")
def test_batch_dims(name, batch_dims):
    operands = OPS[name].operands((2, 3, 4, 5), torch.float64)
    whole = loss_of(name, operands, reduction="none")
    sample = loss_of(name, operands, reduction="sample", batch_dims=batch_dims)
    batchmean = loss_of(name, operands, reduction="batchmean", batch_dims=batch_dims)
    batch = whole.shape[:batch_dims]
    torch.testing.assert_close(sample, whole.reshape(*batch, -1).sum(-1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(batchmean, whole.sum() / batch.numel(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "sample", "sum", "mean", "batchmean"])
@pytest.mark.parametrize("name", REDUCING)
def test_gradients_carry_the_factor(name, reduction):
    op = OPS[name]
    operands = op.operands((6, 37), torch.float64)
    factor = {"mean": 1 / (6 * 37), "batchmean": 1 / 6}.get(reduction, 1.0)

    def loss_alone(tensors, **options):
        outputs = op.call(tensors, **options)
        return outputs[-1] if isinstance(outputs, tuple) else outputs

    results = evaluate(loss_alone, operands, op.wanted, reduction=reduction)
    expected = evaluate(loss_alone, operands, op.wanted, reduction="none")
    for key in op.wanted:
        key = f"gradient of {key}"
        torch.testing.assert_close(results[key], factor * expected[key], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("gaussian_kl", "batchmean"),
        ("reparameterize_kl", "batchmean"),
        ("reparameterize_kl_packed", "batchmean"),
        ("log_normal", "sample"),
        *((loss, "batchmean" if loss in COUNT_LOSSES else "mean") for loss in LOSSES),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_defaults(name, default, backend):
    operands = OPS[name].operands((6, 37), torch.float32)
    with fastvae.use_backend(backend):
        assert torch.equal(loss_of(name, operands), loss_of(name, operands, reduction=default))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "mean", "batchmean"])
def test_the_scalar_ops_also_return_the_sums_of_each_sample(loss, reduction, kernels):
    """What the modules log beside the loss: no gradient, no second pass."""
    from fastvae._autograd.reconstruction import reconstruction_with_samples
    from fastvae._options import ReconstructionOptions

    t = OPS[loss].operands((3, 4100), torch.float32)
    t["input"].requires_grad_()
    options = ReconstructionOptions(loss, loss in COUNT_LOSSES, reduction, 1)  # full, as is the default of those
    value, samples = reconstruction_with_samples(t["input"], t["target"], t["weight"], t.get("log_scale"), options)
    assert value.requires_grad
    assert not samples.requires_grad
    assert torch.equal(samples, OPS[loss].call(t, reduction="sample").detach())
    alone = OPS[loss].call(t, reduction=reduction)
    # Where the samples are not asked for, Triton sums in one row.
    torch.testing.assert_close(value, alone, rtol=3e-7 if kernels == "triton" else 0, atol=0)
