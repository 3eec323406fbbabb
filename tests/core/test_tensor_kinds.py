"""Tensors that are not plain memory: views with a pending sign, zeros without storage, parameters, shards."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import fastvae.functional as F
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

SHAPE = (6, 10)


@pytest.mark.parametrize("name", ALL_OPS)
def test_a_pending_sign_is_seen(name):
    """The imaginary part of a conjugate is a float view whose memory holds the opposite sign."""
    op = ALL_OPS[name]
    operands = op.operands(SHAPE, torch.float32)
    signed = {key: torch.complex(value, -value).conj().imag for key, value in operands.items()}
    assert all(value.is_neg() for value in signed.values())
    results = evaluate(op.call, signed, op.wanted)
    for key, value in evaluate(op.call, operands, op.wanted).items():
        torch.testing.assert_close(results[key], value, rtol=1e-6, atol=1e-6)


def test_a_target_of_zeros_without_storage():
    zeros = torch._efficientzerotensor(SHAPE)
    x = torch.full(SHAPE, 2.0, requires_grad=True)
    F.mse_loss(x, zeros, reduction="sum").backward()
    assert torch.equal(x.grad, torch.full(SHAPE, 4.0))


def test_parameters_and_buffers():
    raw = torch.nn.Parameter(torch.zeros(SHAPE))
    F.gaussian_kl(torch.nn.Buffer(torch.ones(SHAPE)), raw).backward()
    assert torch.equal(raw.grad, torch.zeros(SHAPE))


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_mkldnn"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_other_layouts_raise(layout):
    x = getattr(torch.ones(SHAPE), layout)()
    with pytest.raises(NotImplementedError, match="fastvae::reconstruction"):
        F.mse_loss(x, x)


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed")
@pytest.mark.usefixtures("one_process")
def test_distributed():
    """Under data parallelism the ops run as they are; a sharded tensor raises rather than being read as memory."""
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    torch.manual_seed(0)
    plain = torch.nn.Linear(10, 6)
    parallel = DistributedDataParallel(torch.nn.Linear(10, 6))
    parallel.module.load_state_dict(plain.state_dict())
    x = torch.rand(4, 10)
    for network in (plain, parallel):
        z, kl = F.reparameterize_kl_packed(network(x), seed=1)
        (F.mse_loss(z, x[:, :3]) + kl).backward()
    assert torch.equal(plain.weight.grad, parallel.module.weight.grad)

    shard = distribute_tensor(torch.ones(4, 6), init_device_mesh("cpu", (1,)), [Shard(0)])
    with pytest.raises(NotImplementedError, match="sharding strategy"):
        F.mse_loss(shard, shard)
    with pytest.raises(NotImplementedError, match="sharding strategy"):
        F.gaussian_kl(shard, shard)


@pytest.mark.parametrize("name", ALL_OPS)
def test_a_tensor_whose_storage_was_freed_is_refused(name):
    """As FSDP frees parameters between uses. Its null pointer is not that of an absent operand."""
    op = ALL_OPS[name]
    for key in op.operands(SHAPE, torch.float32):
        operands = op.operands(SHAPE, torch.float32)
        operands[key].untyped_storage().resize_(0)
        with pytest.raises(ValueError, match="whose storage was freed"):
            op.call(operands)


OTHER_LAYOUTS = {"sparse": torch.Tensor.to_sparse, "csr": torch.Tensor.to_sparse_csr, "mkldnn": torch.Tensor.to_mkldnn}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state:UserWarning")
@pytest.mark.parametrize("layout", OTHER_LAYOUTS)
@pytest.mark.parametrize("name", ALL_OPS)
def test_a_layout_without_strides_is_refused(name, layout):
    op = ALL_OPS[name]
    for key in op.operands(SHAPE, torch.float32):
        operands = op.operands(SHAPE, torch.float32)
        if layout == "csr" and operands[key].dim() != 2:
            continue
        operands[key] = OTHER_LAYOUTS[layout](operands[key])
        with pytest.raises((NotImplementedError, RuntimeError, TypeError), match=r"Could not run|[Ss]parse|[Mm]kldnn"):
            op.call(operands)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
@pytest.mark.parametrize("name", ALL_OPS)
def test_arrays_mapped_for_reading_are_only_read(name, tmp_path):
    op = ALL_OPS[name]
    operands = op.operands(SHAPE, torch.float32)
    expected = evaluate(op.call, operands, op.wanted)
    mapped = {}
    for key, value in operands.items():
        np.save(tmp_path / f"{key}.npy", value.numpy())
        mapped[key] = torch.from_numpy(np.load(tmp_path / f"{key}.npy", mmap_mode="r"))
    for key, value in evaluate(op.call, mapped, op.wanted).items():
        assert torch.equal(value, expected[key])
