#!/usr/bin/env bash
# Turns minutes on a machine with a GPU into a report, docs/benchmarks/<gpu>.md: build, tests on the device, memory
# checks, a training and evaluation on CPU and GPU side by side, benchmarks beside cuDNN, cuBLAS and PyTorch. Called by
# `./run gpu-check`. A stage that is done for this commit is not done again, so a run that was cut off goes on where it
# was; without PyTorch, compute-sanitizer or cuDNN their parts are left out, and the report says so.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 1

device=cuda data=${CLX_TEST_DATA:-../shared/data} minutes=8 fresh= packed=
usage() {
  cat <<'TEXT'
Usage: ./run gpu-check [options]

Builds for this GPU, runs all tests on it, trains and evaluates on CPU and GPU side by side, trains several seeds in
turn and at once, runs clx-bench beside cuDNN and cuBLAS and the same training step in PyTorch, climbs the ladder, and
has compute-sanitizer look on. Each stage is announced as it begins and stands in the report when it is done. Together
they are estimated at 8 to 10 minutes on 16 cores (no GPU has run them yet).

  --minutes N     stop after so many minutes (8), within a stage if need be; the next call goes on
  --data DIR      folder with cifar-10-batches-bin, for the real training (../shared/data, or CLX_TEST_DATA)
  --fresh         forget what earlier calls have done
  --bin DIR       build nothing: DIR has what tests/gpu_pack.sh has packed elsewhere, for a machine without packages
  --device cpu    a rehearsal without a GPU
TEXT
}
while (($#)); do
  case $1 in
    --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
    --data) data=${2:?--data needs a folder}; shift 2 ;;
    --bin) packed=${2:?--bin needs a folder}; shift 2 ;;
    --device) device=${2:?--device needs cuda or cpu}; shift 2 ;;
    --fresh) fresh=1; shift ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'error: unknown option %s\n\n' "$1" >&2; usage >&2; exit 2 ;;
  esac
done

if [[ $device == cpu ]]; then
  gpu='rehearsal without a GPU' architecture=none
else
  command -v nvidia-smi >/dev/null || { echo 'error: gpu-check: expected a GPU and its driver, got no nvidia-smi' >&2; exit 1; }
  gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
  architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
  [[ -n $gpu && -n $architecture ]] || { echo 'error: gpu-check: nvidia-smi names no GPU' >&2; exit 1; }
  ((architecture >= 80)) || { echo "error: gpu-check: expected a GPU of compute capability 8.0 or later, got $gpu (sm_$architecture)" >&2; exit 1; }
  # Machine code for this GPU (with wgmma and TMA where it has them), and the PTX that the emulator's tests execute.
  case $architecture in
    80) architectures='80;90a-virtual' ;;
    90) architectures='80-virtual;90a' ;;
    *) architectures="80-virtual;90a-virtual;$architecture-real" ;;
  esac
  if [[ -z $packed ]] && ! command -v nvcc >/dev/null; then
    export PATH=$PATH:/usr/local/cuda/bin
    command -v nvcc >/dev/null || { echo 'error: gpu-check: expected nvcc (CUDA toolkit), got none' >&2; exit 1; }
  fi
fi

# NVIDIA's libraries may be those of python3's packages.
if [[ -z ${VIRTUAL_ENV:-} ]] && prefix=$(python3 -c 'import sys; print(sys.prefix)' 2>/dev/null); then export VIRTUAL_ENV=$prefix; fi

build=$PWD/build/gpu
end=$(awk -v m="$minutes" 'BEGIN { print int(60 * m) }')  # seconds
state=$build/check/$(git rev-parse --short HEAD 2>/dev/null || echo none)$(git diff --quiet HEAD -- . ':!docs' 2>/dev/null || echo -changed)
[[ -z $fresh ]] || rm -rf "$state"
mkdir -p "$state"
bin=$build/bin
failed=0
if [[ -n $packed ]]; then
  bin=$(readlink -f "$packed")
  [[ -x $bin/clx-bench ]] || { echo "error: gpu-check: expected programs in $packed, got none" >&2; exit 1; }
  export CLX_TEST_ROOT=$PWD
fi

job=
trap '[[ -z $job ]] || kill -- "-$job"; exit 130' INT TERM HUP

