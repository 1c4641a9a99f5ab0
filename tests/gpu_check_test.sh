#!/usr/bin/env bash
# Runs gpu_check.sh from end to end without a GPU: its tools and the tests are stand-ins that note how they are called;
# the programs are ours, made smaller and sent to the CPU or the emulator, so that flags and result files are the real ones.
# Run: tests/gpu_check_test.sh BIN   (the folder of the programs)
set -uo pipefail
tests=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export BIN=$(readlink -f "$1")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
export CALLS=$root/calls BREAK=
mkdir -p "$root/tools" "$root/house/tests/peers" "$root/house/docs"
cp "$tests"/{gpu_check,replace_block}.sh "$root/house/tests/"
cp "$tests/peers/torch_train.py" "$root/house/tests/peers/"
cp "$tests/../docs/ladder.md" "$root/house/docs/"
cd "$root"

tool() { { echo '#!/usr/bin/env bash'; echo "echo \"$1 \$*\" >>\"\$CALLS\""; cat; } >"tools/$1" && chmod +x "tools/$1"; }
tool nvidia-smi <<'T'
case $* in
  *=name*) echo 'Test GPU 9000' ;;
  *=compute_cap*) [[ $BREAK == old ]] && echo 7.5 || echo 9.0 ;;
  *) echo '580.65, 141 GiB, 1980 MHz, 700 W' ;;
esac
T
tool nvcc <<'T'
echo 'Cuda compilation tools, release 13.0, V13.0.88'
T
tool cmake <<'T'
[[ $BREAK != build || $1 != --build ]] || { echo 'conv2d.cu: error'; exit 1; }
[[ $1 == --build ]] || exit 0
mkdir -p "$2/bin"
for name in test_{kernels,runtime,nn,xai,apps} clx-{train,eval,bench}; do ln -sf "$(dirname "$0")/$name" "$2/bin/"; done
T
for area in kernels runtime nn xai apps; do
  tool test_$area <<T
[[ \$BREAK != cut-$area ]] || { kill -TERM "\$(<\$CALLS.pid)"; sleep 100; }
[[ \$BREAK != slow-$area ]] || sleep 100
if [[ \$BREAK == fail-$area && \$GTEST_SHARD_INDEX == 1 ]]; then
  printf '[  PASSED  ] 1 test.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] Conv2d.IsRight (3 ms)\n'
  exit 1
