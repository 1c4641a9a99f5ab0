#!/usr/bin/env bash
# Proves that the kernel tests can fail: plants one bug after another in a copy of the sources and expects red.
# Run: tests/planted_bugs.sh [PATTERN]   (ten minutes on two cores; PATTERN, of names, leaves out the others)
# Everything happens under build/planted; what the tests said of each bug stays in build/planted/logs.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
wanted=${1:-*}
copy=build/planted/src logs=build/planted/logs
rm -rf "$copy" "$logs"
mkdir -p "$copy" "$logs"
git ls-files -z | xargs -0 cp --parents -t "$copy"
cmake -S "$copy" -B build/planted/build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCLX_CUDA=OFF >/dev/null

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Builds the tests and runs those that match; the result is theirs. A failing build ends the script.
tests() {
  local log=$1 filter=$2 environment=$3
  ninja -C build/planted/build test_kernels >"$log" 2>&1 || { cat "$log"; die "$log: it does not build"; }
  # shellcheck disable=SC2086  # words
  env $environment build/planted/build/bin/test_kernels --gtest_brief=1 --gtest_filter="$filter" >"$log" 2>&1
}

planted=0 missed=0
# plant NAME FILE SED TESTS [ENVIRONMENT]
plant() {
  local name=$1 file=$2 edit=$3 filter=$4 environment=${5-}
  # shellcheck disable=SC2053  # a pattern
  [[ $name == $wanted ]] || return 0
  local log="$logs/${name// /_}"
  planted=$((planted + 1))
  cp "$file" "$copy/$file"
  if ! tests "$log" "$filter" "$environment"; then
    cat "$log"
    die "$filter fails without any bug"
  fi
  sed -i "$edit" "$copy/$file"
  if cmp -s "$file" "$copy/$file"; then die "$name: nothing to change in $file"; fi
  if tests "$log" "$filter" "$environment"; then
    printf 'MISSED  %-36s %s\n' "$name" "$filter"
    missed=$((missed + 1))
  else
    printf 'red     %-36s %s tests of %s\n' "$name" "$(grep -c '^\[  FAILED  \].* ms)$' "$log")" "$filter"
  fi
  cp "$file" "$copy/$file"
}

plant 'missing barrier' kernels/cuda/tile_f32.cuh '/__syncthreads();  \/\/ both tiles are written/d' 'Conv2dKernel.MatchesIntegerLoopsInF32:MatmulKernel.MatchesIntegerLoopsInF32'
plant 'missing barrier in a reduction' kernels/cuda/channels.cuh '/__syncthreads();  \/\/ the upper half/d' '*GpuBatchNorm*'
plant 'missing padding check' kernels/cuda/conv2d_operands.cuh 's/const bool inside = h >= 0 .*/const bool inside = true;/' 'Conv2dKernel.MatchesIntegerLoopsInF32'
plant 'wrong batch-norm term' kernels/cuda/batchnorm_backward.cu 's/b\[v\] = -a\[v\] \* coefficients.dbeta\[c + v\] \* inv_M;/b[v] = 0;/' '*GpuBatchNorm*'
plant 'wrong stride in the data gradient' kernels/cuda/conv2d_operands.cuh 's/b.step = s.stride, b.r0 = r0/b.step = 1, b.r0 = r0/' 'Conv2dKernel.MatchesIntegerLoopsInF32'
plant 'lost pipeline wait' kernels/cuda/tile_tensor_core.cuh 's/ptx::cp_async_wait<[^>]*>();/ptx::cp_async_wait<63>();/' 'Conv2dKernel.MatchesIntegerLoopsInBf16'
plant 'bounds check off by one' kernels/cuda/ladder/matmul_1_naive.cu 's/if (m >= M ||/if (m > M ||/' '*LadderMatmul*'
plant 'missing second barrier' kernels/cuda/ladder/conv_2_implicit_gemm.cu '/__syncthreads();  \/\/ both tiles are used up/d' '*LadderConv*'
plant 'wrong swizzle' kernels/cuda/ladder/matmul_6_wgmma.cu '0,/ptx::Swizzle::bytes_128/s//ptx::Swizzle::bytes_64/' '*LadderMatmul*'
plant 'wait for too few groups of wgmma' kernels/cuda/ladder/matmul_6_wgmma.cu 's/ptx::wgmma_wait<0>();/ptx::wgmma_wait<1>();/' '*LadderMatmul*'
plant 'stage released before its use' kernels/cuda/ladder/matmul_6_wgmma.cu 's/mbarrier_wait(&empty\[s\], (round - 1) % 2)/mbarrier_wait(\&empty[s], round % 2)/' '*LadderMatmul*'
plant 'wrong swizzle in a product' kernels/cuda/tile_wgmma.cuh 's/ptx::Swizzle::bytes_128/ptx::Swizzle::bytes_64/' 'Conv2dWgmma.*:MatmulKernel.MatchesIntegerLoopsInBf16'
plant 'results read before wgmma is done' kernels/cuda/tile_wgmma.cuh 's/ptx::wgmma_wait<0>();/ptx::wgmma_wait<1>();/' 'Conv2dWgmma.ForwardMatchesIntegerLoops'
plant 'stage handed back while it is read' kernels/cuda/tile_wgmma.cuh 's/if (step > 0 \&\& lane == 0) ptx::mbarrier_arrive(&emptied\[previous\])/if (lane == 0) ptx::mbarrier_arrive(\&emptied[turn.stage])/' 'Conv2dWgmma.ForwardMatchesIntegerLoops' CLX_EMU_ASYNC=rand
plant 'divergent barrier' kernels/cuda/tile_f32.cuh 's/__syncthreads();  \/\/ both tiles are written/if (threadIdx.x < 32) __syncthreads();/' 'MatmulKernel.MatchesIntegerLoopsInF32'
plant 'write past shared memory' kernels/cuda/ladder/sum_3_shared_tree.cu 's/part\[t\] = sum;/part[t + 1] = sum;/' '*LadderSum*'
plant 'partial sums of split-K mixed up' kernels/cuda/sum_runs.cuh 's/partials\[run \* size + i\]/partials[i * runs + run]/' 'Conv2dKernel.AddsUpTheRunsOfTheWeightGradient'
plant 'split-K in the order of the threads' kernels/cuda/sum_runs.cuh 's/  float sum = 0;/  static int turns = 0;\n  const int turn = turns++;\n  float sum = 0;/; s/partials\[run \* size + i\]/partials[(run + turn) % runs * size + i]/' 'Conv2dKernel.AddsUpTheRunsInTheirOrder*'
if ((planted == 0)); then die "no bug is called $wanted"; fi
((missed == 0))
