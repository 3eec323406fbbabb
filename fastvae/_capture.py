"""Whether a CUDA graph is being captured: then no op may take noise from the host, or memory that others use too."""

from __future__ import annotations

import torch


def is_capturing(device: int) -> bool:
    """Does the current stream of a CUDA device capture a graph?"""
    if device == torch.cuda.current_device():
        return torch.cuda.is_current_stream_capturing()
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()
