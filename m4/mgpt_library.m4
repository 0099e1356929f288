# MGPT_LIBRARY(VARIABLE, MODULE, PURPOSE, DEBIAN-PACKAGE): PKG_CHECK_MODULES that says how to go on
# when the library is missing.
AC_DEFUN([MGPT_LIBRARY], [
  PKG_CHECK_MODULES([$1], [$2], [], [AC_MSG_ERROR([
  $2 is missing; it $3.
  On Debian or Ubuntu: apt-get install $4
  Installed somewhere unusual: add the folder of its .pc file to PKG_CONFIG_PATH.
  pkg-config said: $$1[]_PKG_ERRORS])])
])

# MGPT_EDIT: libedit for the line that `microgpt generate --interactive` reads. Without it there is
# no history, and the line is edited as the terminal itself does.
AC_DEFUN([MGPT_EDIT], [
  AC_ARG_WITH([libedit], [AS_HELP_STRING([--without-libedit],
                                         [no history in "microgpt generate --interactive"])],
              [], [with_libedit=auto])
  mgpt_say_edit='no (--without-libedit)'
  AS_VAR_IF([with_libedit], [no], [], [
    PKG_CHECK_MODULES([EDIT], [libedit >= 3.0],
      [mgpt_say_edit=yes
       AC_DEFINE([HAVE_LIBEDIT], [1], [libedit reads lines])],
      [mgpt_say_edit='no: libedit is missing (Debian package libedit-dev)'
       AS_VAR_IF([with_libedit], [yes], [AC_MSG_ERROR([--with-libedit: $EDIT_PKG_ERRORS])])])])
])

# MGPT_CURL: libcurl for `microgpt fetch`. Without it the program builds, and says so when asked.
AC_DEFUN([MGPT_CURL], [
  AC_ARG_WITH([curl], [AS_HELP_STRING([--without-curl], [no "microgpt fetch", though libcurl is here])],
              [], [with_curl=auto])
  mgpt_say_curl='no (--without-curl)'
  AS_VAR_IF([with_curl], [no], [], [
    PKG_CHECK_MODULES([CURL], [libcurl >= 7.61],
      [mgpt_say_curl=yes
       AC_DEFINE([HAVE_LIBCURL], [1], [libcurl downloads])],
      [mgpt_say_curl='no: libcurl is missing (Debian package libcurl4-openssl-dev)'
       AS_VAR_IF([with_curl], [yes], [AC_MSG_ERROR([--with-curl: $CURL_PKG_ERRORS])])])])
  AM_CONDITIONAL([HAVE_CURL], [test "x$mgpt_say_curl" = xyes])
])

# MGPT_UNICODE: utf8proc for tokenizer bpe, which must know letters and digits of all scripts. Sets
# mgpt_no_unicode: why there is none, or empty; then that plugin is left out. (Its .pc files have
# had wrong version numbers, so none is asked for.)
AC_DEFUN([MGPT_UNICODE], [
  PKG_CHECK_MODULES([UTF8PROC], [libutf8proc],
    [mgpt_no_unicode=
     AC_DEFINE([HAVE_UTF8PROC], [1], [utf8proc knows the classes of characters])],
    [mgpt_no_unicode='utf8proc is missing: Debian package libutf8proc-dev'])
  AM_CONDITIONAL([HAVE_UTF8PROC], [test -z "$mgpt_no_unicode"])
])
