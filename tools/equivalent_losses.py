"""The table of equivalents: how projects write their loss, and the same in fastvae.

docs/equivalents.md shows its lines, tests/losses/test_presets.py runs them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SETUP: Final = """
import math
import torch
import torch.nn.functional as T
import fastvae
import fastvae.functional as F

torch.manual_seed(0)
beta, capacity = 1.0, 0.5
x = torch.rand(6, 3, 4, 4)  # images in [0, 1]
logits = torch.randn(6, 3, 4, 4, requires_grad=True)  # of a decoder
recon_x = logits.sigmoid()  # probabilities, or means
mu = torch.randn(6, 5, requires_grad=True)  # of an encoder
logvar = torch.randn(6, 5, requires_grad=True)
z = mu + torch.exp(0.5 * logvar) * torch.randn(6, 5)  # a sample of q(z|x)
moments = torch.randn(6, 4, 2, 2, requires_grad=True)  # of a convolutional encoder: mean and log variance
frames = torch.randn(6, 8, 9, requires_grad=True)  # of an encoder of audio: mean and scale, 9 frames


def log_normal(value, mean, log_variance):
    return -0.5 * ((value - mean) ** 2 * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))


def poisson(rate, counts):
    return -torch.distributions.Poisson(rate).log_prob(counts).flatten(1).sum(1)
