"""BlockOmission: which rectangles it takes out of images, and when."""

import pytest
import torch
from torch import Tensor

from fastvae.modules import BlockOmission


def omitted(max_share: float, height: int, width: int, count: int = 2000, seed: int = 0) -> Tensor:
    """Where images of ones became 0: ``[count, height, width]`` bool."""
    torch.manual_seed(seed)
    return BlockOmission(max_share)(torch.ones(count, 1, height, width))[:, 0] == 0


def sides(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many rows and columns of each image hold an omitted pixel."""
    return blocks.any(2).sum(1), blocks.any(1).sum(1)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (7, 13), (5, 5), (1, 9), (1, 1), (32, 3)])
@pytest.mark.parametrize("max_share", [0.0, 0.01, 0.1, 0.29, 0.4, 1.0])
def test_one_rectangle_never_above_the_share(max_share: float, height: int, width: int) -> None:
    blocks = omitted(max_share, height, width)
    areas = blocks.sum((1, 2))
    rows, columns = sides(blocks)
    assert torch.equal(areas, rows * columns)
    for occupied in (blocks.any(2), blocks.any(1)):
        edges = (occupied[:, 1:] != occupied[:, :-1]).sum(1)
        assert (edges <= 2).all()
        assert (edges < 2).logical_or(~occupied[:, 0]).all()
    most = max_share * height * width
    assert (areas <= most).all()
    # Whatever pixels may be omitted, some are.
    assert areas.any() == (most >= 1)


def test_the_whole_range_of_areas_is_used() -> None:
    areas = omitted(0.4, 40, 40).float().mean((1, 2))
    assert areas.max() > 0.38
    assert areas.min() < 0.01
    # Uniform on [0, 0.4]: a mean of 0.2 with a standard error of 0.4 / sqrt(12 * 2000) = 0.003. Rounding up to pixels
    # adds less than half a row and half a column, cutting to the share takes some away again.
    assert areas.mean() == pytest.approx(0.2, abs=0.015)


def test_shapes_run_from_bars_to_squares() -> None:
    rows, columns = sides(omitted(0.4, 30, 30))
    assert (rows == 30).any()
    assert (columns == 30).any()
    large = rows * columns > 100
    for chosen in (rows > 2.5 * columns, columns > 2.5 * rows, (rows - columns).abs() <= 2):
        # Each of these is at least a tenth of the large rectangles.
        assert (chosen & large).sum() > 0.1 * large.sum()
    both = torch.stack((rows, columns), 1)
    assert both.unique(dim=0).shape[0] > 300


def test_the_whole_image_may_go() -> None:
    blocks = omitted(1.0, 8, 8)
    assert blocks.flatten(1).all(1).any()


def test_places_vary_and_reach_every_corner() -> None:
    blocks = omitted(0.2, 12, 17)
    for row in (0, -1):
        for column in (0, -1):
            assert blocks[:, row, column].any()
    often = blocks.float().mean(0)
    # As likely at one end as at the other: two of 2,000 draws differ by 5 standard errors of at most sqrt(2 / 8000).
    assert (often - often.flip(0)).abs().max() < 0.08
    assert (often - often.flip(1)).abs().max() < 0.08


def test_every_image_has_its_own() -> None:
    assert omitted(0.4, 28, 28, count=50).flatten(1).unique(dim=0).shape[0] > 45


def test_all_channels_lose_the_same_pixels_and_the_rest_stays() -> None:
    images = torch.rand(20, 3, 9, 11) + 1
    before = images.clone()
    result = BlockOmission()(images)
    assert torch.equal(images, before)
    kept = result != 0
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert torch.equal(result[kept], images[kept])
    assert not kept.all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64, torch.bool])
def test_dtypes_are_kept(dtype: torch.dtype) -> None:
    result = BlockOmission()(torch.ones(10, 1, 8, 8, dtype=dtype))
    assert result.dtype == dtype
    assert set(result.unique().tolist()) == {0, 1}


def test_eval_mode_is_the_identity() -> None:
    images = torch.rand(4, 1, 8, 8)
    assert BlockOmission().eval()(images) is images


def test_torchs_seed_decides() -> None:
    assert torch.equal(omitted(0.4, 16, 16, seed=1), omitted(0.4, 16, 16, seed=1))
    assert not torch.equal(omitted(0.4, 16, 16, seed=1), omitted(0.4, 16, 16, seed=2))


def test_nothing_is_read_on_the_host() -> None:
    """Tensors without data raise where a value is wanted; CUDA graphs capture what asks for none."""
    with torch.device("meta"):
        images = torch.empty(3, 1, 8, 8)
    assert BlockOmission()(images).shape == images.shape


def test_no_gradient_reaches_what_was_omitted() -> None:
    images = torch.ones(10, 1, 8, 8, requires_grad=True)
    result = BlockOmission()(images)
    result.sum().backward()
    assert torch.equal(images.grad, result.detach())


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_named(share: float) -> None:
    with pytest.raises(ValueError, match=r"max_share: got .*; takes a number from 0 to 1"):
        BlockOmission(share)


def test_images_of_another_rank_are_named() -> None:
    with pytest.raises(ValueError, match=r"images: got shape \[3, 8, 8\]; takes \[batch, channels, height, width\]"):
        BlockOmission()(torch.ones(3, 8, 8))
