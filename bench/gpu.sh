#!/usr/bin/env bash
# What there is to learn from one GPU, in one run of at most ten minutes and without a network:
# bench/gpu.sh OUT [--dry-run] [STAGE...]
#
# Leaves in the folder OUT: summary.txt, log.txt, gpu.csv, profile.csv and gpu.png. Stages do not wait for each other to
# succeed; the exit status is 1 if any failed or had no time left. Named ones run alone, in the order below.
# FASTVAE_COMMIT names what is measured where the history is missing. --dry-run takes the same way on the CPU, in Triton's
# interpreter, at tiny sizes.
set -uo pipefail

stages=(install correctness micro runs host profile graphs compile training sanitize memcheck racecheck large picture table)
usage() {
  echo "usage: bench/gpu.sh OUT [--dry-run] [STAGE...]" >&2
  echo "stages: ${stages[*]}" >&2
  exit 2
}
(($#)) || usage
folder=$1
shift
dry=
if [[ ${1:-} == --dry-run ]]; then
  dry=--dry-run
  shift
fi
chosen=" $* "
for name; do
  [[ " ${stages[*]} " == *" $name "* ]] || usage
done
mkdir -p "$folder"
out=$(realpath "$folder") || exit
cd "$(dirname "$0")/.." || exit
: >"$out/log.txt"
: >"$out/summary.txt"

# The rest of the test suite interprets Triton; the variable is read once, at the import of Triton.
export TRITON_INTERPRET=${dry:+1} FASTVAE_GPU_DRY_RUN=${dry:+1} PYTHONUNBUFFERED=1
TRITON_INTERPRET=${TRITON_INTERPRET:-0}
FASTVAE_COMMIT=${FASTVAE_COMMIT:-$(git describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)}
export FASTVAE_COMMIT

failed=0
total=${FASTVAE_GPU_SECONDS:-590}
# A dry run holds up no GPU.
[[ ! $dry ]] || total=$((4 * total))
# stage NAME SECONDS COMMAND...
stage() {
  local name=$1 limit=$2 start=$SECONDS code=0
  shift 2
  [[ $chosen == *" $name "* || $chosen == "  " ]] || return 0
  [[ ! $dry ]] || limit=$((4 * limit))
  ((limit < total - SECONDS)) || limit=$((total - SECONDS))
  if ((limit <= 0)); then
    printf '%-12s no time left\n' "$name" | tee -a "$out/summary.txt"
    failed=1
    return 0
  fi
  printf '\n== %s, at most %s s: %s\n' "$name" "$limit" "$*" >>"$out/log.txt"
  # An interrupted pytest still says what failed.
  timeout --signal=INT --kill-after=5 "$limit" "$@" >>"$out/log.txt" 2>&1 || code=$?
  printf '%-12s rc %3d %4d s\n' "$name" "$code" "$((SECONDS - start))" | tee -a "$out/summary.txt"
  if ((code)); then
    failed=1
    tail -n 15 "$out/log.txt"
  fi
}

tests=(env TORCHINDUCTOR_COMPILE_THREADS=1 python3 -m pytest -W default -p no:cacheprovider -rs)
# Tests on a GPU spend their time compiling, which several processes do in parallel.
parallel=()
if [[ ! $dry ]] && python3 -c 'import xdist' 2>/dev/null; then parallel=(-n 12); fi
sanitizer=(env PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --error-exitcode 1 --print-limit 20
  --target-processes application-only --tool)
sanitized=(python3 -m bench.gpu.sanitize)

# What is installed already is what is measured, unless the stage is asked for by name.
if [[ ! $dry ]] && { [[ $chosen == *" install "* ]] || ! python3 -c 'import fastvae._C' 2>/dev/null; }; then
  stage install 150 python3 -m pip install --no-build-isolation --no-deps --no-index -e .
fi
stage correctness 110 "${tests[@]}" "${parallel[@]}" tests/gpu/test_noise.py tests/gpu/test_ops.py tests/gpu/test_sync.py
stage micro 200 python3 -m bench.gpu.micro --out "$out" ${dry:+"$dry"}
stage runs 90 "${tests[@]}" "${parallel[@]}" tests/gpu/test_runs.py
stage host 30 python3 -m bench.gpu.host ${dry:+"$dry"}
[[ $dry ]] || stage profile 60 python3 -m bench.gpu.profiled --out "$out"
stage graphs 60 "${tests[@]}" tests/gpu/test_graphs.py tests/gpu/test_training.py
stage compile 60 "${tests[@]}" "${parallel[@]}" tests/gpu/test_compile.py
stage training 80 python3 -m bench.gpu.training --out "$out" ${dry:+"$dry"}
# What is compiled here is in Triton's cache for the next two, in which compiling would take minutes.
stage sanitize 60 "${sanitized[@]}" ${dry:+"$dry"}
if [[ ! $dry ]]; then
  stage memcheck 40 "${sanitizer[@]}" memcheck "${sanitized[@]}"
  stage racecheck 40 "${sanitizer[@]}" racecheck "${sanitized[@]}"
fi
stage large 40 "${tests[@]}" tests/gpu/test_large.py
stage picture 10 python3 -m bench.plot "$out/gpu.csv"
stage table 5 python3 -m bench.table "$out/gpu.csv"
exit "$failed"