# stage NAME: runs the function of that name unless it is done; what it prints is its part of the report. One that is not
# done when the minutes are over is cut off.
stage() {
  local name=$1 start=$SECONDS code=0
  [[ ! -e $state/$name.md ]] || { echo "== $name: done before"; return; }
  if ((SECONDS >= end)); then
    echo "== $name: left for the next call"
    return
  fi
  echo "== $name"
  set -m  # a process group of its own, so that what it started ends with it
  "$name" >"$state/$name.part" 2>"$state/$name.log" &
  job=$!
  set +m
  while kill -0 "$job" 2>/dev/null; do
    if ((SECONDS >= end)); then
      kill -- "-$job"
      echo "== $name: cut off after $minutes minutes; the next call begins it anew"
      wait "$job" 2>/dev/null
      job=
      rm -f "$state/$name.part"
      return
    fi
    sleep 0.2
  done
  wait "$job" || code=$?
  job=
  printf '\n%s s\n' $((SECONDS - start)) >>"$state/$name.part"
  if ((code)); then
    failed=1
    printf '\nFAILED (exit %s):\n\n```\n%s\n```\n' "$code" "$(tail -n 30 "$state/$name.log")" >>"$state/$name.part"
    mv "$state/$name.part" "$state/$name.failed.md"  # and is tried again by the next call
    tail -n 5 "$state/$name.log"
    [[ $name != building ]] || exit 1
  else
    rm -f "$state/$name.failed.md"
    mv "$state/$name.part" "$state/$name.md"
  fi
}

building() {
  echo '## Build'
  if [[ -n $packed ]]; then
    "$bin/clx-bench" --device "$device" --benchmark-list-tests >&2 || return
    printf '\nelsewhere, and run on `sm_%s`\n' "$architecture"
    return
  fi
  local arguments=(-DCLX_HEADER_TESTS=OFF)
  if [[ $device == cpu ]]; then arguments+=(-DCLX_CUDA=OFF); else arguments+=(-DCLX_CUDA=ON "-DCLX_CUDA_ARCHITECTURES=$architectures"); fi
  cmake --preset release -B "$build" "${arguments[@]}" >&2 || return
  cmake --build "$build" -j "${JOBS:-$(nproc)}" >&2 || return
  "$bin/clx-bench" --device "$device" --benchmark-list-tests >&2 || return  # says why if the GPU cannot be used
  printf '\nfor `sm_%s` by %s\n' "$architecture" "$(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/nvcc \1/p' | tail -1)"
}

# summary_of FILE: "12 passed, 3 skipped" of a gtest log, or of several in one.
summary_of() {
  sed -n 's/^\[ *\(PASSED\|SKIPPED\|FAILED\) *\] \([0-9]*\) test.*/\1 \2/p' "$1" |
    awk '{ n[$1] += $2 } END { printf "%d passed", n["PASSED"]
      if (n["SKIPPED"]) printf ", %d skipped", n["SKIPPED"]; if (n["FAILED"]) printf ", %d failed", n["FAILED"] }'
}

# tests AREA: those of one folder, as many processes at once as there are cores, their output in $state/AREA.txt.
tests() {
  local shard pids=() code=0 jobs=${JOBS:-$(nproc)}
  for ((shard = 0; shard < jobs; ++shard)); do
    GTEST_TOTAL_SHARDS=$jobs GTEST_SHARD_INDEX=$shard timeout --foreground 400 "$bin/test_$1" --gtest_brief=1 >"$state/$1.$shard" 2>&1 &
    pids+=($!)
  done
  for shard in "${!pids[@]}"; do
    wait "${pids[shard]}" || { code=$?; echo "process $shard of test_$1: exit $code" >>"$state/$1.$shard"; }
  done
  cat "$state/$1".[0-9]* >"$state/$1.txt"
  rm "$state/$1".[0-9]*
  return $code
}

suite() {
  echo '## Tests'
  echo
  local area code=0
  for area in kernels runtime nn xai apps; do
    [[ -x $bin/test_$area ]] || continue
    if [[ ! -e $state/$area.passed ]]; then  # an area that has passed is not run again
      if tests "$area"; then touch "$state/$area.passed"; else code=1; fi
    fi
    printf -- '- `test_%s`: %s\n' "$area" "$(summary_of "$state/$area.txt")"
    grep -E '^\[  FAILED  \] [A-Za-z]|^process [0-9]' "$state/$area.txt" | sed 's/ ([0-9]* ms)$//' | sort -u | sed 's/^/    /'
  done
  return $code
}

