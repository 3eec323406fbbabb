"""Models saved to a folder, or to a repository, and loaded again: the same outputs bit for bit, and no pickle."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fastvae import CVAE, VAE, BetaVAE, CyclicalWarmup, LinearWarmup, MixturePrior, VampPrior, networks
from fastvae.losses import NegativeBinomial
from fastvae.losses._named import NAMES
from tests.modules.test_surface import CHANGED, DIVIDED, OTHERS

BATCH, LABELS = 4, 3
IMAGES = torch.randint(0, 256, (BATCH, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COLOURS = IMAGES.expand(-1, 3, -1, -1).contiguous()
COUNTS = IMAGES.flatten(1).float()
CONDITION = torch.eye(LABELS)[[0, 2, 1, 0]]


def vae(
    architecture: str = "mlp", x: Tensor = IMAGES, kind: type[VAE] = VAE, latent: str = "vector", **options: Any
) -> VAE:
    torch.manual_seed(0)
    likelihood = options.get("likelihood", "bernoulli")
    name = likelihood if isinstance(likelihood, str) else "poisson"
    values = "counts" if x is COUNTS else "unit"
    small = {"hidden": (5,)} if architecture == "mlp" else {"widths": (4, 6), "hidden": ()}
    encoder, decoder, shape = networks.build(
        architecture, x.shape[1:], 2, likelihood=name, values=values, latent=latent, **small
    )
    return kind(encoder, decoder, latent_shape=shape, **options)


def with_pseudo_inputs(first_layer: int = 0) -> VAE:
    plain = vae()
    encoder = plain.encoder[first_layer:] if first_layer else plain.encoder
    return VAE(plain.encoder, plain.decoder, prior=VampPrior(torch.rand(3, 1, 8, 8), encoder), latent_shape=2)


def cvae(prior: bool = True) -> CVAE:
    torch.manual_seed(0)
    recognition, generation, shape = networks.build("conv", (1, 8, 8), 2, condition=LABELS, widths=(4, 6))
    network = networks.build("mlp", (LABELS,), 2, values="real", hidden=(5,)).encoder if prior else None
    return CVAE(recognition, generation, network, objective="hybrid", alpha=0.25, latent_shape=shape)


MODELS: dict[str, tuple[Callable[[], VAE | CVAE], tuple[Tensor, ...]]] = {
    "mlp": (vae, (IMAGES,)),
    "conv": (lambda: vae("conv", COLOURS, likelihood="gaussian_learned"), (COLOURS,)),
    "resnet": (lambda: vae("resnet", latent="spatial", beta=LinearWarmup(0.0, 1.0, 10)), (IMAGES,)),
    "half": (lambda: vae("conv").to(torch.bfloat16), (IMAGES.to(torch.bfloat16) / 255,)),
    "double": (lambda: vae("conv_valid", x=IMAGES).double(), (IMAGES.double() / 255,)),
    "beta": (lambda: vae(kind=BetaVAE, capacity=CyclicalWarmup(0.0, 5.0, 8, cycles=2)), (IMAGES,)),
    "counts": (lambda: vae(x=COUNTS, likelihood="negative_binomial"), (COUNTS,)),
    "genes": (lambda: vae(x=COUNTS, likelihood=NegativeBinomial(64)), (COUNTS,)),
    "colours": (lambda: vae("conv", COLOURS, likelihood="discretized_logistic_mixture"), (COLOURS,)),
    "total_correlation": (lambda: vae(total_correlation=CyclicalWarmup(1.0, 6.0, 9), dataset_size=100), (IMAGES,)),
    "preset": (lambda: vae(preset="diffusers"), (IMAGES,)),
    "mixture": (lambda: vae(prior=MixturePrior(3)), (IMAGES,)),
    "pseudo_inputs": (with_pseudo_inputs, (IMAGES,)),
    "pseudo_numbers": (lambda: with_pseudo_inputs(1), (IMAGES,)),
    "conditional": (cvae, (CONDITION, IMAGES)),
    "conditional_standard": (lambda: cvae(prior=False), (CONDITION, IMAGES)),
}


def changed(model: nn.Module) -> None:
    """As after training: no weight and no count is a first value."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    for buffer in model.buffers():
        buffer += 3


def outputs(model: VAE | CVAE, data: tuple[Tensor, ...]) -> list[Tensor]:
    sampled = model.sample(*data[:-1], 2, seed=1)
    likelihood = model.log_likelihood(*data, num_samples=2, seed=2)
    output = model(*data, seed=0)
    return [output.loss, output.z, output.prediction, sampled, likelihood]


