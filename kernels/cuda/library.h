// Vendors' libraries, opened at run time: a program starts without them, and only what needs one asks for it.
#pragma once

#include <string>
#include <vector>

namespace clx::kernels {

/// What a library is called, where it may be, and what does without it.
struct LibraryName {
  std::string name;                  // "cuDNN"
  std::string file;                  // "libcudnn.so.9"
  std::string variable;              // an environment variable that names the file: "CLX_CUDNN"
  std::vector<std::string> folders;  // of Python wheels, below site-packages: "nvidia/cudnn/lib"
  std::string otherwise;             // "--conv custom works without"
};

/// The places that are searched, in this order, after LD_LIBRARY_PATH and the system's folders: the CUDA
/// toolkit's and those where Python wheels are installed. `*` stands for any name.
std::vector<std::string> library_folders(const LibraryName& name);

/// An open library. It is never closed: its functions may be called until the process ends.
class Library {
 public:
  /// Opens the file that the environment variable names, if it is set, else the first that is found.
  /// Throws    std::runtime_error that says where it was looked for and what works without
  explicit Library(const LibraryName& name);

  /// Throws    std::runtime_error if the library has no such function
  template <class F>
  void find(const char* function, F** pointer) const {
    *pointer = reinterpret_cast<F*>(address_of(function));
  }

 private:
  void* address_of(const char* function) const;

  std::string name_;
  void* handle_ = nullptr;
};

}  // namespace clx::kernels
