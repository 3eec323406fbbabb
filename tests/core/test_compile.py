"""torch.compile, functorch, checkpointing, autocast: the ops inside torch's own machinery."""

import warnings

import pytest
import torch
from torch.library import opcheck

import fastvae
import fastvae.functional as F
from tests.support.ops import ALL_OPS, LOSSES, PAIRED
from tests.support.oracle import evaluate, leaves, outputs_of
from tests.support.posteriors import posterior

SHAPE = (6, 37)
# What torch warns itself of: Dynamo makes an instance of a Function it traces, inductor imports modules of torch.jit.
pytestmark = [
    pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
]


def options_of(name):
    return {"reduction": "batchmean"} if ALL_OPS[name].reduces else {}


def evaluated(call, name):
    op = ALL_OPS[name]
    return evaluate(call, op.operands(SHAPE, torch.float32), op.wanted, **options_of(name))


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()


def compiled(function, backend="aot_eager", **options):
    return torch.compile(function, fullgraph=True, backend=backend, **options)


@pytest.mark.parametrize("name", ALL_OPS)
def test_compiled_equals_eager(name):
    results, expected = evaluated(compiled(ALL_OPS[name].call), name), evaluated(ALL_OPS[name].call, name)
    for key, value in expected.items():
        # A gradient written in the forward pass rounds its factor elsewhere than one of backward.
        torch.testing.assert_close(results[key], value, rtol=3e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["reparameterize_kl", "binary_cross_entropy_with_logits"])
def test_inductor_equals_eager(name):
    results, expected = evaluated(compiled(ALL_OPS[name].call, "inductor"), name), evaluated(ALL_OPS[name].call, name)
    for key, value in expected.items():
        torch.testing.assert_close(results[key], value, rtol=3e-7, atol=1e-9)


def model(x, weight):
    moments = x @ weight
    z, kl = F.reparameterize_kl_packed(moments)
    return F.binary_cross_entropy_with_logits(z @ weight[:3, :].new_ones(3, 9), x, reduction="batchmean") + kl


def test_compiled_noise_is_eager_noise():
    """The seed is drawn by an op of its own: inductor would rewrite an inlined torch.randint."""
    x, weight = torch.rand(2, 5, 9, generator=torch.Generator().manual_seed(0))[0], torch.full((9, 6), 0.1)
    weight.requires_grad_()
    found = []
    for function in (model, compiled(model), compiled(model, "inductor")):
        torch.manual_seed(3)
        losses = [function(x, weight) for _ in range(3)]
        (gradient,) = torch.autograd.grad(sum(losses), weight)
        found.append((torch.stack(losses).detach(), gradient, torch.get_rng_state()))
    assert found[0][0].unique().numel() == 3
    for other in found[1:]:
        torch.testing.assert_close(other[:2], found[0][:2], rtol=1e-6, atol=1e-6)
        assert torch.equal(other[2], found[0][2])


def test_one_graph_for_every_batch_size():
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    function = torch.compile(model, fullgraph=True, dynamic=True, backend=count)
    for batch in (5, 6, 9):
        x, weight = torch.rand(batch, 9), torch.full((9, 6), 0.1)
        torch.manual_seed(3)
        mine = function(x, weight)
        torch.manual_seed(3)
        torch.testing.assert_close(mine, model(x, weight))
    assert len(graphs) == 1


@pytest.mark.parametrize("reduction", ["none", "sample"])
def test_dynamic_shapes_differentiate(reduction):
    function = compiled(ALL_OPS["gaussian_kl"].call, dynamic=True)
    for shape in ((5, 7), (8, 11)):
        operands = ALL_OPS["gaussian_kl"].operands(shape, torch.float32)
        results = evaluate(function, operands, ("mu", "prior_scale"), reduction=reduction)
        expected = evaluate(ALL_OPS["gaussian_kl"].call, operands, ("mu", "prior_scale"), reduction=reduction)
        torch.testing.assert_close(results, expected)


def test_a_seed_tensor_and_an_int_compile():
    mu, raw = torch.zeros(4, 5), torch.zeros(4, 5)
    function = compiled(lambda seed: F.reparameterize(mu, raw, seed=seed, num_samples=2))
    for seed in (torch.tensor(7), 7):
        assert torch.equal(function(seed), F.reparameterize(mu, raw, seed=7, num_samples=2))


def test_inplace_is_a_permission_the_compiler_need_not_use():
    x, t = torch.randn(4, 5, requires_grad=True), torch.rand(4, 5)

    def loss(x):
        return F.mse_loss(x * 1.5, t, inplace=True)

    (expected,) = torch.autograd.grad(F.mse_loss(x * 1.5, t), x)
    (found,) = torch.autograd.grad(compiled(loss)(x), x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.func.grad(loss)(x.detach()), expected)