@pytest.mark.parametrize(("build", "data"), MODELS.values(), ids=MODELS)
def test_a_loaded_model_is_the_saved_one(
    build: Callable[[], VAE | CVAE], data: tuple[Tensor, ...], tmp_path: Path
) -> None:
    model = build()
    changed(model)
    model.save_pretrained(tmp_path / "new" / "folder")
    before = torch.get_rng_state()
    loaded = type(model).from_pretrained(tmp_path / "new" / "folder")
    assert torch.equal(torch.get_rng_state(), before)
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"config.json", "model.safetensors"}
    assert not loaded.training
    assert repr(loaded) == repr(model)
    for ours, theirs in zip(outputs(loaded, data), outputs(model.eval(), data), strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    model(*data, seed=0).loss.backward()
    loaded.train()(*data, seed=0).loss.backward()
    for ours, theirs in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("options", [CHANGED, OTHERS, DIVIDED], ids=["changed", "others", "divided"])
def test_every_option_is_kept(options: dict[str, Any], tmp_path: Path) -> None:
    given = {name: value for name, value in options.items() if name != "latent_shape"}
    if "likelihood" not in options and "preset" in options:
        given["likelihood"] = "bernoulli"
    encoder, decoder, _ = networks.build("mlp", (6,), 2, likelihood=given.get("likelihood", "bernoulli"))
    for kind in (VAE, BetaVAE):
        model = kind(encoder, decoder, latent_shape=options.get("latent_shape", 2), **given)
        model.save_pretrained(tmp_path)
        assert repr(kind.from_pretrained(tmp_path)) == repr(model)


@pytest.mark.parametrize("likelihood", NAMES)
def test_every_likelihood_with_a_name_is_kept(likelihood: str, tmp_path: Path) -> None:
    model = vae(likelihood=likelihood)
    model.save_pretrained(tmp_path)
    assert repr(VAE.from_pretrained(tmp_path)) == repr(model)


def test_an_option_is_kept_as_it_is_now(tmp_path: Path) -> None:
    model = vae()
    model.elbo.beta = 0.125
    model.save_pretrained(tmp_path)
    assert VAE.from_pretrained(tmp_path).elbo.beta == 0.125


class Own(VAE):
    pass


class Listed(VAE):
    def __init__(self, *sizes: int) -> None:
        super().__init__(nn.Linear(sizes[0], sizes[1]), nn.Linear(sizes[1] // 2, sizes[0]))


def appended() -> VAE:
    model = vae()
    model.decoder.append(nn.Sigmoid())
    return model


def of_other_networks(**options: Any) -> VAE:
    return VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent_shape=2, **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (of_other_networks, r"encoder: got Linear, which config\.json cannot describe; takes .* of fastvae\.networks "),
        (appended, r"decoder: got a network changed since fastvae\.networks\.build made it; takes it unchanged"),
        (lambda: vae(beta=torch.tensor(0.5)), r"beta: got tensor\(0\.5000\), which config\.json cannot"),
        (lambda: vae(likelihood=lambda p, x: (p - x).flatten(1).sum(1)), "likelihood: got function, which"),
        (lambda: Own(nn.Linear(6, 4), nn.Linear(2, 6)), r"encoder: got Linear, which config\.json cannot describe"),
        (lambda: Own(vae().encoder, vae().decoder, beta=torch.tensor(0.5)), r"beta: got tensor\(0\.5000\), which"),
        (lambda: Listed(3, 4), "model: got Listed, whose constructor takes \\*arguments; takes named ones"),
        (
            lambda: VAE(vae().encoder, vae().decoder, prior=VampPrior(torch.rand(3, 64), nn.Linear(64, 4))),
            "prior: got VampPrior, which",
        ),
    ],
)
def test_what_config_json_cannot_say_is_named(build: Callable[[], VAE], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build().save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def no_pickle(*_: object, **__: object) -> None:
    raise AssertionError("a pickle is read")


def test_no_pickle_is_written_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room, name in ((torch, "load"), (torch, "save"), (pickle, "load"), (pickle, "loads"), (pickle, "dump")):
        monkeypatch.setattr(room, name, no_pickle)
    vae().save_pretrained(tmp_path)
    assert VAE.from_pretrained(tmp_path).elbo.beta == 1.0
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(
        FileNotFoundError, match=r"^folder: got '.*', without a model\.safetensors; takes what save_pre"
    ):
        VAE.from_pretrained(tmp_path)


def replaced(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def flipped(name: str) -> Callable[[Path], object]:
    """The last bit of a file, which is one of a weight."""

    def flip(folder: Path) -> None:
        *content, last = (folder / name).read_bytes()
        (folder / name).write_bytes(bytes([*content, last ^ 1]))

    return flip


def edited(**changes: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        replaced("config.json", b"{"),
        replaced("config.json", b"[1]"),
        replaced("model.safetensors", b"\x80\x04"),
        edited(model="Sequential"),
        edited(decoder={"type": "eval"}),
        edited(later=1),
        edited(model="os.system"),
        edited(encoder=3),
        edited(encoder={"part": "__class__", "architecture": "mlp", "shape": [6], "latent_dim": 2}),
        edited(encoder={"part": "encoder", "architecture": "resnet", "blocks": 10**9}),
        edited(beta=float("nan")),
        replaced("config.json", b"[" * 100_000),
        replaced("config.json", b"9" * 10_000),
        replaced("config.json", b"\xff"),
        flipped("model.safetensors"),
        edited(latent_shape=[3], prior={"type": "MixturePrior", "num_components": 2, "latent_shape": [3]}),
    ],
)
def test_a_damaged_folder_is_named_in_one_line(damage: Callable[[Path], object], tmp_path: Path) -> None:
    vae().save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=rf"^{tmp_path}: damaged, or of another version of fastvae \(.*\)$"):
        VAE.from_pretrained(tmp_path)


def test_a_model_of_another_class_is_named(tmp_path: Path) -> None:
    cvae().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"^folder: got '.*', a CVAE; takes a VAE$"):
        VAE.from_pretrained(tmp_path)
    vae(kind=BetaVAE).save_pretrained(tmp_path)
    assert type(VAE.from_pretrained(tmp_path)) is BetaVAE


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"^folder: got '.*/none', which is none; takes a folder or a repository"
    ):
        VAE.from_pretrained(tmp_path / "none")
    with pytest.raises(ValueError, match=r"^revision: got a value with a folder of this machine; takes none"):
        VAE.from_pretrained(tmp_path, revision="main")


