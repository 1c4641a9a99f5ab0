#!/usr/bin/env bash
# Writes docs/benchmarks/kernel-resources.md: registers, shared memory and spills of every kernel, as ptxas
# assigns them to the PTX of a program of this build; kernel-model.md: what the hot kernels must cost; and the
# model in docs/ladder.md.
# Run: tests/kernel_resources.sh [PROGRAM]   (default build/dev/bin/test_kernels; needs ptxas; half a minute)
# With --check nothing is written; it fails if a hot kernel spills, or if the tables differ although the compiler is the
# one that they were made by. Either way it fails if ptxas warns, as of wgmmas that it puts one after the other.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
check=
if [[ ${1:-} == --check ]]; then
  check=1
  shift
fi
program=${1:-build/dev/bin/test_kernels}
ptxas=$(command -v ptxas || echo /usr/local/cuda/bin/ptxas)
compiler=$("$ptxas" --version | sed -n 's/.*, V//p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The PTX modules of the program, one file each; the tests' own kernels are left out.
objcopy -O binary --only-section=.nv_fatbin "$program" "$work/fat"
tr '\0' '\n' <"$work/fat" | awk -v dir="$work" '
  /^\.version /{ ++n; file = dir "/" n ".ptx"; print > file; next }
  /[^\t -~]/{ file = "" }
  file != ""{ print > file }'
for module in "$work"/*.ptx; do
  if grep -q '^\.entry.*compiled_kernels_cu' "$module"; then rm "$module"; fi
done

# arch, kernel, source, registers, static shared bytes, stack, spill stores, spill loads, threads
for module in "$work"/*.ptx; do
  arch=$(sed -n 's/^\.target \(sm_[0-9a-z]*\).*/\1/p' "$module")
  "$ptxas" -v -arch="$arch" -o /dev/null "$module" 2>"$work/log"
  ! grep -iE 'warning|serialized' "$work/log" >&2 || exit 1
  awk '/^\.(visible |weak )?\.?entry/{ name = $NF; sub(/\(.*/, "", name) }
       /^\.maxntid/{ gsub(",", ""); print name, $2 * $3 * $4 }' "$module" >"$work/threads"
  awk -v arch="$arch" '
    FILENAME ~ /threads$/ { threads[$1] = $2; next }
    /Compiling entry function/ { split($0, part, "'\''"); name = part[2] }
    /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
      match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
      shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
      source = "-"
      if (match(name, /_GLOBAL__N__[0-9a-f]+_[0-9]+_[a-z0-9_]*_cu_/)) {
        source = substr(name, RSTART, RLENGTH); sub(/_GLOBAL__N__[0-9a-f]+_[0-9]+_/, "", source); sub(/_cu_$/, ".cu", source)
      }
      print arch "\t" name "\t" source "\t" registers "\t" shared "\t" stack "\t" stores "\t" loads "\t" (name in threads ? threads[name] : 256)
    }' "$work/threads" "$work/log"
done | c++filt | sed -e 's/(anonymous namespace):://g' -e 's/clx::kernels:://g' -e 's/clx:://g' -e 's/\tvoid /\t/' |
  awk -F'\t' -v OFS='\t' '{ sub(/\(.*/, "", $2); print }' | sort -u >"$work/resources"