sanitizer() {
  echo '## Memory checks'
  echo
  if [[ $device == cpu ]] || ! command -v compute-sanitizer >/dev/null; then
    echo 'left out: no compute-sanitizer'
    return
  fi
  # Not the tests that make a program abort, or ask for more memory than there is: refused calls are errors, too.
  local tool result pids=() code=0 filter='*cuda*-*DeathTest*:*SaysHowMuchMemoryIsMissing*'
  for tool in memcheck racecheck; do
    timeout --foreground 200 compute-sanitizer --tool $tool --error-exitcode 9 "$bin/test_runtime" \
      --gtest_filter="$filter" --gtest_brief=1 >"$state/$tool.txt" 2>&1 &
    pids+=($!)
  done
  for tool in memcheck racecheck; do
    result=0
    wait "${pids[0]}" || result=$?
    pids=("${pids[@]:1}")
    if ((result == 0)); then
      printf -- '- %s: clean\n' $tool
    else
      code=1
      printf -- '- %s: exit %s\n\n```\n%s\n```\n' $tool $result "$(grep -vE '^\[' "$state/$tool.txt" | tail -n 20)"
    fi
  done
  return $code
}

value() { sed -n "s/.*\"$2\": *\([-0-9.eE+]*\).*/\1/p" "$1" | tail -1; }                   # of the last epoch
mean() { sed -n "/\"$2\": {/,/}/s/.*\"mean\": *\([-0-9.eE+]*\).*/\1/p" "$1"; }               # of a metric

