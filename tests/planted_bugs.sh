#!/usr/bin/env bash
# Proves that the kernel tests can fail: plants one bug after another in a copy of the sources and expects red.
# Run: tests/planted_bugs.sh   (about ten minutes on two cores; everything happens under build/planted)
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
copy=build/planted/src
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z | xargs -0 cp --parents -t "$copy"
cmake -S "$copy" -B build/planted/build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCLX_CUDA=OFF >/dev/null

# Builds the tests and runs those that match; the result is theirs.
tests() { ninja -C build/planted/build test_kernels >/dev/null && build/planted/build/bin/test_kernels --gtest_brief=1 --gtest_filter="$1"; }

missed=0
# plant NAME FILE SED TESTS
plant() {
  local name=$1 file=$2 edit=$3 filter=$4
  cp "$file" "$copy/$file"
  if ! tests "$filter" >build/planted/log 2>&1; then
    cat build/planted/log
    echo "error: $filter fails without any bug" >&2
    exit 1
  fi
  sed -i "$edit" "$copy/$file"
  if cmp -s "$file" "$copy/$file"; then
    echo "error: $name: nothing to change in $file" >&2
    exit 1
  fi
  if tests "$filter" >build/planted/log 2>&1; then
    printf 'MISSED  %-34s %s\n' "$name" "$filter"
    missed=$((missed + 1))
  else
    printf 'red     %-34s %s tests of %s\n' "$name" "$(grep -c '^\[  FAILED  \]' build/planted/log)" "$filter"
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
plant 'stage handed back while it is read' kernels/cuda/tile_wgmma.cuh 's/mbarrier_arrive(&emptied\[previous\])/mbarrier_arrive(\&emptied[turn.stage])/' 'Conv2dWgmma.ForwardMatchesIntegerLoops'
plant 'divergent barrier' kernels/cuda/tile_f32.cuh 's/__syncthreads();  \/\/ both tiles are written/if (threadIdx.x < 32) __syncthreads();/' 'MatmulKernel.MatchesIntegerLoopsInF32'
plant 'write past shared memory' kernels/cuda/ladder/sum_3_shared_tree.cu 's/part\[t\] = sum;/part[t + 1] = sum;/' '*LadderSum*'
plant 'partial sums of split-K mixed up' kernels/cuda/sum_runs.cuh 's/partials\[run \* size + i\]/partials[i * runs + run]/' 'Conv2dKernel.AddsUpTheRunsOfTheWeightGradient'
plant 'split-K in the order of the threads' kernels/cuda/sum_runs.cuh 's/  float sum = 0;/  static int turns = 0;\n  const int turn = turns++;\n  float sum = 0;/; s/partials\[run \* size + i\]/partials[(run + turn) % runs * size + i]/' 'Conv2dKernel.AddsUpTheRunsInTheirOrder*'
((missed == 0))