def test_the_reference_compiles():
    def loss(mu, raw):
        with fastvae.use_backend("reference"):
            return F.gaussian_kl(mu, raw)

    t = posterior("logvar", SHAPE)
    torch.testing.assert_close(
        torch.compile(loss, backend="eager")(t["mu"], t["scale"]), F.gaussian_kl(t["mu"], t["scale"])
    )


def test_a_second_derivative_of_a_compiled_op_raises():
    x, t = torch.randn(4, 5, requires_grad=True), torch.rand(4, 5)
    (first,) = torch.autograd.grad(compiled(F.mse_loss)(x, t), x, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        first.sum().backward()


SEED = torch.tensor([5])
FORM = ("logvar", None, None, 0.0, 0.0)


def op_samples():
    """Arguments for every op in torch.ops.fastvae."""
    ops = torch.ops.fastvae
    p = posterior("logvar", (3, 5), prior="row")
    mu, scale, prior_mu, prior_scale = p.values()
    moments = torch.cat((mu, scale), 1)
    losses = ALL_OPS["gaussian_nll"].operands((3, 5), torch.float32)
    x, t, w, s = (losses[key] for key in ("input", "target", "weight", "log_scale"))
    prior, one = (prior_mu, prior_scale), torch.ones(())
    noisy, drawn = (*prior, None, SEED), (2, *FORM, "sample", 1, (4, 9))
    silent, undrawn = (*prior, None, None), (None, *FORM, "mean", 1, None)
    dz, dkl = torch.ones(2, 3, 5), torch.ones(3)
    yield ops.reparameterize_kl, (mu, scale, *noisy, *drawn)
    yield ops.reparameterize_kl, (mu, scale, *silent, *undrawn)
    yield ops.reparameterize_kl, (mu, scale, None, None, mu, None, None, *FORM, None, 1, None)
    yield ops.reparameterize_kl_backward, (dz, dkl, mu, scale, *noisy, *drawn, [True, True, True, True])
    yield ops.reparameterize_kl_backward, (dz, None, mu, scale, *noisy, *drawn, [True, False, True, False])
    yield ops.reparameterize_kl_backward, (None, one, mu, scale, *silent, *undrawn, [False, True, False, True])
    yield ops.reparameterize_kl_packed, (moments, *noisy, 1, False, *drawn)
    yield (
        ops.reparameterize_kl_packed_backward,
        (dz, dkl, moments, *noisy, 1, False, *drawn, [True, True, False]),
    )
    pair = (x, t, w, s, "gaussian_nll", True)
    yield ops.reconstruction, (*pair, "mean", 1, True, [True, True])
    yield ops.reconstruction, (*pair, "none", 1, False, [False, False])
    yield ops.reconstruction_inplace, (x.clone(), t, w, None, "mse_loss", False, "sum", 1, True)
    yield ops.reconstruction_backward, (one, *pair, "mean", 1, [True, True, True])
    yield ops.reconstruction_backward, (dkl, *pair, "sample", 1, [False, True, False])
    yield ops.scale_gradients, (x.clone(), None, None, torch.tensor(3.0))
    yield ops.scale_gradients, (x.clone(), s.clone(), torch.ones(3), torch.tensor(3.0))
    yield ops.log_normal, (x, mu, scale, *FORM, "sample", 1)
    yield ops.log_normal, (x, None, None, *FORM, "none", 1)
    yield ops.log_normal_backward, (dkl, x, mu, scale, *FORM, "sample", 1, [True, True, True])
    bound = ops.importance_weighted_bound(x, 0)
    yield ops.importance_weighted_bound, (x, 0)
    yield ops.importance_weighted_bound_backward, (torch.ones(5), x, bound, 0)
    yield ops.seed, (x,)
    yield from heavy_op_samples()


def heavy_op_samples():
    """Arguments for the ops of mixtures and of counts."""
    ops = torch.ops.fastvae
    z, mu, scale = PAIRED["minibatch_log_densities"].operands((3, 5), torch.float32).values()
    of_batch = (*FORM, 100, "mss")
    *_, sums = ops.minibatch_log_densities(z, mu, scale, *of_batch)
    grad = torch.ones(3)
    yield ops.minibatch_log_densities, (z, mu, scale, *of_batch)
    yield ops.minibatch_log_densities_backward, (grad, grad, z, mu, scale, sums, *of_batch, [True, True, True])
    yield ops.minibatch_log_densities_backward, (None, grad, z, mu, scale, sums, *of_batch, [True, False, True])
    weights = torch.log_softmax(torch.arange(3.0), 0)
    _, sums = ops.log_normal_mixture(z, mu, scale, weights, *FORM)
    yield ops.log_normal_mixture, (z, mu, scale, weights, *FORM)
    yield ops.log_normal_mixture, (z, mu, scale, None, *FORM)
    yield ops.log_normal_mixture_backward, (grad, z, mu, scale, weights, sums, *FORM, [True, True, True, True])
    mean, theta, counts = torch.rand(3, 5) + 0.1, torch.rand(5) + 0.1, torch.arange(15, dtype=torch.int32).view(3, 5)
    cells = (mean, counts, theta, torch.zeros(3, 5), None, False)
    yield ops.negative_binomial_nll, (*cells, "batchmean", 1, True, [True, True, True])
    yield ops.negative_binomial_nll, (mean, counts, theta, None, None, True, "none", 1, False, [False, False, False])
    yield ops.negative_binomial_nll_backward, (grad, *cells, "sample", 1, [True, True, True])
    pixels = torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2)
    images = (torch.linspace(-1, 1, 72).view(3, 6, 2, 2), pixels, 2, 1, 8)
    yield ops.discretized_logistic_mixture_nll, (*images, "batchmean", True, True)
    yield ops.discretized_logistic_mixture_nll, (*images, "none", False, False)
    yield ops.discretized_logistic_mixture_nll_backward, (grad, *images, "sample")