{
  cat <<TEXT
# Registers, shared memory and spills

What ptxas $compiler gives each kernel, for A100 (sm_80) and H100/H200 (sm_90a). Shared memory is the static part: that of
the tiled convolutions is asked for at the launch. Stack is for arrays that are indexed at run time; spills are
what did not fit into registers. Written by \`tests/kernel_resources.sh\`.

| source | kernel | registers sm_80 | sm_90a | shared | stack | spills |
|---|---|---:|---:|---:|---:|---:|
TEXT
  awk -F'\t' '
    { key = $3 "\t" $2; keys[key]; registers[key, $1] = $4; shared[key] = $5
      if ($6 > stack[key]) stack[key] = $6; spills[key] += $7 + $8 }
    END { for (key in keys) { split(key, part, "\t")
      printf "| %s | `%s` | %s | %s | %d | %d | %d |\n", part[1], part[2], registers[key, "sm_80"],
        registers[key, "sm_90a"], shared[key], stack[key], spills[key] } }' "$work/resources" | LC_ALL=C sort
} >"$work/kernel-resources.md"

# ------------------------------------------------------------------------------------------ the model
# shape; kernel; dynamic shared bytes; FLOPs; bytes; unit (mma: the tensor cores of A100, wgmma: of H100, tensor: of
# both; f32 and f64: the rest)
conv() { # NAME N H C K R STRIDE: images H×H, windows R×R padded by R/2, bf16
  awk -v name="$1" -v N="$2" -v H="$3" -v C="$4" -v K="$5" -v R="$6" -v stride="${7:-1}" 'BEGIN {
    p = int(H / stride); x = N * H * H * C; y = N * p * p * K; f = 2 * y * C * R * R
    b = 2 * (x + y + C * K * R * R); w = 2 * (x + y) + 4 * C * K * R * R
    large = "TensorCoreTile<128, 128, 64, 64>"; medium = "TensorCoreTile<128, 64, 64, 32>"; small = "TensorCoreTile<64, 64, 32, 32>"
    bytes[large] = 49152; bytes[medium] = 36864; bytes[small] = 24576
    shape = name " " N "×" H "×" H "×" C " → " K ", " R "×" R (stride > 1 ? ", stride " stride : "")
    if (C % 8) { # a stem: copied number by number; no gradient of the images
      printf "%s\tforward_kernel<%s, false, bf16>\t%d\t%.0f\t%.0f\ttensor\n", shape, small, bytes[small], f, b
      printf "%s\tbackward_weight_kernel<%s, false, bf16>\t%d\t%.0f\t%.0f\ttensor\n", shape, small, bytes[small], f, w
      exit
    }
    fwd = K > 64 ? large : medium; data = C > 64 ? large : medium; wgt = K > 64 && C * R * R > 64 ? large : small
    printf "%s\tforward_kernel<%s, true, bf16>\t%d\t%.0f\t%.0f\tmma\n", shape, fwd, bytes[fwd], f, b
    printf "%s\tbackward_data_kernel<%s, true, bf16>\t%d\t%.0f\t%.0f\tmma\n", shape, data, bytes[data], f, b
    printf "%s\tbackward_weight_kernel<%s, true, bf16>\t%d\t%.0f\t%.0f\tmma\n", shape, wgt, bytes[wgt], f, w
    wide = K % 128 == 0 ? 128 : 64; wide_data = C % 128 == 0 ? 128 : 64
    printf "%s\timage_wgmma_kernel<WgmmaTile<%d>, true>\t98304\t%.0f\t%.0f\twgmma\n", shape, wide, f, b
    printf "%s\timage_wgmma_kernel<WgmmaTile<%d>, false>\t98304\t%.0f\t%.0f\twgmma\n", shape, wide_data, f, b
    printf "%s\tweight_wgmma_kernel<WgmmaTile<%d> >\t98304\t%.0f\t%.0f\twgmma\n", shape, wide, f, w }'
}
product() { # M N K TRANSPOSE_A TRANSPOSE_B (true where k is contiguous): bf16 to f32
  awk -v M="$1" -v N="$2" -v K="$3" -v a="$4" -v b="$5" 'BEGIN {
    f = 2 * M * N * K; bytes = 2 * (M * K + K * N) + 4 * M * N; shape = "product " M "×" K " · " K "×" N
    matrix = "MatrixOperand<bf16, "
    printf "%s\tmatmul_tensor_core_kernel<true, %s%s>, %s%s> >\t24576\t%.0f\t%.0f\tmma\n", shape, matrix, a, matrix, b, f, bytes
    printf "%s\tmatmul_wgmma_kernel<%s, %s>\t98304\t%.0f\t%.0f\twgmma\n", shape, a, b, f, bytes }'
}
pass() { # NAME ELEMENTS KERNEL BYTES_PER_ELEMENT FLOPS_PER_ELEMENT [UNIT]
  awk -v name="$1" -v n="$2" -v kernel="$3" -v b="$4" -v f="$5" -v unit="${6:-f32}" 'BEGIN {
    printf "%s\t%s\t0\t%.0f\t%.0f\t%s\n", name, kernel, n * f, n * b, unit }'
}
{
  conv 'R18 stem' 512 32 3 64 3
  conv 'R18 layer 1' 512 32 64 64 3
  conv 'R18 layer 2' 512 16 128 128 3
  conv 'R18 layer 3' 512 8 256 256 3
  conv 'R18 layer 4' 512 4 512 512 3
  conv 'R50 stem' 256 224 3 64 7 2
  conv 'R50 layer 1' 256 56 64 64 3
  conv 'R50 layer 1' 256 56 64 256 1
  conv 'R50 layer 3' 256 14 1024 256 1
  conv 'R50 layer 4' 256 7 512 512 3
  product 2048 2048 2048 true true  # y = x·wᵀ; dx = dy·w; dw = dyᵀ·x
  product 2048 2048 2048 true false
  product 2048 2048 2048 false false
  n=$((512 * 32 * 32 * 64))
  pass 'R18 layer 1, 33.6 M elements' $n 'statistics_kernel<bf16, 8>' 2 2
  pass 'R18 layer 1, 33.6 M elements' $n 'apply_kernel<bf16, 8>' 4.125 3
  pass 'R18 layer 1, 33.6 M elements' $n 'gradient_sums_kernel<bf16, 8>' 4.125 4
  pass 'R18 layer 1, 33.6 M elements' $n 'dx_kernel<bf16, 8>' 6.125 5
  n=$((256 * 112 * 112 * 64))
  pass 'R50 stem, 206 M elements' $n 'max_pool_forward_kernel<bf16, 8>' 2.75 2.25
  pass 'R50 stem, 206 M elements' $n 'max_pool_backward_kernel<bf16, 8>' 2.75 2.25
  pass 'R50, 25.6 M parameters' 25557032 sgd_kernel 20 5
  pass 'R50, 25.6 M parameters' 25557032 adam_kernel 28 12
  awk 'BEGIN { N = 2048; D = 128; f = 2 * N * N * D; b = 8 * N * D
    printf "2,048 views of 128\tsupcon_sums_kernel\t0\t%.0f\t%.0f\tf32\n", f, b
    printf "2,048 views of 128\tsupcon_backward_kernel\t0\t%.0f\t%.0f\tf32\n", 2 * f, 2 * b
    printf "2,048 embeddings of 128\tdistance_kernel\t0\t%.0f\t%.0f\tf32\n", f, 4 * N * D + 4 * N * N }'
  n=$((2048 * 32 * 32 * 3))
  pass '2,048 crops of 32×32×3' $n resample_kernel 5 8
  pass '2,048 crops of 32×32×3' $n 'color_kernel<bf16>' 6 20
  # 100 states of each of 100 images, of which image and ranks are read once
  pass '10,000 flipped images of 32×32×3' $((10000 * 32 * 32 * 3)) 'flip_kernel<bf16>' 2.033 1
  pass 'CAMs of 512 images, 4×4×512' $((512 * 4 * 4 * 512)) 'weighted_kernel<bf16>' 2 2
  pass 'CAMs of 512 images, 4×4×512' $((512 * 4 * 4 * 512)) gram_kernel 4 16 f64
} >"$work/hot"

# Blocks that a multiprocessor holds: registers go out by 256 a warp, shared memory with 1 KiB a block.
occupancy='
  function floor(x) { return int(x) }
  function least(a, b) { return a < b ? a : b }
  function most(a, b) { return a > b ? a : b }
  function blocks(registers, threads, shared, per_sm,   warps) {
    warps = floor((threads + 31) / 32)
    return least(least(floor(65536 / (warps * floor((registers * 32 + 255) / 256) * 256)), floor(2048 / threads)),
                 least(floor(per_sm * 1024 / (shared + 1024)), 32))
  }'

awk -F'\t' "$occupancy"'
  function cell(f, b, peak, bandwidth,   by_f, by_b) {
    by_f = f / peak / 1e6; by_b = b / bandwidth / 1e6
    return sprintf("%.1f %s", most(by_f, by_b), by_f > by_b ? "FLOPs" : "bytes")
  }
  FNR == NR { registers[$1, $2] = $4; shared[$2] = $5; threads[$2] = $9; spills[$2] += $7 + $8; next }
  {
    if (!(("sm_80", $2) in registers)) { print "no kernel " $2 > "/dev/stderr"; next }
    if (spills[$2]) print $2 " spills" > "/dev/stderr"
    s = $3 + shared[$2]; t = threads[$2]
    a = blocks(registers["sm_80", $2], t, s, 164); h = blocks(registers["sm_90a", $2], t, s, 228)
    on_a = $6 != "wgmma"; on_h = $6 != "mma"
    peak_a = $6 == "f32" ? 19.5 : $6 == "f64" ? 9.7 : 312; peak_h = $6 == "f32" ? 67 : $6 == "f64" ? 34 : 989
    printf "| %s | `%s` | %.2f | %.1f | %d | %s | %s | %s | %s | %s |\n", $1, $2, $4 / 1e9, $5 / 1e6, s / 1024,
      on_a ? a " (" floor(a * t / 20.48) " %)" : "–", on_h ? h " (" floor(h * t / 20.48) " %)" : "–",
      on_a ? cell($4, $5, peak_a, 2.04) : "–", on_h ? cell($4, $5, peak_h, 3.35) : "–",
      on_h ? cell($4, $5, peak_h, 4.8) : "–"
  }
' "$work/resources" "$work/hot" >"$work/rows" 2>"$work/spilling"
sort -u "$work/spilling" >&2
{
  cat <<'TEXT'
# What the hot kernels must cost

A model, not a measurement: the FLOPs and the bytes that a kernel cannot avoid (each tensor read or written once),
and how long the slower of the two takes on each GPU at its data sheet's rates (A100 312 TFLOP/s of bf16, 19.5 of f32, 9.7
of f64, 2.04 TB/s; H100 989, 67, 34, 3.35; H200 989, 67, 34, 4.8). Blocks are those that registers, shared memory and threads let a
multiprocessor hold, with the share of its threads. Convolutions whose C and K are multiples of 64 run by `mma.sync` on
A100, by TMA and `wgmma` on H100 and H200, where `mma.sync` is said to reach about 60 % of the tensor cores. Written by
`tests/kernel_resources.sh`.

| shape | kernel | GFLOP | MB | KiB shared | blocks A100 | blocks H100 | A100 µs | H100 µs | H200 µs |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
TEXT
  cat "$work/rows"
} >"$work/kernel-model.md"

# rung; dynamic shared bytes; bytes of global and of shared memory that a multiply-add (a number) asks for
{
  echo '| rung | threads | registers sm_80 | sm_90a | KiB shared | blocks H100 | global | shared |'
  echo '|---|---:|---:|---:|---:|---:|---:|---:|'
  while read -r rung dynamic from_global from_shared; do
    family=${rung%%_*} number=${rung#*_}
    kernel=ladder::${family}_${number%%_*}::${family}_${number%%_*}_kernel
    awk -F'\t' -v rung="$rung" -v kernel="$kernel" -v dynamic="$dynamic" -v g="$from_global" -v sh="$from_shared" "$occupancy"'
      $2 == kernel { registers[$1] = $4; shared = $5 + dynamic; threads = $9 }
      END {
        if (!threads) { print "no kernel " kernel > "/dev/stderr"; exit 1 }
        b = blocks(registers["sm_90a"], threads, shared, 228)
        printf "| `%s` | %d | %d | %d | %.1f | %d (%d %%) | %s B | %s B |\n", rung, threads, registers["sm_80"],
          registers["sm_90a"], shared / 1024, b, b * threads / 20.48, g, sh }' "$work/resources"
  done <<'RUNGS'
matmul_1_naive 0 33 0
matmul_2_coalesced 0 3 0
matmul_3_shared_tile 0 0.25 8
matmul_4_register_tile 0 0.0625 2
matmul_5_tensor_core 0 0.0625 0.125
matmul_6_wgmma 65536 0.0625 0.0625
conv_1_direct 0 33 0
conv_2_implicit_gemm 0 0.25 8
conv_3_register_tile 0 0.0625 2
conv_4_tensor_core 0 0.0625 0.125
sum_1_naive 0 32 0
sum_2_coalesced 0 4 0
sum_3_shared_tree 0 4 0
sum_4_warp_shuffle 0 4 0
sum_5_vectorised 0 4 0
RUNGS
} >"$work/ladder"
cp docs/ladder.md "$work/ladder.md"
tests/replace_block.sh "$work/ladder.md" model <"$work/ladder"

if [[ -n $check ]]; then
  [[ ! -s $work/spilling ]]
  if ! grep -qF "ptxas $compiler gives" docs/benchmarks/kernel-resources.md; then
    echo "the tables are by another ptxas than this one, $compiler: not compared"
    exit
  fi
  diff -u docs/benchmarks/kernel-resources.md "$work/kernel-resources.md"
  diff -u docs/benchmarks/kernel-model.md "$work/kernel-model.md"
  diff -u docs/ladder.md "$work/ladder.md"
else
  mkdir -p docs/benchmarks
  cp "$work"/kernel-resources.md "$work"/kernel-model.md docs/benchmarks/
  cp "$work/ladder.md" docs/
fi
