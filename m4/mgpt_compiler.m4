# Compiler flags: ours go into MGPT_*, CFLAGS and LDFLAGS stay the user's.

# MGPT_APPEND_FLAG(VARIABLE, FLAG): append FLAG to VARIABLE if the compiler takes it. -Werror,
# because clang only warns about a flag that it does not know.
AC_DEFUN([MGPT_APPEND_FLAG], [
  AS_VAR_PUSHDEF([mgpt_cache], [mgpt_cv_cc_$2])
  AC_CACHE_CHECK([whether $CC accepts $2], [mgpt_cache], [
    mgpt_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([mgpt_cache], [yes])],
                      [AS_VAR_SET([mgpt_cache], [no])])
    CFLAGS=$mgpt_save_CFLAGS])
  AS_VAR_IF([mgpt_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
  AS_VAR_POPDEF([mgpt_cache])
])

# MGPT_COMPILER_FLAGS: sets MGPT_CFLAGS, for all code, and MGPT_KERNEL_CFLAGS, on top of it, for
# inner loops. The user's CFLAGS come last on the command line, so a default of "-O2" in there
# would undo the kernels' -O3: the default optimisation is therefore ours, and an -O of the user's
# beats both.
AC_DEFUN([MGPT_COMPILER_FLAGS], [
  AS_IF([test "x$mgpt_user_cflags" != xyes], [MGPT_CFLAGS=-O2], [MGPT_CFLAGS=])
  # No contraction and no errno: the same bits from every compiler, and loops that vectorise.
  m4_foreach_w([mgpt_flag],
    [-std=c11 -Wall -Wextra -Wshadow -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes
     -Wpointer-arith -Wwrite-strings -Wformat=2 -fvisibility=hidden -ffp-contract=off
     -fno-math-errno],
    [MGPT_APPEND_FLAG([MGPT_CFLAGS], mgpt_flag)])
  MGPT_KERNEL_CFLAGS=-O3
  m4_foreach_w([mgpt_flag], [-ftree-vectorize -fvect-cost-model=dynamic -fopenmp-simd],
    [MGPT_APPEND_FLAG([MGPT_KERNEL_CFLAGS], mgpt_flag)])
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [treat warnings as errors])])
  AS_VAR_IF([enable_werror], [yes], [AS_VAR_APPEND([MGPT_CFLAGS], [" -Werror"])])
  AC_SUBST([MGPT_CFLAGS])
  AC_SUBST([MGPT_KERNEL_CFLAGS])
])

# MGPT_CPU_LEVELS: whether kernels can be compiled for the levels of x86-64 apart (CPU_LEVELS),
# the flags of each, and MGPT_FUSED_CFLAGS, which allow fused multiply-adds and the like. CPU_BF16:
# whether the compiler also knows AVX512_BF16 and its intrinsics.
AC_DEFUN([MGPT_CPU_LEVELS], [
  MGPT_FUSED_CFLAGS= MGPT_AVX2_CFLAGS= MGPT_AVX512_CFLAGS=
  MGPT_APPEND_FLAG([MGPT_FUSED_CFLAGS], [-ffp-contract=fast])
  # Nobody looks at the flags of exceptions; gcc masks lanes to keep them right.
  MGPT_APPEND_FLAG([MGPT_FUSED_CFLAGS], [-fno-trapping-math])
  AS_CASE([$host_cpu], [x86_64], [
    MGPT_APPEND_FLAG([MGPT_AVX2_CFLAGS], [-march=x86-64-v3])
    MGPT_APPEND_FLAG([MGPT_AVX512_CFLAGS], [-march=x86-64-v4])
    MGPT_APPEND_FLAG([MGPT_AVX512_CFLAGS], [-mprefer-vector-width=512])])
  AS_CASE([$MGPT_AVX2_CFLAGS:$MGPT_AVX512_CFLAGS], [*v3*:*v4*], [mgpt_levels=yes],
          [mgpt_levels=no])
  AM_CONDITIONAL([CPU_LEVELS], [test $mgpt_levels = yes])
  MGPT_BF16_CFLAGS="$MGPT_AVX512_CFLAGS -mavx512bf16"
  AC_CACHE_CHECK([whether $CC has AVX512_BF16], [mgpt_cv_cc_bf16], [
    mgpt_save_cflags=$CFLAGS
    CFLAGS="$CFLAGS $MGPT_BF16_CFLAGS"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <immintrin.h>]],
      [[__m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(2));
        return __builtin_cpu_supports("avx512bf16") +
               (int)_mm512_reduce_add_ps(_mm512_dpbf16_ps(_mm512_set1_ps(0), x, x));]])],
      [mgpt_cv_cc_bf16=yes], [mgpt_cv_cc_bf16=no])
    CFLAGS=$mgpt_save_cflags])
  AM_CONDITIONAL([CPU_BF16], [test $mgpt_levels:$mgpt_cv_cc_bf16 = yes:yes])
  AC_SUBST([MGPT_FUSED_CFLAGS])
  AC_SUBST([MGPT_AVX2_CFLAGS])
  AC_SUBST([MGPT_AVX512_CFLAGS])
  AC_SUBST([MGPT_BF16_CFLAGS])
])

# MGPT_SANITIZERS: --enable-asan adds to MGPT_CFLAGS and sets MGPT_LDFLAGS. UBSan only prints unless
# it is told not to recover.
AC_DEFUN([MGPT_SANITIZERS], [
  AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan],
    [stop at memory errors and undefined behaviour (-fsanitize=address,undefined)])])
  MGPT_LDFLAGS=
  AS_VAR_IF([enable_asan], [yes], [
    AS_VAR_APPEND([MGPT_CFLAGS],
      [" -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"])
    MGPT_LDFLAGS=-fsanitize=address,undefined
    AC_MSG_CHECKING([whether $CC links with the sanitizers])
    mgpt_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $MGPT_LDFLAGS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR(m4_normalize([--enable-asan: $CC finds no sanitizer libraries
         (Debian: libgcc-12-dev for gcc, libclang-rt-dev for clang)]))])
    CFLAGS=$mgpt_save_CFLAGS])
  AC_SUBST([MGPT_LDFLAGS])
])