fi
printf '[  PASSED  ] 2 tests.\n[  SKIPPED ] 1 test.\n'
T
done
tool compute-sanitizer <<'T'
[[ $BREAK != race || $2 != racecheck ]] || { echo '========= Error: Race reported'; exit 9; }
T
tool python3 <<'T'
[[ $1 != -c ]] || exit 0
[[ -e $1 ]] || exit 2
echo 'train nhwc bf16  12345.0 img/s'
T
tool clx-train <<'T'
[[ $* != *cudnn* || $BREAK != cudnn ]] || { echo 'error: cuDNN was not found' >&2; exit 1; }
words=$(sed -E 's/--device cuda/--device cpu/; s/--epochs [0-9]+/--epochs 1/; s/--train-samples [0-9]+/--train-samples 48/
  s/ --conv cudnn --matmul cublas//' <<<"$*")
[[ $BREAK != bits || $* != *--concurrent* ]] || words+=' --lr 0.2'
exec "$BIN/clx-train" $words --test-samples 16 --image-size 16 --width 0.25 --batch-size 16 --threads 1
T
tool clx-eval <<'T'
words=$(sed -E 's/--device cuda/--device cpu/; s/--limit [0-9]+/--limit 4/; s/ --conv cudnn --matmul cublas//' <<<"$*")
exec "$BIN/clx-eval" $words --threads 1
T
tool clx-bench <<'T'
[[ $BREAK != driver ]] || exec "$BIN/clx-bench" --device cuda:99
words=$(sed -E 's/--device cuda/--device emulated/; s/(--benchmark-filter) -\^ladder/\1 ^sgd/; s/(-min-time) [0-9.]+/\1 0/
  s/(-repetitions) [0-9]+/\1 1/' <<<"$*")
exec "$BIN/clx-bench" $words
T

failures=0
# expect WHAT, with a condition as exit code of the command before
expect() { local code=$?; ((code == 0)) || { echo "FAILED: $1"; failures=$((failures + 1)); cat output; }; }
# check ARGUMENTS: one call of gpu-check; its exit code in $code, what it printed in output.
check() {
  : >calls
  code=0
  PATH=$root/tools:/usr/bin:/bin JOBS=2 bash -c 'echo $$ >"$CALLS.pid"; exec house/tests/gpu_check.sh "$@"' _ \
    --data "$root" "$@" >output 2>&1 || code=$?
}
report=house/docs/benchmarks/test-gpu-9000.md
has() { grep -qF -- "$1" "$report"; }
called() { grep -c "^$1" calls || true; }

BREAK=build check
[[ $code == 1 ]] && grep -q 'conv2d.cu: error' output; expect 'a failing build ends it, and says why'

grep -q 'DCLX_CUDA_ARCHITECTURES=80-virtual;90a$' calls; expect 'built for this GPU and for the emulator'

BREAK=driver check
[[ $code == 1 ]] && grep -q 'error: device: expected' output; expect 'a GPU that the programs cannot use ends it, and says why'

BREAK=old check
[[ $code == 1 ]] && grep -q 'capability 8.0 or later, got Test GPU 9000 (sm_75)' output; expect 'a GPU that is too old'

BREAK=cut-nn check
[[ $code == 130 && $(called test_runtime) == 2 ]]; expect 'ended in the middle of the tests'
has 'suite: not run yet'; expect 'a report of what was done until then'

BREAK=slow-nn check --minutes 0.05
[[ $code == 0 ]] && grep -q 'suite: cut off after 0.05 minutes' output; expect 'cut off when the minutes are over'
BREAK='' check
[[ $code == 0 ]]; expect 'the next call goes to the end'
grep -q 'building: done before' output && [[ $(called cmake) == 0 ]]; expect 'the build is not done again'
[[ $(called test_runtime) == 0 && $(called test_nn) == 2 ]]; expect 'tests that have passed are not run again'
for part in '# Test GPU 9000' 'Driver 580.65, 141 GiB' 'for `sm_90` by nvcc 13.0' '`test_nn`: 4 passed, 2 skipped' \
  '- memcheck: clean' '- racecheck: clean' "The first epoch's losses differ by 0.00e+00" '| sgd_step/emulated/' \
  '| ladder_matmul_6_wgmma/emulated/' '12345.0 img/s' ' s. The bits are the same.'; do
  has "$part"; expect "the report has: $part"
done
for run in cpu cuda 'cuda by cuDNN and cuBLAS'; do
  grep -qE "^\| $run \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \|$" "$report"; expect "numbers of the run: $run"
done
[[ $(grep -c 'not run yet' "$report") == 0 ]]; expect 'nothing is missing'
grep -q '^On Test GPU 9000, version' house/docs/ladder.md; expect 'the ladder has its measured table'

check
[[ $code == 0 && $(grep -c 'done before' output) == 8 && $(called 'test_\|clx-bench --dev\|compute-sanitizer') == 0 ]]
expect 'a third call does nothing again'

BREAK=fail-xai check --fresh
[[ $code == 1 ]]; expect 'a failing test fails the check'
has '`test_xai`: 3 passed, 1 skipped, 1 failed' && has '    [  FAILED  ] Conv2d.IsRight'; expect 'and is named'
has '12345.0 img/s'; expect 'the stages after it are run all the same'
check
[[ $code == 0 && $(called test_xai) == 2 && $(called test_apps) == 0 && $(called clx-eval) == 0 ]]; expect 'and is tried again, alone'
! has 'FAILED'; expect 'the report forgets it then'

BREAK=slow-kernels check --fresh --minutes 0.05 --bin build/gpu/bin
[[ $code == 0 && $(called cmake) == 0 && $(called test_kernels) == 2 ]] && has 'elsewhere, and run on `sm_90`'
expect 'programs that were built elsewhere'
check --bin docs
[[ $code == 1 ]] && grep -q 'error: gpu-check: expected programs in docs, got none' output; expect 'none there'

BREAK=race check --fresh
[[ $code == 1 ]] && has '- racecheck: exit 9' && has 'Error: Race reported'; expect 'what compute-sanitizer finds'

BREAK=bits check --fresh
[[ $code == 1 ]] && has ' s. The bits differ.'; expect 'seeds that end otherwise at once than in turn'

rm tools/compute-sanitizer
printf '#!/bin/sh\nexit 1\n' >tools/python3
BREAK=cudnn check --fresh
[[ $code == 0 ]] && has 'left out: no compute-sanitizer' && has 'left out: python3 has no torch' &&
  has '| cuda by cuDNN and cuBLAS | failed |'; expect 'without compute-sanitizer, PyTorch and cuDNN'

check --fresh --minutes 0
[[ $code == 0 && $(called 'cmake\|test_\|clx-bench') == 0 && $(grep -c 'not run yet' "$report") == 8 ]]
expect 'nothing begins when the minutes are over'

rm tools/nvidia-smi
check
[[ $code == 1 ]] && grep -q 'error: gpu-check: expected a GPU and its driver, got no nvidia-smi' output; expect 'no GPU'
check --nonsense
[[ $code == 2 ]] && grep -q "unknown option --nonsense" output; expect 'an unknown option'

((failures == 0)) && echo 'gpu_check.sh: all as expected'
