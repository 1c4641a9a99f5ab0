#!/usr/bin/env bash
# Writes docs/benchmarks/step-model.md: what a training step asks of an H200, kernel by kernel, from the launches that
# clx-train makes at real sizes on a stand-in for the GPU (CLX_STAND_IN_LOG in tests/stand_in/gpu.h).
# Run: tests/step_model.sh [FOLDER]   (of clx-train with the stand-in, default build/dev/bin/stand_in; half a minute)
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
train=${1:-build/dev/bin/stand_in}/clx-train
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=docs/benchmarks/step-model.md

# launches ARCH SIDE BATCH STEPS FILE: the results of a run without arithmetic are no numbers, which ends it after its steps.
launches() {
  CLX_STAND_IN_MEMORY=150754820096 CLX_STAND_IN_LOG=$5 "$train" --device cuda --arch "$1" --image-size "$2" --batch-size "$3" \
    --train-samples $(($3 * $4)) --test-samples 2 --epochs 1 --precision bf16 --graph off --quiet --overwrite \
    --output-dir "$work/run" >/dev/null 2>"$work/errors" || (($? == 4)) || { cat "$work/errors" >&2; return 1; }
}

# model ARCH SIDE BATCH GFLOP: a step's launches are those of four steps without those of three.
model() {
  launches "$1" "$2" "$3" 3 "$work/3"
  launches "$1" "$2" "$3" 4 "$work/4"
  printf '\n## %s, batch %s of %s×%s, bf16\n\n' "$1" "$3" "$2" "$2"
  awk -F'\t' -v batch="$3" -v gflop="$4" '
    FNR == 1 { ++file }
    file < 3 && NF == 5 {  # an allocation that both see is scratch memory
      for (i = split($5, list, " "); i > 0; --i) {
        if ($1 ~ /finish_gradient_sums_kernel/) finish[file, list[i]]
        if ($1 ~ /sum_runs_kernel/) runs[file, list[i]]
      }
      next
    }
    $1 == "most memory" { memory = $2; next }
    {
      name = $1
      gsub(/clx::kernels::|\(anonymous namespace\)::|clx::|^void /, "", name)
      sub(/\([^()]*\)$/, "", name)
      run = file == 3 ? 1 : 2
      sign = run == 1 ? -1 : 1
      n[name] += sign; blocks[name] += sign * $2
      for (i = split($5, list, " "); i > 0; --i)
        if (!((run, list[i]) in finish && (run, list[i]) in runs)) { split(list[i], part, ":"); bytes[name] += sign * part[2] }
    }
    END {
      for (name in n) if (n[name] > 0 && bytes[name] >= 1e6) {
        printf "%012.0f| `%s` | %d | %d | %.0f | %.0f |\n", bytes[name], name, n[name], blocks[name] / n[name],
          bytes[name] / 1e6, bytes[name] / 4.8e6 | "sort -rn | cut -c13- >'"$work"'/rows"
        all += n[name]; sum += bytes[name]
        if (name ~ /wgmma|TensorCoreTile/) convolutions += bytes[name]
      } else all += n[name]
      close("sort -rn | cut -c13- >'"$work"'/rows")
      print "| kernel | launches | blocks each | MB | µs at 4.8 TB/s |\n|---|---:|---:|---:|---:|"
      while ((getline row < "'"$work"'/rows") > 0) print row
      flops = batch * gflop / 989 * 1000
      memory_bound = convolutions / 4.8e6
      bound = (sum - convolutions) / 4.8e6 + (flops > memory_bound ? flops : memory_bound)
      printf "\n%d launches, %.1f GB, at most %.2f GiB of memory. The convolutions: %.0f GFLOP, %.0f µs at 989 TFLOP/s, or %.0f µs of memory. ",
        all, sum / 1e9, memory / 2^30, batch * gflop, flops, memory_bound
      printf "Together no less than %.2f ms: **at most %.0f images/s**.\n", bound / 1000, batch / bound * 1e6
    }' "$work/3" "$work/4" "$work/3" "$work/4"
}

{
  cat <<'TEXT'
# What a training step asks of an H200

A model, not a measurement: every launch of one step of `clx-train`, as it is made at these sizes on a stand-in for the GPU
that executes nothing; the bytes of all allocations that a launch's parameters point to, each once; and the time that they
take at the data sheet's 4.8 TB/s. Scratch memory is left out, so that `finish_…`, `fold_…` and `sum_runs` are understated;
an old pointer in a structure's padding counts, so that rows vary by up to 3 %. Convolutions take what is longer, their memory or their operations at 989 TFLOP/s. A GPU reaches some 85 % of the
one and 60 to 70 % of the other. Written by `tests/step_model.sh`.
TEXT
  model resnet18-cifar 32 512 3.34
  model resnet50 224 256 24.5
} >"$work/page"
mv "$work/page" "$page"