SAMPLES = list(op_samples())


@pytest.mark.parametrize("sample", range(len(SAMPLES)), ids=[f"{op.__name__}-{i}" for i, (op, _) in enumerate(SAMPLES)])
def test_opcheck(sample):
    """Schema and mutation, fake against real, and tracing with static and dynamic shapes."""
    op, arguments = SAMPLES[sample]
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    random = op is torch.ops.fastvae.seed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        opcheck(op.default, arguments, test_utils=checks[:2] if random else checks)


def test_every_op_was_checked():
    registered = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("fastvae::")}
    assert registered == {f"fastvae::{op.__name__}" for op, _ in SAMPLES}


@pytest.mark.parametrize("name", ALL_OPS)
def test_func_grad(name):
    op = ALL_OPS[name]
    operands = op.operands(SHAPE, torch.float32)
    expected = evaluate(op.call, operands, op.wanted, **options_of(name))

    def loss(wanted):
        return sum(output.sum() for output in outputs_of(op.call, {**operands, **wanted}, **options_of(name)))

    found = torch.func.grad(loss)({key: operands[key] for key in op.wanted})
    for key, value in found.items():
        torch.testing.assert_close(value, expected[f"gradient of {key}"], rtol=3e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian_kl", "log_normal", *LOSSES])
def test_per_sample_gradients(name):
    """vmap(grad): the gradient of each sample's own loss."""
    op = ALL_OPS[name]
    operands = op.operands((4, 1, 7), torch.float32)
    wanted = op.wanted[0]

    def loss(value, rest):
        return op.call({**rest, wanted: value}, reduction="sum")

    found = torch.func.vmap(torch.func.grad(loss))(operands[wanted], operands)
    expected = evaluate(op.call, operands, (wanted,), reduction="sum")[f"gradient of {wanted}"]
    torch.testing.assert_close(found, expected, rtol=3e-7, atol=1e-9)


def test_a_network_under_autocast():
    """Half-precision activations go in as they are; the losses come out in float32."""
    torch.manual_seed(0)
    encoder, decoder = torch.nn.Linear(12, 6), torch.nn.Linear(3, 12)
    x = torch.rand(8, 12)
    with torch.autocast("cpu", torch.bfloat16):
        moments = encoder(x)
        z, kl = F.reparameterize_kl_packed(moments, seed=1)
        loss = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="batchmean") + kl
    assert (moments.dtype, z.dtype, kl.dtype, loss.dtype) == (torch.bfloat16, torch.bfloat16, *[torch.float32] * 2)
    loss.backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_a_compiled_op_keeps_its_leaves_apart():
    """Two losses of one input inside one graph."""
    op = ALL_OPS["mse_loss"]
    operands = op.operands(SHAPE, torch.float32)

    def twice(tensors):
        return op.call(tensors) + 2 * op.call(tensors)

    tensors = leaves(operands, ("input",))
    (found,) = torch.autograd.grad(compiled(twice)(tensors), tensors["input"])
    (expected,) = torch.autograd.grad(3 * op.call(tensors), tensors["input"])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
