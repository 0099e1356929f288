# MGPT_CUDA: looks for the CUDA toolkit and proves it by compiling a .cu and linking it with the C
# compiler. Sets NVCC, NVCC_ARCH, CUDA_CFLAGS, CUDA_CPPFLAGS, CUDA_LIBS, a line for the summary, and
# mgpt_no_cuda: why there is none, or empty. Without --with-cuda it never fails. An nvcc on PATH may
# be a script that works nowhere, and its folder need not be the toolkit's: so nvcc itself is asked
# where it looks for headers and libraries.
AC_DEFUN([MGPT_CUDA], [
  AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda@<:@=DIR@:>@],
    [build for CUDA, toolkit in DIR @<:@default: if nvcc is found@:>@])], [], [with_cuda=auto])
  AC_ARG_VAR([NVCC], [CUDA compiler])
  AC_ARG_VAR([NVCC_ARCH], [architectures to compile for: sm_80, a list of such, or flags of nvcc])
  mgpt_no_cuda= CUDA_CPPFLAGS= CUDA_LIBS=
  # Nothing of the C++ runtime, so that no plugin needs it.
  CUDA_CFLAGS=-Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
  AS_CASE([$with_cuda],
    [no], [mgpt_no_cuda='--without-cuda'],
    [yes|auto],
      [mgpt_cuda_path=$PATH$PATH_SEPARATOR/usr/local/cuda/bin$PATH_SEPARATOR/opt/cuda/bin],
    [mgpt_cuda_path=$with_cuda/bin])
  AS_IF([test -z "$mgpt_no_cuda"], [
    AC_PATH_PROG([NVCC], [nvcc], [], [$mgpt_cuda_path])
    AS_IF([test -z "$NVCC"], [mgpt_no_cuda='nvcc is not found'],
      [MGPT_NVCC_ARCH
       MGPT_NVCC_WORKS])])
  AS_IF([test "x$with_cuda" != xauto && test "x$with_cuda" != xno && test -n "$mgpt_no_cuda"],
        [AC_MSG_ERROR([--with-cuda=$with_cuda: $mgpt_no_cuda])])
  AS_IF([test -z "$mgpt_no_cuda"], [mgpt_say_cuda="$NVCC $mgpt_arch_names"],
        [mgpt_say_cuda="no ($mgpt_no_cuda)"])
  AC_SUBST([NVCC_ARCH])
  AC_SUBST([CUDA_CFLAGS])
  AC_SUBST([CUDA_CPPFLAGS])
  AC_SUBST([CUDA_LIBDIR])
  AC_SUBST([CUDA_LIBS])
  AM_CONDITIONAL([HAVE_NVCC], [test -z "$mgpt_no_cuda"])
])

# MGPT_NVCC_ARCH: turns names into flags. The default is Turing, Ampere, Hopper and Blackwell, as
# far as this nvcc knows them, and the last one's PTX for what comes later.
AC_DEFUN([MGPT_NVCC_ARCH], [
  mgpt_known=`"$NVCC" --list-gpu-arch 2>/dev/null | tr '\n' ' '`
  AS_IF([test -z "$NVCC_ARCH"], [
    for mgpt_arch in 75 80 90 100; do
      AS_CASE([" $mgpt_known"], [*" compute_$mgpt_arch "*], [AS_VAR_APPEND([NVCC_ARCH], [" sm_$mgpt_arch"])])
    done])
  mgpt_arch_names=`echo $NVCC_ARCH`
  AS_CASE([$NVCC_ARCH], [*-*], [], [
    mgpt_flags=
    for mgpt_arch in $NVCC_ARCH; do
      mgpt_number=`echo "$mgpt_arch" | sed 's/^sm_//'`
      AS_VAR_APPEND([mgpt_flags], [" -gencode arch=compute_$mgpt_number,code=sm_$mgpt_number"])
    done
    NVCC_ARCH="$mgpt_flags -gencode arch=compute_$mgpt_number,code=compute_$mgpt_number"
    mgpt_arch_names="$mgpt_arch_names and PTX"])
])

