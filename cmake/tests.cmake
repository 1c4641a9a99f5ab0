# The tests: one binary per folder of tests/, every header alone, the include rule.
find_package(GTest REQUIRED)
include(GoogleTest)

# The asan build instruments what is tested; in the tests, the compiler's time is better spent elsewhere.
set(CLX_TEST_FLAGS "" CACHE STRING "Compiler flags for the sources of the tests alone")

set(uses_kernels clx_kernels)
set(uses_runtime clx_runtime)
set(uses_nn clx_nn)
set(uses_xai clx_xai)
set(uses_apps clx_support)
foreach(area kernels runtime nn xai apps)
  file(GLOB sources CONFIGURE_DEPENDS tests/${area}/*_test.cpp)
  if(NOT sources)
    continue()
  endif()
  add_executable(test_${area} ${sources} tests/main.cpp tests/paths.cpp)
  if(area STREQUAL "kernels")
    target_sources(test_kernels PRIVATE runtime/shape.cpp)  # of the reference's arrays
  else()
    target_sources(test_${area} PRIVATE tests/arrays.cpp tests/check_op.cpp tests/memory_guards.cpp)
  endif()
  target_link_libraries(test_${area} PRIVATE ${uses_${area}} GTest::gmock GTest::gtest)
  # JSON takes longer to load than a test without it to compile.
  target_precompile_headers(test_${area} PRIVATE <gtest/gtest.h> <algorithm> <cmath> <functional> <map> <memory>
                            <random> <sstream> <string> <vector>
                            $<$<STREQUAL:${area},apps>:<nlohmann/json.hpp$<ANGLE-R>>)
  target_compile_options(test_${area} PRIVATE -fpch-preprocess)  # so that ccache sees the precompiled header
  target_compile_options(test_${area} PRIVATE ${CLX_TEST_FLAGS})
  clx_warnings(test_${area})
  gtest_discover_tests(test_${area} PROPERTIES LABELS ${area} TIMEOUT 600 DISCOVERY_TIMEOUT 60)
endforeach()

# The only file that knows where it lies, so that the others compile to the same from any folder.
set_source_files_properties(tests/paths.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON COMPILE_DEFINITIONS
  "CLX_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")

# The kernels of these tests are instrumented like those of the product.
file(GLOB sources CONFIGURE_DEPENDS tests/kernels/emulator*_test.cpp)
set(flags -Wno-unknown-pragmas -Wno-psabi)
if(CLX_RACE)
  list(APPEND flags -fsanitize=thread --param tsan-distinguish-volatile=1)
endif()
set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${flags}" SKIP_PRECOMPILE_HEADERS ON)

# All compiled kernels, whether the tests call their Cuda overloads or not, and the tests' own as PTX alone.
if(TARGET test_kernels AND TARGET clx_cuda_kernels)
  file(GLOB sources CONFIGURE_DEPENDS tests/kernels/*.cu)
  clx_cuda_objects(test_cuda_kernels "80-virtual;90a-virtual" ${sources})
  target_sources(test_kernels PRIVATE $<TARGET_OBJECTS:clx_cuda_kernels> $<TARGET_OBJECTS:test_cuda_kernels>)
endif()

# What the tests open in the place of NVIDIA's libraries.
if(TARGET test_kernels AND CLX_WITH_CUDA)
  foreach(library cudnn cublasLt)
    find_file(CLX_HEADER_${library} ${library}.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    if(CLX_HEADER_${library})
      add_library(clx_fake_${library} MODULE tests/kernels/fake_${library}.cpp)
      target_include_directories(clx_fake_${library} PRIVATE ${PROJECT_SOURCE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
      set_target_properties(clx_fake_${library} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
      clx_warnings(clx_fake_${library})
      add_dependencies(test_kernels clx_fake_${library})
    endif()
  endforeach()
endif()

if(TARGET test_apps AND CLX_WITH_CUDA)
  add_library(clx_fake_driver MODULE tests/apps/fake_driver.cpp)
  target_include_directories(clx_fake_driver PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  set_target_properties(clx_fake_driver PROPERTIES PREFIX "" OUTPUT_NAME libcuda SUFFIX .so.1
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/fake_driver)
  clx_warnings(clx_fake_driver)
  add_dependencies(test_apps clx_fake_driver)
endif()

# Long tests have a cost, so that they begin first and none is left to run alone.

# The kernels again, with other orders of threads and of asynchronous copies, and with rougher sums.
if(TARGET test_kernels)
  set(few CLX_FUZZ=0.1)  # random shapes: the first of those of the first run
  set(rev CLX_EMU_ORDER=rev CLX_EMU_ASYNC=early CLX_EMU_MATH=rough)
  set(rand1 CLX_EMU_ORDER=rand CLX_EMU_ASYNC=rand CLX_EMU_SEED=1)
  set(rand2 CLX_EMU_ORDER=rand CLX_EMU_ASYNC=rand CLX_EMU_SEED=2)
  foreach(variant rev rand1 rand2)
    add_test(NAME kernels.${variant} COMMAND test_kernels --gtest_brief=1 --gtest_filter=-Cpu*)
    set_tests_properties(kernels.${variant} PROPERTIES
      ENVIRONMENT "${${variant}};${few}" LABELS kernels TIMEOUT 1200 COST 100)
  endforeach()
endif()

# And once more as nvcc compiled them: all for the older architecture, for the newer one those whose launchers
# or instructions may differ. Each run fails if it leaves out a kernel that it is to execute; together these are
# all of the product.
if(TARGET test_cuda_kernels)
  set(of_hopper "wgmma|matmul_6")  # they trap on older GPUs
  set(of_runtime "(cam|flip|map_scores|principal|rank|ssim)_cu |color_kernel<clx::bf16>|fold_kernel")
  set(rest "^(?!compiled_kernels_cu|.*(${of_hopper}|${of_runtime}))")
  add_test(NAME kernels.sm_80 COMMAND test_kernels --gtest_brief=1 --gtest_filter=-Cpu*)
  add_test(NAME kernels.sm_90a COMMAND test_kernels --gtest_brief=1
           --gtest_filter=Emulator*:CompiledKernels*:Conv2d*:Matmul*:*Ladder*)
  set_tests_properties(kernels.sm_80 PROPERTIES
    ENVIRONMENT "CLX_EMU_LAYER=sm_80;${few};CLX_TEST_EXECUTES=${rest}" LABELS kernels TIMEOUT 1200 COST 100)
  set_tests_properties(kernels.sm_90a PROPERTIES
    ENVIRONMENT "CLX_EMU_LAYER=sm_90a;CLX_EMU_MATH=rough;${few};CLX_TEST_EXECUTES=^(?!compiled_kernels_cu).*(${of_hopper})"
    LABELS kernels TIMEOUT 1200 COST 100)
  # The tables of what ptxas makes of them, from the preset that they are written from.
  if(CLX_CUDA_ARCHITECTURES STREQUAL "80-virtual;90a-virtual")
    add_test(NAME kernels.resources
             COMMAND ${PROJECT_SOURCE_DIR}/tests/kernel_resources.sh --check $<TARGET_FILE:test_kernels>)
    set_tests_properties(kernels.resources PROPERTIES LABELS kernels TIMEOUT 600 COST 100)
  endif()
  add_test(NAME runtime.sm_80 COMMAND test_runtime --gtest_brief=1 --gtest_filter=*emulated*)
  set_tests_properties(runtime.sm_80 PROPERTIES
    ENVIRONMENT "CLX_EMU_LAYER=sm_80;CLX_EMU_MATH=rough;CLX_TEST_EXECUTES=${of_runtime}" LABELS runtime TIMEOUT 1200 COST 100)
endif()

# The tests and programs as they are on a GPU, linked with a stand-in for CUDA's runtime in its place: whatever
# that runtime has and the stand-in lacks would be defined twice.
if(CLX_WITH_CUDA)
  file(GLOB sources CONFIGURE_DEPENDS tests/stand_in/*.cpp)
  add_library(clx_stand_in OBJECT ${sources})
  target_include_directories(clx_stand_in PRIVATE ${PROJECT_SOURCE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
  clx_warnings(clx_stand_in)
  function(clx_with_stand_in name original)
    add_executable(${name} $<TARGET_OBJECTS:${original}> $<TARGET_OBJECTS:clx_stand_in>)
    get_target_property(libraries ${original} LINK_LIBRARIES)
    target_link_libraries(${name} PRIVATE ${libraries})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  endfunction()
  foreach(area runtime nn xai)
    if(TARGET test_${area})
      clx_with_stand_in(test_${area}_gpu test_${area})
      add_test(NAME ${area}.gpu COMMAND test_${area}_gpu --gtest_brief=1 --gtest_filter=*/cuda*:*Gpu*)
      set_tests_properties(${area}.gpu PROPERTIES LABELS ${area} TIMEOUT 1200 COST 100)
    endif()
  endforeach()
  foreach(app train explain eval)
    clx_with_stand_in(stand_in_${app} clx-${app})
    set_target_properties(stand_in_${app} PROPERTIES OUTPUT_NAME clx-${app}
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/stand_in)
    if(TARGET test_apps)
      add_dependencies(test_apps stand_in_${app})
    endif()
  endforeach()
  find_file(CLX_HEADER_nccl nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(TARGET test_apps AND CLX_HEADER_nccl)
    add_library(clx_fake_nccl MODULE tests/apps/fake_nccl.cpp)
    target_include_directories(clx_fake_nccl PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
    set_target_properties(clx_fake_nccl PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    clx_warnings(clx_fake_nccl)
    add_dependencies(test_apps clx_fake_nccl)
    set_target_properties(stand_in_train PROPERTIES ENABLE_EXPORTS ON)  # the fake NCCL waits for its streams
  endif()
endif()

if(TARGET test_apps)
  foreach(app train probe explain eval report data bench)
    if(TARGET clx-${app})
      add_dependencies(test_apps clx-${app})
    endif()
  endforeach()
endif()

# The check of a GPU, with stand-ins for the GPU and its tools.
if(TARGET test_apps AND TARGET clx-bench)
  add_test(NAME gpu_check COMMAND ${PROJECT_SOURCE_DIR}/tests/gpu_check_test.sh ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  set_tests_properties(gpu_check PROPERTIES LABELS apps TIMEOUT 600)
endif()

# Programs are most of their tests' time: the compiler's is better spent elsewhere.
if(TARGET test_apps)
  target_compile_options(test_apps PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0>)
endif()

# Every header compiles on its own: where no source file proves it by including it first. Those of apps/ have
# their libraries precompiled and prove nothing.
option(CLX_HEADER_TESTS "Compile on its own every header that no source file includes first" ON)
if(CLX_HEADER_TESTS)
  set(globs "")
  foreach(folder kernels runtime nn xai)
    list(APPEND globs ${folder}/*.cpp)
  endforeach()
  file(GLOB_RECURSE sources RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${globs})
  set(proven "")
  foreach(source ${sources})
    file(STRINGS ${source} includes REGEX "^#include " LIMIT_COUNT 1)
    if(includes MATCHES "^#include \"(.*)\"")
      list(APPEND proven ${CMAKE_MATCH_1})
    endif()
  endforeach()
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
       kernels/*.h runtime/*.h nn/*.h xai/*.h apps/*.h tests/*.h)
  list(REMOVE_ITEM headers ${proven})
  set(header_sources "")
  foreach(header ${headers})
    string(MAKE_C_IDENTIFIER ${header} id)
    set(source ${PROJECT_BINARY_DIR}/headers/${id}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
    list(APPEND header_sources ${source})
  endforeach()
  add_library(header_tests OBJECT ${header_sources})
  target_link_libraries(header_tests PRIVATE clx_support clx_nn clx_xai GTest::gtest)
  # A real object, if an empty one: -fsyntax-only leaves none, and every build would compile them all again.
  target_compile_options(header_tests PRIVATE -O0 -g0 -Wno-psabi)
endif()

add_test(NAME layers COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -P ${PROJECT_SOURCE_DIR}/tests/check_layers.cmake)