def test_without_huggingface_hub_folders_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(sys.modules, "fastvae.modules._hub", raising=False)
    vae().save_pretrained(tmp_path)
    assert isinstance(VAE.from_pretrained(tmp_path), VAE)
    needed = r"huggingface_hub is not installed; takes pip install 'fastvae\[hub\]'"
    with pytest.raises(ImportError, match=rf"^folder: got 'user/model', which is none here; {needed}"):
        VAE.from_pretrained("user/model")
    with pytest.raises(ImportError, match=f"^{needed}"):
        vae().push_to_hub("user/model")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for use in (vae().save_pretrained, VAE.from_pretrained):
        with pytest.raises(ImportError, match=r"^safetensors is not installed; takes pip install 'fastvae\[hub\]'"):
            use(tmp_path)


def test_a_repository_is_downloaded(tmp_path: Path) -> None:
    """From the folder where huggingface_hub keeps what it has downloaded."""
    pytest.importorskip("huggingface_hub")
    repository, commit = tmp_path / "models--user--model", "0" * 40
    model = vae()
    model.save_pretrained(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    loaded = VAE.from_pretrained("user/model", cache_dir=tmp_path, local_files_only=True)
    assert torch.equal(loaded(IMAGES, seed=0).loss, model.eval()(IMAGES, seed=0).loss)


def test_a_repository_is_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    hub_mixin = pytest.importorskip("huggingface_hub.hub_mixin")
    uploaded: dict[str, Any] = {}

    class Api:
        def __init__(self, token: str | None) -> None:
            uploaded["token"] = token

        def create_repo(self, repo_id: str, **options: Any) -> Any:
            uploaded.update(options)
            return type("Repository", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> str:
            uploaded["files"] = {path.name for path in folder_path.iterdir()}
            uploaded["card"] = (folder_path / "README.md").read_text()
            uploaded["model"] = VAE.from_pretrained(folder_path)
            uploaded["weights"] = load_file(folder_path / "model.safetensors")
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    model = vae()
    assert model.push_to_hub("user/model", private=True, token="secret") == "https://hub/user/model"
    assert uploaded["files"] == {"config.json", "model.safetensors", "README.md"}
    assert (uploaded["token"], uploaded["private"]) == ("secret", True)
    assert "library_name: fastvae" in uploaded["card"]
    assert repr(uploaded["model"]) == repr(model)
    assert uploaded["weights"].keys() == model.state_dict().keys()
