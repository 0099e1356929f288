# Plugins: which are built, how they are linked, and which ABI they are built for.

# MGPT_PLUGIN(KIND, NAME, WHAT-IT-IS, [OBSTACLE]): --disable-KIND-NAME, plugins/KIND_NAME.la in
# MGPT_PLUGINS and a line in the summary. OBSTACLE is shell text, evaluated here: when not empty it
# says why the plugin cannot be built on this machine. Then it is left out, unless asked for.
AC_DEFUN([MGPT_PLUGIN], [
  m4_pushdef([mgpt_enable], [enable_]m4_translit([$1_$2], [-], [_]))dnl
  AC_ARG_ENABLE([$1-$2], [AS_HELP_STRING([--disable-$1-$2], [leave out plugin $1 $2: $3])],
                [], [mgpt_enable=auto])
  mgpt_obstacle="$4"
  AS_CASE([$mgpt_enable:$mgpt_obstacle],
    [no:*],  [mgpt_obstacle="--disable-$1-$2"
              mgpt_say="no ($mgpt_obstacle)"],
    [*:],    [mgpt_say=yes
              AS_VAR_APPEND([MGPT_PLUGINS], [" plugins/$1_$2.la"])],
    [yes:*], [AC_MSG_ERROR([--enable-$1-$2: $mgpt_obstacle])],
             [mgpt_say="no ($mgpt_obstacle)"])
  AS_VAR_IF([mgpt_say], [yes], [], [
    mgpt_words=`AS_ECHO(["$mgpt_obstacle"]) | sed 's/[[\\"]]/\\&/g'`
    AS_VAR_APPEND([mgpt_left_out], ["{\"$1\", \"$2\", \"$mgpt_words\"}, "])])
  AS_VAR_APPEND([mgpt_plugin_lines], ["
    m4_format([[%-22s]], [$1 $2 ])$mgpt_say"])
  m4_popdef([mgpt_enable])dnl
  AC_SUBST([MGPT_PLUGINS])
])

# MGPT_PLUGIN_FLAGS: sets MGPT_PLUGIN_LDFLAGS. -z defs turns a symbol that nobody defines into an
# error here instead of at dlopen. clang's ASan leaves its runtime to the program and so cannot
# link with it.
AC_DEFUN([MGPT_PLUGIN_FLAGS], [
  AC_CACHE_CHECK([whether shared objects link with -Wl,-z,defs], [mgpt_cv_ld_z_defs], [
    mgpt_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $MGPT_CFLAGS $MGPT_LDFLAGS -fPIC -shared -Wl,-z,defs"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[int mgpt_at(int *a, int i);
                                     int mgpt_at(int *a, int i) { return a[i]; }]])],
                   [mgpt_cv_ld_z_defs=yes], [mgpt_cv_ld_z_defs=no])
    CFLAGS=$mgpt_save_CFLAGS])
  MGPT_PLUGIN_LDFLAGS=
  AS_VAR_IF([mgpt_cv_ld_z_defs], [yes], [MGPT_PLUGIN_LDFLAGS=-Wl,-z,defs])
  AC_SUBST([MGPT_PLUGIN_LDFLAGS])
])

# MGPT_ABI_VERSION: MAJOR.MINOR for microgpt.pc, read from the one place where it is written.
AC_DEFUN([MGPT_ABI_VERSION], [
  AC_MSG_CHECKING([for the plugin ABI version])
  MGPT_ABI=`$AWK '$[]2 == "MGPT_ABI_MAJOR" { major = $[]3 + 0 "" }
                  $[]2 == "MGPT_ABI_MINOR" { minor = $[]3 + 0 "" }
                  END { print major "." minor }' "$srcdir/core/microgpt/plugin.h"`
  AC_MSG_RESULT([$MGPT_ABI])
  AS_CASE([$MGPT_ABI], [.*|*.],
    [AC_MSG_ERROR(m4_normalize([core/microgpt/plugin.h does not define MGPT_ABI_MAJOR and
       MGPT_ABI_MINOR as numbers]))])
  AC_SUBST([MGPT_ABI])
])

# MGPT_PLUGINS_LEFT_OUT: which plugins are not built, and why, for a program that is asked for one
# of them.
AC_DEFUN([MGPT_PLUGINS_LEFT_OUT], [
  AC_DEFINE_UNQUOTED([MGPT_LEFT_OUT], [$mgpt_left_out],
                     [plugins that are not built: {"kind", "name", "why"}, ...])
])

AC_DEFUN([MGPT_SUMMARY], [
  AS_VAR_IF([have_check], [yes], [mgpt_say_check=yes],
            [mgpt_say_check='no: Check is missing (Debian package check)'])
  AC_MSG_NOTICE([
  $PACKAGE_STRING, plugin ABI $MGPT_ABI
    prefix                $prefix
    compiler              $CC
    flags, ours           $MGPT_CFLAGS
    flags, yours          ${CFLAGS:-none}
    unit tests            $mgpt_say_check
    CUDA                  $mgpt_say_cuda
    microgpt fetch        $mgpt_say_curl
    line editing          $mgpt_say_edit
  plugins$mgpt_plugin_lines])
])
