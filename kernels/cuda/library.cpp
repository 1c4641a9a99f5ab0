#include "kernels/cuda/library.h"

#include <cstdlib>
#include <dlfcn.h>
#include <glob.h>
#include <stdexcept>

namespace clx::kernels {
namespace {

constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> files_like(const std::string& pattern) {
  std::vector<std::string> files;
  glob_t found = {};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return files;
}

// Null if none opens; `failed` then says why the files that are there do not.
void* open_any(const LibraryName& name, std::string* failed) {
  if (void* handle = ::dlopen(name.file.c_str(), kFlags)) return handle;
  for (const std::string& folder : library_folders(name))
    for (const std::string& file : files_like(folder + "/" + name.file)) {
      if (void* handle = ::dlopen(file.c_str(), kFlags)) return handle;
      *failed += std::string("; ") + ::dlerror();
    }
  return nullptr;
}

}  // namespace

std::vector<std::string> library_folders(const LibraryName& name) {
  std::vector<std::string> folders;
  for (const char* root : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string home = variable(root); !home.empty()) folders.push_back(home + "/lib64");
  folders.insert(folders.end(), {"/usr/local/cuda/lib64", "/usr/local/cuda/lib"});
  std::vector<std::string> pythons;
  for (const char* root : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const std::string home = variable(root); !home.empty()) pythons.push_back(home + "/lib/python3*");
  if (const std::string home = variable("HOME"); !home.empty())
    pythons.push_back(home + "/.local/lib/python3*");
  pythons.insert(pythons.end(), {"/usr/local/lib/python3*", "/usr/lib/python3*"});
  for (const std::string& python : pythons)
    for (const char* packages : {"/site-packages/", "/dist-packages/"})
      for (const std::string& folder : name.folders)
        folders.push_back(python + packages + folder);
  return folders;
}

Library::Library(const LibraryName& name) : name_(name.name) {
  if (const std::string file = variable(name.variable.c_str()); !file.empty()) {
    handle_ = ::dlopen(file.c_str(), kFlags);
    if (!handle_)
      throw std::runtime_error(name.variable + ": expected the library " + name.name + ", got " +
                               ::dlerror() + "; " + name.otherwise);
    return;
  }
  std::string failed;
  handle_ = open_any(name, &failed);
  if (handle_) return;
  std::string places = "LD_LIBRARY_PATH, the system's folders";
  for (const std::string& folder : library_folders(name))
    places += ", " + folder;
  throw std::runtime_error("the library " + name.name + " was not found: no " + name.file + " in " + places +
                           failed + "; " + name.variable + "=FILE names it, " + name.otherwise);
}

void* Library::address_of(const char* function) const {
  void* address = ::dlsym(handle_, function);
  if (!address) throw std::runtime_error(name_ + ": expected the function " + function + ", got none");
  return address;
}

}  // namespace clx::kernels
