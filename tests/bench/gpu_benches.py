"""Made-up measurements on a GPU, and the rows they become."""

from bench import ops
from bench.gpu import benchmarks, device, measure
from bench.gpu.launches import Launches
from bench.machine import Run
from bench.timing import Call

RUN = Run("2026-01-02T03:04:05+00:00", "abc1234", "Some GPU", None, "1.2", "13.0", "2.11", "3.6", "0.1")
DRY = device.device(dry_run=True)
SIZES = LARGE, MNIST, MIDDLE = benchmarks.sizes(DRY._replace(real=True))
PROVIDERS = ("fastvae", "eager", "compile", "fastvae_graph", "eager_graph", "compile_graph")


def benchmark(op, size=LARGE):
    (found,) = (some for some in benchmarks.benchmarks_of(size) if some.op is op)
    return found


def rows(some, **seconds):
    """Rows of a benchmark in which each provider always took the same time; the copy, too."""
    times = {name: [Call(value, 0)] * 3 for name, value in seconds.items()}
    counts = Launches(1, 1)
    return measure.rows(some, measure.Measured(times, dict.fromkeys(times, 7), counts), RUN)


WON = rows(benchmark(ops.BCE), fastvae=1.0, eager=6.0, compile=1.6, fastvae_graph=0.5, compile_graph=0.4, copy=0.9)
SMALL = rows(
    benchmark(ops.MSE, MNIST), fastvae=2.0, eager=1.0, compile=5.0, fastvae_graph=1.0, compile_graph=1.0, copy=9.0
)