# MGPT_NVCC_WORKS: CUDA_CPPFLAGS and CUDA_LIBS from what nvcc says it would do, tried out.
AC_DEFUN([MGPT_NVCC_WORKS], [
  cat >conftest.cu <<'END'
#include <cuda_runtime.h>
static __global__ void one(float *x) { x[[threadIdx.x]] = 1; }
extern "C" int mgpt_try(void);
int mgpt_try(void) { one<<<1, 32>>>(0); return (int)cudaGetLastError(); }
END
  # Kernels for five architectures are large, and loaded once.
  AS_IF(["$NVCC" --compress-mode=size -c conftest.cu -o conftest_cu.o >/dev/null 2>&1],
        [AS_VAR_APPEND([CUDA_CFLAGS], [" --compress-mode=size"])])
  AC_MSG_CHECKING([whether $NVCC works])
  "$NVCC" --dryrun -c conftest.cu >conftest.dry 2>&1
  CUDA_CPPFLAGS=`sed -n 's/^#\$ INCLUDES=//p' conftest.dry | tr -d '"' | sed 's/-I/-isystem /g'`
  CUDA_LIBS=`sed -n 's/^#\$ LIBRARIES=//p' conftest.dry | tr -d '"'`
  CUDA_CPPFLAGS=`echo $CUDA_CPPFLAGS`
  # Not the stubs: libcuda is opened at run time, and linking with it by accident must fail here.
  mgpt_folders= CUDA_LIBDIR=
  for mgpt_flag in $CUDA_LIBS; do
    AS_CASE([$mgpt_flag], [*/stubs], [],
      [AS_VAR_APPEND([mgpt_folders], [" $mgpt_flag"])
       CUDA_LIBDIR=`echo "$mgpt_flag" | sed 's/^-L//'`])
  done
  CUDA_LIBS="$mgpt_folders -lcudart_static -lpthread -ldl -lrt"
  mgpt_save_CFLAGS=$CFLAGS mgpt_save_LIBS=$LIBS
  AS_IF([! "$NVCC" $NVCC_ARCH $CUDA_CFLAGS -c conftest.cu -o conftest_cu.o >conftest.say 2>&1],
        [mgpt_no_cuda="$NVCC compiles no .cu: `head -n 1 conftest.say`"])
  AS_IF([test -z "$mgpt_no_cuda"], [
    CFLAGS="$CFLAGS $CUDA_CPPFLAGS"
    LIBS="conftest_cu.o $CUDA_LIBS $LIBS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cuda_runtime_api.h>
                                      int mgpt_try(void);]],
                                    [[int n = 0; return mgpt_try() + cudaGetDeviceCount(&n);]])],
      [], [mgpt_no_cuda='the CUDA runtime (libcudart_static.a, cuda_runtime_api.h) does not link'])
    CFLAGS=$mgpt_save_CFLAGS LIBS=$mgpt_save_LIBS])
  rm -f conftest.cu conftest_cu.o conftest.dry conftest.say
  AS_IF([test -z "$mgpt_no_cuda"], [AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no: $mgpt_no_cuda])])
])

# MGPT_EMULATION: whether there is a C++ compiler to run kernels on the processor with (HAVE_CXX),
# its flags, and whether it has AddressSanitizer to run them under.
AC_DEFUN([MGPT_EMULATION], [
  MGPT_CXXFLAGS="-std=c++17 -Wall -Wextra -Wno-unknown-pragmas -fvisibility=hidden"
  AS_VAR_IF([enable_werror], [yes], [AS_VAR_APPEND([MGPT_CXXFLAGS], [" -Werror"])])
  # libtool links C++ with -nostdlib, so what the sanitizers need is named.
  MGPT_EMU_LIBS=
  AS_VAR_IF([enable_asan], [yes], [
    AS_VAR_APPEND([MGPT_CXXFLAGS],
      [" -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"])
    MGPT_EMU_LIBS="-lasan -lubsan"])
  AC_LANG_PUSH([C++])
  mgpt_save_CXXFLAGS=$CXXFLAGS
  CXXFLAGS="$CXXFLAGS $MGPT_CXXFLAGS"
  AC_CACHE_CHECK([whether $CXX compiles C++17], [mgpt_cv_cxx], [
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <tuple>]],
                                    [[std::apply([](int a) { return a; }, std::tuple<int>(0));]])],
                   [mgpt_cv_cxx=yes], [mgpt_cv_cxx=no])])
  CXXFLAGS="$CXXFLAGS -fsanitize=address"
  AC_CACHE_CHECK([whether $CXX has AddressSanitizer as a library], [mgpt_cv_cxx_asan], [
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#if !defined __SANITIZE_ADDRESS__
                                      #error clang links it into programs alone
                                      #endif]], [])],
                   [mgpt_cv_cxx_asan=yes], [mgpt_cv_cxx_asan=no])])
  CXXFLAGS=$mgpt_save_CXXFLAGS
  AC_LANG_POP([C++])
  AC_SUBST([MGPT_CXXFLAGS])
  AC_SUBST([MGPT_EMU_LIBS])
  AM_CONDITIONAL([HAVE_CXX], [test $mgpt_cv_cxx = yes])
  AM_CONDITIONAL([CXX_ASAN], [test "$mgpt_cv_cxx$mgpt_cv_cxx_asan$enable_asan" = yesyes])
])
