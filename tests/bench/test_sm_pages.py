"""Predictions of the model beside what was measured."""

from __future__ import annotations

from pathlib import Path

from bench import results as measurements
from bench.proofs.sm_model import pages, report, results
from bench.proofs.sm_model.kernels import KINDS, Prediction
from bench.proofs.sm_model.machine import MACHINES

MARKED = "".join(f"<!-- {part}:begin --><!-- {part}:end -->\n" for part in ("model", "model-check"))
OP = "reparameterize_kl_packed float32"
H100 = MACHINES["H100"]
ELEMENTS = 2**27
OURS, THEIRS = ([(provider, f"{OP} {way}") for way in ("forward", "backward")] for provider in report.PROVIDERS)


def keep(offline: Path, commit: str, cycles: dict[tuple[str, str], float]) -> None:
    """Predict so many cycles on every GPU."""
    kinds = dict.fromkeys(KINDS, 0.0) | {"fp32": 128.0}
    found = [
        Prediction(provider, kernel, "sm_90", kinds, 16, dict.fromkeys(MACHINES, of_kernel))
        for (provider, kernel), of_kernel in cycles.items()
    ]
    results.append(offline / results.FILE, found, commit)


def seconds(cycles: float) -> float:
    """That the H100's multiprocessors take for all elements, so many cycles each."""
    return ELEMENTS * cycles / H100.multiprocessors / H100.hertz


def measured(provider: str, cycles: float) -> measurements.Row:
    """Forward and backward of the packed latent."""
    took = seconds(cycles)
    return measurements.Row(
        date="2026-01-01", commit="measured", device="H100", cores=None, driver="", cuda="", torch="", triton="",
        fastvae="", op="reparameterize_kl_packed", size="1x1", dtype="float32", target="-", mode="both",
        provider=provider, elements=ELEMENTS, rounds=1, median_s=took, q20_s=took, q80_s=took, ratio=None,
        ratio_q20=None, ratio_q80=None,
    )  # fmt: skip


def test_predictions_stand_beside_what_was_measured_of_their_commit(tmp_path: Path) -> None:
    offline, folder, page = tmp_path / "offline", tmp_path / "h100", tmp_path / "gpu.md"
    offline.mkdir()
    folder.mkdir()
    page.write_text(MARKED)
    keep(offline, "measured", {OURS[0]: 2, OURS[1]: 2, THEIRS[0]: 5, THEIRS[1]: 3})
    keep(offline, "newer", {OURS[0]: 1, OURS[1]: 1})
    header = "date,commit,device,op,dtype,elements,duration_ns,instructions_per_element,issue_active_percent"
    profiled = f"-,measured,H100,reparameterize_kl_packed forward,float32,{ELEMENTS},{seconds(4) * 1e9},127.9,40"
    (folder / "profile.csv").write_text(f"{header}\n{profiled}\n")
    measurements.append(folder / "gpu.csv", [measured("fastvae_graph", 5), measured("compile_graph", 8)])
    pages.write(offline, tmp_path, page)
    model, check = page.read_text().split("<!-- model:end -->")
    # Of the newest commit: 128 instructions where 105 must do, 16 bytes in a cycle; inductor's eight cycles over two.
    shares = " | ".join(f"{16 / machine.bytes_per_cycle:.0%}" for machine in MACHINES.values())
    assert f"| {OP} forward | **128** | 105 | 128.0 |" in model
    assert f"| 16 | {shares} |" in model
    assert f"| {OP} | 4.00 | 4.00 | 4.00 |" in model
    # Of the commit that was measured: half of the time that it took, and half of that to issue.
    assert f"| {OP} forward | 127.9 | 128.0 | 40% | 50% |" in check
    assert check.count("| -50% |") == 1
    # Four cycles predicted where there were five, and as many as there were.
    ours, theirs = check[check.index(f"| {OP} |") :].split("|")[4], check[check.index(f"| {OP} |") :].split("|")[7]
    assert (ours.strip(), theirs.strip()) == ("-20%", "+0%")
