#!/usr/bin/env bash
# Packs all that a check of a GPU needs, for a machine where nothing can be installed or fetched: the tests and programs,
# built here for that GPU, and the libraries they load. There, from the sources' root:
#   mkdir -p build/packed && tar -xf FILE -C build/packed && tests/gpu_check.sh --bin build/packed
# Run: tests/gpu_pack.sh FILE.tar.xz [ARCHITECTURES]   (default 80-virtual;90a: H100 and H200)
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
file=$(realpath -m "${1:?expected the archive to write}") architectures=${2:-80-virtual;90a}
build=$PWD/build/pack

# The libraries lie beside the programs, and so do those that they load in turn; the other machine's processor may be older.
cmake --preset release -B "$build" -DCLX_HEADER_TESTS=OFF -DCLX_CUDA=ON "-DCLX_CUDA_ARCHITECTURES=$architectures" \
  -DCLX_CPU_ARCH=x86-64-v3 "-DCMAKE_BUILD_RPATH=\$ORIGIN/lib" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
cmake --build "$build" -j "${JOBS:-$(nproc)}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$build"/bin/. "$work"
rm -rf "$work"/stand_in "$work"/test_*_gpu  # what has no need of a GPU
mkdir -p "$work/lib"
find "$work" -maxdepth 1 -type f -executable -exec strip --strip-debug {} +
# Not those that belong to the C and C++ compilers of each system.
ldd "$work"/{test_,clx-}* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so' | xargs -I{} cp -L {} "$work/lib"
tar -C "$work" -c . | xz -T1 -6 --lzma2=dict=192MiB >"$file"  # the same kernels are in all programs
du -h "$file"
