"""The training loop. A run is a function of its config: killed and resumed, it ends with the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from fastvae.train import checkpoint, model, random
from fastvae.train.config import Config
from fastvae.train.data import Data
from fastvae.train.errors import UserError
from fastvae.train.evaluation import elbo
from fastvae.train.metrics import Epoch, Means, Sums
from fastvae.train.progress import Progress
from fastvae.train.run_folder import RunFolder


class Trainer:
    """One run: its model, optimizer and the epochs done so far, restored from the folder where it has a checkpoint.

    Raises:
        UserError: a damaged checkpoint.
    """

    def __init__(self, config: Config, data: Data, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self.device = torch.device(config.device)
        self.data = Data(data.train.to(self.device), data.test.to(self.device))
        self.log_normalizer = model.log_normalizer(config)
        self.model = model.create(config).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.lr, fused=True)
        self.history = checkpoint.load(folder, self.model, self.optimizer, self.device)
        # One graph for the full batch and one for the last: which kernels run must not depend on what ran before.
        self._step_model = torch.compile(self.model, dynamic=False) if config.compile else self.model

    def fit(self) -> None:
        """Train to the last epoch, saving everything after each.

        Raises:
            UserError: the loss is no longer finite.
        """
        count, done = len(self.data.train.labels), len(self.history)
        steps = -(-count // self.config.batch_size)
        with Progress(self.config.epochs, steps, done) as progress:
            for epoch in range(done + 1, self.config.epochs + 1):
                start = time.perf_counter()
                train = self._epoch(epoch, progress.step)
                if not math.isfinite(train.elbo):
                    raise UserError(f"training diverged: the ELBO of epoch {epoch} is {train.elbo}; try a smaller --lr")
                seconds = time.perf_counter() - start + (self.history[-1].seconds if self.history else 0.0)
                test = elbo(self.model, self.data.test, self.config.seed, self.log_normalizer)
                self.history.append(Epoch(epoch, *train, *test, round(seconds, 3)))
                self.save()
                progress.epoch(self.history[-1])

    def _epoch(self, epoch: int, report: Callable[[int, Sums], None]) -> Means:
        config, sums = self.config, Sums(self.device, self.log_normalizer)
        order = random.epoch_order(config.seed, epoch, len(self.data.train.labels)).to(self.device)
        self.model.train()
        for batch in order.split(config.batch_size):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=config.amp == "bf16"):
                output = self._step_model(self.data.train.images[batch])
            self.optimizer.zero_grad()
            output.loss.backward()
            self.optimizer.step()
            sums.add(output.reconstruction_loss, output.kl)
            report(epoch, sums)
        return sums.means()

    def save(self) -> None:
        """Write the checkpoint first: the other files follow from it when the run is killed between them."""
        checkpoint.save(self.folder, self.model, self.optimizer, self.device, self.history)
        model.save_weights(self.model, self.folder)
        self.folder.write_metrics(self.history)
