"""What docs/modules.md has a user type works, in one process that is a group."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.distributed

from tests.docs.pages import run


# torch's, of mu and the raw scale, which are views, and of first weights drawn in shards without a GPU.
@pytest.mark.filterwarnings("ignore:DTensor random operators:UserWarning")
@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module:UserWarning")
def test_the_snippets_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        names = run("docs/modules.md")
    finally:
        torch.distributed.destroy_process_group()
    assert not names["model"].training
    assert names["large"].elbo.beta.count == 0
    assert {path.name for path in (tmp_path / "my-vae").iterdir()} == {"config.json", "model.safetensors"}
