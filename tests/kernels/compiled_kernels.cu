// The kernels of the emulator's tests as nvcc compiles them, for its second layer.
#include "tests/kernels/instruction_kernels.cuh"
#include "tests/kernels/wrong_kernels.cuh"
