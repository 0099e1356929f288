# MGPT_LIBRARY(VARIABLE, MODULE, PURPOSE, DEBIAN-PACKAGE): PKG_CHECK_MODULES that says how to go on
# when the library is missing.
AC_DEFUN([MGPT_LIBRARY], [
  PKG_CHECK_MODULES([$1], [$2], [], [AC_MSG_ERROR([
  $2 is missing; it $3.
  On Debian or Ubuntu: apt-get install $4
  Installed somewhere unusual: add the folder of its .pc file to PKG_CONFIG_PATH.
  pkg-config said: $$1[]_PKG_ERRORS])])
])