side_by_side() {
  echo '## One run on both devices'
  echo
  local set=(--dataset shapes --train-samples 4000 --augment none) epochs=4 where code=0
  if [[ -e $data/cifar-10-batches-bin/test_batch.bin && $device == cuda ]]; then
    set=(--dataset cifar10 --data-dir "$data/cifar-10-batches-bin" --train-files data_batch_1.bin --limit 5000) epochs=3
  fi
  printf '`clx-train %s --arch resnet20 --epochs %s`, then `clx-eval --limit 200`, f32\n\n' "${set[*]}" $epochs
  echo '| | training loss | test accuracy | s an epoch | pixel flipping AUC, Grad-CAM | complexity |'
  echo '|---|---:|---:|---:|---:|---:|'
  local runs=(cpu "$device") how
  [[ $device != cuda ]] || runs+=('cuda by cuDNN and cuBLAS')
  for where in "${runs[@]}"; do
    local out=$state/run-${where// /-}
    how=(--device "${where%% *}")
    [[ $where != *cuDNN* ]] || how+=(--conv cudnn --matmul cublas)
    "$bin/clx-train" "${set[@]}" --arch resnet20 --epochs $epochs "${how[@]}" --output-dir "$out" --overwrite --quiet >&2 ||
      { [[ $where == *cuDNN* ]] && echo "| $where | failed |" && continue; return 1; }
    "$bin/clx-eval" --run "$out" --limit 200 "${how[@]}" --output-dir "$out/eval" --overwrite --quiet >&2 || return
    local m=$out/seed0/metrics.jsonl s=$out/eval/summary.json
    printf '| %s | %s | %s | %s | %s | %s |\n' "$where" "$(value "$m" train_loss)" "$(value "$m" test_accuracy)" \
      "$(value "$out/seed0/timings.jsonl" seconds)" "$(mean "$s" GradCAM_PF_AUC)" "$(mean "$s" GradCAM_Complexity)"
  done
  # The devices round differently, and training amplifies it: the first epoch's loss is held tightly, the end loosely.
  awk -v a="$(head -1 "$state/run-cpu/seed0/metrics.jsonl" | sed 's/.*"train_loss": *\([-0-9.eE+]*\).*/\1/')" \
    -v b="$(head -1 "$state/run-$device/seed0/metrics.jsonl" | sed 's/.*"train_loss": *\([-0-9.eE+]*\).*/\1/')" \
    'BEGIN { d = a - b; if (d < 0) d = -d; printf "\nThe first epoch'"'"'s losses differ by %.2e (allowed 2e-2).\n", d; exit !(d <= 2e-2) }' || code=1
  return $code
}

seeds_at_once() {
  echo '## Several seeds in turn and at once'
  echo
  local samples=10000 epochs=5 start file code=0
  [[ $device != cpu ]] || samples=500 epochs=1
  local arguments=(--dataset shapes --train-samples $samples --arch resnet20 --epochs $epochs --device "$device" --seeds 0-4 --overwrite --quiet)
  printf '`clx-train %s`, without and with `--concurrent`, f32\n\n' "${arguments[*]}"
  start=$SECONDS
  "$bin/clx-train" "${arguments[@]}" --output-dir "$state/seeds-turn" >&2 || return
  printf 'In turn %s s, ' $((SECONDS - start))
  start=$SECONDS
  "$bin/clx-train" "${arguments[@]}" --output-dir "$state/seeds-once" --concurrent >&2 || return
  printf 'at once %s s. ' $((SECONDS - start))
  for file in "$state"/seeds-turn/seed*/{metrics.jsonl,checkpoints/final.safetensors}; do
    cmp "$file" "${file/seeds-turn/seeds-once}" >&2 || code=1
  done
  ((code)) && echo 'The bits differ.' || echo 'The bits are the same.'
  return $code
}

benchmarks() {
  echo '## Operations'
  echo
  timeout --foreground 240 "$bin/clx-bench" --device "$device" --benchmark-filter '-^ladder' --benchmark-min-time 0.05 --benchmark-repetitions 3 \
    --benchmark-out "$state/bench.json" --markdown "$state/bench.table" >&2 || return
  cat "$state/bench.table"
}

ladder() {
  echo '## The teaching ladder'
  echo
  if [[ $device == cpu ]]; then
    echo 'left out: its kernels are for GPUs'
    return
  fi
  timeout --foreground 120 "$bin/clx-bench" --device "$device" --benchmark-filter '^ladder' --benchmark-min-time 0.02 \
    --benchmark-repetitions 3 --markdown "$state/ladder.table" >&2 || return
  grep '^|' "$state/ladder.table"
  { echo "On $gpu, version $("$bin/clx-bench" --version | head -1):"; echo; grep '^|' "$state/ladder.table"; } |
    tests/replace_block.sh docs/ladder.md measured
}

pytorch() {
  echo '## Training beside PyTorch'
  echo
  if ! python3 -c 'import torch' 2>/dev/null; then
    echo 'left out: python3 has no torch'
    return
  fi
  local arch batch how
  echo '```'
  for arch in resnet18-cifar resnet50; do
    batch=512  # those of clx-bench's rows
    [[ $arch != resnet50 ]] || batch=128
    for how in '' '--mode train --compile'; do
      [[ $device != cpu || $how != *compile ]] || continue
      # shellcheck disable=SC2086
      timeout --foreground 120 python3 tests/peers/torch_train.py --arch $arch --batch $batch $how --precision bf16 --layout nhwc --device "$device" 2>&1 |
        grep -v Warning
    done
  done
  echo '```'
}

name=$(tr '[:upper:] ' '[:lower:]-' <<<"$gpu" | tr -cd 'a-z0-9.-')
report=docs/benchmarks/$name.md
[[ $device != cpu ]] || report=$state/$name.md
mkdir -p "$(dirname "$report")"
stages=(building suite side_by_side seeds_at_once benchmarks pytorch ladder sanitizer)  # the most telling first

write_report() {
  echo "# $gpu"
  echo
  echo "Written by \`./run gpu-check\`, version $("$bin/clx-train" --version 2>/dev/null | head -1)."
  [[ $device == cpu ]] || nvidia-smi --query-gpu=driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader |
    head -1 | awk -F', ' '{ printf "\nDriver %s, %s, at most %s, %s.\n", $1, $2, $3, $4 }'
  local part
  for part in "${stages[@]}"; do
    echo
    if [[ -e $state/$part.md ]]; then cat "$state/$part.md"
    elif [[ -e $state/$part.failed.md ]]; then cat "$state/$part.failed.md"
    else echo "$part: not run yet; call \`./run gpu-check\` again"
    fi
  done
}

for stage in "${stages[@]}"; do
  stage "$stage"
  write_report >"$report.part" && mv "$report.part" "$report"  # each time: the machine may be taken away
done
echo "report: $report, after $SECONDS s"
exit $failed
