"""A loop of Hugging Face Accelerate over fastvae.VAE: nothing changes but the model.

python examples/clients/accelerate_loop.py
"""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

import fastvae


def main() -> None:
    """Train for two epochs."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))
    model = fastvae.VAE(encoder, decoder, latent_shape=20)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(torch.rand(256, 1, 28, 28), batch_size=64)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for epoch in range(2):
        for x in loader:
            optimizer.zero_grad()
            output = model(x)
            accelerator.backward(output.loss)
            optimizer.step()
        print(f"epoch {epoch}: loss {output.loss:.2f}, KL {accelerator.gather(output.kl).mean():.2f}")


if __name__ == "__main__":
    main()