""".strip()
# What gradients reach.
LEARNED: Final = ("logits", "mu", "logvar", "moments", "frames")


class Equivalent(NamedTuple):
    """A loss, and fastvae's. Both leave it in ``loss``, over the names of `SETUP` and of `given`.

    Attributes:
        preset: a row of `fastvae.presets`.
        what: the project, or what this one has in place of the row before it.
        theirs, ours: lines of Python.
        beta: what a beta of 1 is, and what it multiplies.
        given: lines of Python with what both need besides.
    """

    preset: str
    what: str
    theirs: str
    ours: str
    beta: str = ""
    given: str = ""


_PER_SAMPLE: Final = "kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1)\n"
_CAPACITY: Final = "loss = reconstruction / len(x) + beta * (kl.mean() - capacity).abs()"
_ELBO: Final = "\nloss = elbo(recon_x, x, fastvae.DiagonalGaussian(mu, logvar)).loss"
_SPATIAL: Final = """
mean, log_var = moments.chunk(2, dim=1)
log_var = torch.clamp(log_var, -30.0, 20.0)
kl = 0.5 * torch.sum(mean.pow(2) + log_var.exp() - 1.0 - log_var, dim=[1, 2, 3])
""".lstrip()
_TOTAL_CORRELATION: Final = """
dataset, others = 60_000, len(z) - 1
weights = torch.full((len(z), len(z)), 1 / others)
rows = torch.arange(len(z))
weights[rows, rows] = 1 / dataset
weights[rows, (rows + 1) % len(z)] = (dataset - others) / (dataset * others)
pairs = log_normal(z.unsqueeze(1), mu, logvar)
log_q, log_p = log_normal(z, mu, logvar).sum(1), log_normal(z, 0.0, torch.zeros(1)).sum(1)
log_qz = torch.logsumexp(weights.log() + pairs.sum(2), 1)
log_product = torch.logsumexp(weights.log().unsqueeze(2) + pairs, 1).sum(1)
kl = (log_q - log_qz) + beta * (log_qz - log_product) + (log_product - log_p)
loss = (reconstruction + kl).mean()
""".lstrip()


def _vae_loss(preset: str) -> str:
    return f'loss = F.vae_loss(recon_x, x, mu, logvar, preset="{preset}", beta=beta)'


EQUIVALENTS: Final = (
    Equivalent(
        "pytorch-examples", "PyTorch's examples/vae",
        'bce = T.binary_cross_entropy(recon_x, x, reduction="sum")\n'
        "kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())\n"
        "loss = bce + beta * kl",
        _vae_loss("pytorch-examples"),
        "1 is the ELBO, and the project has no other. Both terms are sums over the batch, so gradients grow with it.",
    ),
    Equivalent(
        "pythae", "pythae: VAE, BetaVAE",
        'reconstruction = 0.5 * T.mse_loss(recon_x, x, reduction="none").flatten(1).sum(1)\n' + _PER_SAMPLE +
        "loss = (reconstruction + beta * kl).mean(0)",
        _vae_loss("pythae"),
        "1 is the ELBO of a Gaussian of unit variance, half the squared error.",
    ),
    Equivalent(
        "pythae", "its `reconstruction_loss=\"bce\"`",
        'reconstruction = T.binary_cross_entropy(recon_x, x, reduction="none").flatten(1).sum(1)\n' + _PER_SAMPLE +
        "loss = (reconstruction + beta * kl).mean(0)",
        'elbo = fastvae.ELBOLoss("bernoulli_probs", preset="pythae", beta=beta)' + _ELBO,
    ),
    Equivalent(
        "pythae", "the same on logits, where float32 does not saturate",
        'reconstruction = T.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)\n' +
        _PER_SAMPLE + "loss = (reconstruction + beta * kl).mean(0)",
        'elbo = fastvae.ELBOLoss("bernoulli", preset="pythae", beta=beta)\n'
        "loss = elbo(logits, x, fastvae.DiagonalGaussian(mu, logvar)).loss",
    ),
    Equivalent(
        "pytorch-vae", "PyTorch-VAE: VanillaVAE",
        _PER_SAMPLE + "loss = T.mse_loss(recon_x, x) + beta * 0.00025 * kl.mean()",
        _vae_loss("pytorch-vae"),
        "It multiplies the 0.00025 of its kld_weight, beside a mean over the D pixels and channels: a beta of "
        "0.000125 D in that ELBO, 1.5 for 3 x 64 x 64.",
    ),
    Equivalent(
        "disentangling-vae", "disentangling-vae: betaB (Burgess et al. 2018)",
        'reconstruction = T.binary_cross_entropy(recon_x, x, reduction="sum")\n' + _PER_SAMPLE + _CAPACITY,
        'elbo = fastvae.ELBOLoss(preset="disentangling-vae", beta=beta, capacity=capacity)' + _ELBO,
        "Its gamma: it multiplies the distance of the batch's mean KL from the capacity, also below it.",
    ),
    Equivalent(
        "disentangling-vae", "its Gaussian, of pixels from 0 to 255, where the ELBO's own KL has a beta of 510",
        'reconstruction = T.mse_loss(recon_x * 255, x * 255, reduction="sum") / 255\n' + _PER_SAMPLE + _CAPACITY,
        'elbo = fastvae.ELBOLoss("gaussian", preset="disentangling-vae", beta=beta, capacity=capacity)' + _ELBO,
    ),
    Equivalent(
        "disentangling-vae", "its Laplace",
        'reconstruction = 3 * T.l1_loss(recon_x, x, reduction="sum")\n' + _PER_SAMPLE + _CAPACITY,
        'elbo = fastvae.ELBOLoss("laplace", preset="disentangling-vae", beta=beta, capacity=capacity)' + _ELBO,
    ),
    Equivalent(
        "disentangled-beta", "pythae: DisentangledBetaVAE",
        'reconstruction = 0.5 * T.mse_loss(recon_x, x, reduction="none").flatten(1).sum(1)\n' + _PER_SAMPLE +
        "loss = (reconstruction + beta * torch.abs(kl - capacity)).mean(0)",
        'elbo = fastvae.ELBOLoss(preset="disentangled-beta", beta=beta, capacity=capacity)' + _ELBO,
        "It multiplies the distance of each sample's KL from the capacity, before the mean.",
    ),
    Equivalent(
        "pythae-beta-tc",
        "pythae: BetaTCVAE, with the weights of Chen et al. (2018), whose 1/N it has in the first column",
        'reconstruction = T.mse_loss(recon_x, x, reduction="none").flatten(1).sum(1)\n' + _TOTAL_CORRELATION,
        'elbo = fastvae.ELBOLoss(preset="pythae-beta-tc", total_correlation=beta, dataset_size=60_000)\n'
        "loss = elbo(recon_x, x, fastvae.DiagonalGaussian(mu, logvar), z=z).loss",
        "It multiplies the total correlation alone; `ELBOLoss(beta=)` multiplies all three parts. The squared error is "
        "not halved: a Gaussian of variance 0.5.",
    ),
    Equivalent(
        "disentangling-vae-beta-tc", "disentangling-vae: btcvae, with the weights of Chen et al. (2018) as well",
        'reconstruction = T.binary_cross_entropy(recon_x, x, reduction="none").flatten(1).sum(1)\n' +
        _TOTAL_CORRELATION,
        'elbo = fastvae.ELBOLoss(preset="disentangling-vae-beta-tc", total_correlation=beta, dataset_size=60_000)\n'
        "loss = elbo(recon_x, x, fastvae.DiagonalGaussian(mu, logvar), z=z).loss",
        "It multiplies the total correlation alone. The preset's own is 6, the project's for dSprites.",
    ),
    Equivalent(
        "diffusers", "diffusers: AutoencoderKL, its posterior of rank 4 or 5",
        _SPATIAL + "loss = (torch.abs(recon_x - x).sum() + beta * kl.sum()) / len(x)",
        "mean, log_var = moments.chunk(2, dim=1)\n"
        'loss = F.vae_loss(recon_x, x, mean, log_var, preset="diffusers", beta=beta)',
        "Its kl_scale, some 1e-6. 1 is the ELBO of a Laplace likelihood of unit scale.",
    ),
    Equivalent(
        "diffusers", "with the squared error",
        _SPATIAL + "loss = (torch.pow(recon_x - x, 2).sum() + beta * kl.sum()) / len(x)",
        "posterior = fastvae.DiagonalGaussian.from_moments(moments, clamp=(-30.0, 20.0))\n"
        'loss = fastvae.ELBOLoss("squared_error", preset="diffusers", beta=beta)(recon_x, x, posterior).loss',
    ),
    Equivalent(
        "latent-diffusion", "latent-diffusion: LPIPSWithDiscriminator without LPIPS and discriminator",
        _SPATIAL + "nll = torch.abs(recon_x - x) / torch.exp(log_scale) + log_scale\n"
        "loss = nll.sum() / len(x) + beta * 1e-6 * kl.sum() / len(x)",
        "posterior = fastvae.DiagonalGaussian.from_moments(moments, clamp=(-30.0, 20.0))\n"
        "loss = elbo(recon_x, x, posterior).loss",
        "It multiplies the 1e-6 of its kl_weight. The scale of the Laplace likelihood is learned, one for all pixels.",
        'elbo = fastvae.ELBOLoss(preset="latent-diffusion", beta=beta)\n'
        "(log_scale,) = elbo.parameters()  # one learned number\n"
        "torch.nn.init.constant_(log_scale, -0.3)",
    ),
    Equivalent(
        "tf-tutorial", "TensorFlow's tutorial on the CVAE",
        'cross_entropy = T.binary_cross_entropy_with_logits(logits, x, reduction="none")\n'
        "log_px_z = -cross_entropy.sum(dim=[1, 2, 3])\n"
        "log_pz = log_normal(z, 0.0, torch.zeros(1)).sum(1)\n"
        "log_qz_x = log_normal(z, mu, logvar).sum(1)\n"
        "loss = -(log_px_z + beta * (log_pz - log_qz_x)).mean()",
        'elbo = fastvae.ELBOLoss(preset="tf-tutorial", beta=beta)\n'
        "loss = elbo(logits, x, fastvae.DiagonalGaussian(mu, logvar), z=z).loss",
        "1 is the ELBO, its KL estimated from one sample, and the project has no other.",
    ),
    Equivalent(
        "keras", "Keras' example, its channels first",
        'bce = T.binary_cross_entropy(recon_x, x, reduction="none").mean(1)\n' + _PER_SAMPLE +
        "loss = bce.sum(dim=[1, 2]).mean() + beta * kl.mean()",
        _vae_loss("keras"),
        "1 is the ELBO of grey images, and the project has no other. Of C channels it takes the mean: a beta of C.",
    ),
    Equivalent(
        "world-models", "World Models",
        "squared_error = ((recon_x - x) ** 2).flatten(1).sum(1)\n" + _PER_SAMPLE +
        "kl = torch.clamp(kl, min=0.5 * mu.shape[1])\n"
        "loss = squared_error.mean() + beta * kl.mean()",
        _vae_loss("world-models"),
        "1 is the ELBO of a Gaussian of variance 0.5, the squared error not halved, with half a nat free for each "
        "dimension of the latent. The project has no other.",
    ),
    Equivalent(
        "scvi", "scvi-tools: SCVI, its likelihood yours",
        "qz = torch.distributions.Normal(mu, (torch.exp(logvar) + 1e-4).sqrt())\n"
        "kl = torch.distributions.kl_divergence(qz, torch.distributions.Normal(0, 1)).sum(1)\n"
        "loss = (poisson(rate, counts) + beta * kl).mean()",
        "posterior = fastvae.DiagonalGaussian(mu, logvar, min_var=1e-4)\n"
        'loss = fastvae.ELBOLoss(poisson, preset="scvi", beta=beta)(rate, counts, posterior).loss',
        "Its kl_weight, which warms up from 0 to 1, the ELBO: give a schedule, or a tensor of no dimension.",
        "rate, counts = logits.exp(), torch.poisson(3 * x)",
    ),
    Equivalent(
        "scvi", "with a learned prior",
        "qz = torch.distributions.Normal(mu, (torch.exp(logvar) + 1e-4).sqrt())\n"
        "pz = torch.distributions.Normal(-mu, (torch.exp(-logvar) + 1e-4).sqrt())  # of any network\n"
        "kl = torch.distributions.kl_divergence(qz, pz).sum(1)\n"
        "loss = (poisson(rate, counts) + beta * kl).mean()",
        "posterior = fastvae.DiagonalGaussian(mu, logvar, min_var=1e-4)\n"
        "prior = fastvae.DiagonalGaussian(-mu, -logvar, min_var=1e-4)\n"
        'elbo = fastvae.ELBOLoss(poisson, preset="scvi", beta=beta)\n'
        "loss = elbo(rate, counts, posterior, prior=prior).loss",
    ),
    Equivalent(
        "vits", "VITS: the KL of its flow's prior",
        "kl = logs_p - logs_q - 0.5 + 0.5 * (z_p - m_p) ** 2 * torch.exp(-2.0 * logs_p)\n"
        "loss = beta * torch.sum(kl * mask) / torch.sum(mask)",
        'posterior = fastvae.DiagonalGaussian(m_q, logs_q, parameterization="log_std")\n'
        'elbo = fastvae.ELBOLoss(preset="vits", beta=beta)\n'
        "loss = elbo(None, None, posterior, z=z_p, prior=(m_p, logs_p), mask=mask).loss",
        "Its c_kl, 1: it multiplies the KL of a frame, summed over channels, averaged over the frames of the mask.",
        "m_q, logs_q = frames.chunk(2, dim=1)\n"
        "m_p, logs_p = frames.flip(0, 2).chunk(2, dim=1)  # of the text\n"
        "z_p = frames.roll(1, 0).chunk(2, dim=1)[0]  # of the flow\n"
        "mask = (torch.arange(9) < torch.arange(4, 10)[:, None]).unsqueeze(1).to(z_p)",
    ),
    Equivalent(
        "bolts", "Lightning Bolts: VAE",
        "kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())\n"
        'loss = T.mse_loss(recon_x, x, reduction="mean") + beta * 0.1 * kl.mean()',
        _vae_loss("bolts"),
        "It multiplies the 0.1 of its kl_coeff, beside means over the D pixels and channels and over the L dimensions "
        "of the latent: a beta of 0.05 D / L in the ELBO of a Gaussian, 0.6 for 3 x 32 x 32 and 256.",
    ),
    Equivalent(
        "oobleck", "stable-audio-tools, and diffusers' AutoencoderOobleck",
        "mean, scale = frames.chunk(2, dim=1)\n"
        "std = T.softplus(scale) + 1e-4\n"
        "var = std * std\n"
        "loss = beta * (mean * mean + var - torch.log(var) - 1.0).sum(1).mean()",
        "mean, scale = frames.chunk(2, dim=1)\n"
        'loss = F.vae_loss(None, None, mean, scale, preset="oobleck", beta=beta)',
        "1 is twice the KL, which has no factor of 0.5 here, averaged over positions as well.",
    ),
)  # fmt: skip
