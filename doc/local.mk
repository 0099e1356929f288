# What is read: installed with the program.
dist_doc_DATA = \
    %D%/ABI.md \
    %D%/HACKING.md \
    %D%/add-a-plugin.md \
    %D%/kinds.md \
    %D%/performance.md \
    %D%/run.png \
    %D%/shakespeare.txt \
    LICENSE

# README.md stands above doc/ in a checkout and beside these pages where it is installed: its links
# are rewritten, and the parts marked in it are left out or come to light.
doc_DATA = %D%/README.md
EXTRA_DIST += README.md
CLEANFILES += $(doc_DATA)
%D%/README.md: $(srcdir)/README.md Makefile
	$(AM_V_GEN)$(MKDIR_P) %D%
	$(AM_V_at)$(SED) -e '/^<!-- checkout -->$$/,/^<!-- end -->$$/d' -e '/^<!-- installed$$/d' \
	    -e '/^-->$$/d' -e 's|\[doc/|[|g' -e 's|](doc/|](|g' \
	    -e 's|\[`conf/[a-z]*\.ini`\](\(conf/[a-z]*\.ini\))|`\1`|g' \
	    -e 's|`conf/\([a-z]*\.ini\)`|`$(sysconfdir)/microgpt/\1`|g' \
	    $(srcdir)/README.md >$@.new && mv $@.new $@

# The whole algorithm in one Python file, which the tests run beside the program.
referencedir = $(docdir)/reference
dist_reference_DATA = %D%/reference/microgpt.py

# The page that shows the algorithm in three languages, from the sources themselves.
EXPLAIN_PARTS = \
    %D%/explain/build.awk \
    %D%/explain/ideas.txt \
    %D%/explain/page.css \
    %D%/explain/page.html \
    %D%/explain/page.js
EXTRA_DIST += $(EXPLAIN_PARTS)
html_DATA = %D%/microgpt.html
CLEANFILES += $(html_DATA)

# What ideas.txt names: the page is made anew when any of it changes.
EXPLAINED = \
    %D%/reference/microgpt.py \
    core/model/backward.c \
    core/model/forward.c \
    core/ref/activation.c \
    core/ref/attention.c \
    core/ref/clip.c \
    core/ref/cross_entropy.c \
    core/ref/embed.c \
    core/ref/linear.c \
    core/ref/norm.c \
    core/run/composed.c \
    plugins/backend/cuda/activation.cuh \
    plugins/backend/cuda/attention.cu \
    plugins/backend/cuda/attention_backward.cu \
    plugins/backend/cuda/clip.cu \
    plugins/backend/cuda/cross_entropy.cu \
    plugins/backend/cuda/embed.cu \
    plugins/backend/cuda/matmul.cu \
    plugins/backend/cuda/norm.cu \
    plugins/backend/cuda/rule_text.c \
    plugins/optimizer/adamw.h \
    plugins/sampler/topk.c \
    plugins/step/micro_cuda/forward.cu \
    plugins/step/micro_cuda/one.cu

%D%/microgpt.html: $(EXPLAIN_PARTS) $(EXPLAINED)
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	LC_ALL=C awk -f $(srcdir)/%D%/explain/build.awk -v top=$(srcdir) >$@.new && mv $@.new $@

# Manual pages. What they say of commands, options and keys is made of what the program and its INI
# say, so it cannot drift.
man_MANS = %D%/man/microgpt.1 %D%/man/microgpt.ini.5 %D%/man/microgpt-plugins.7
EXTRA_DIST += \
    %D%/man/commands.sh \
    %D%/man/keys.awk \
    %D%/man/microgpt-plugins.7.in \
    %D%/man/microgpt.1.in \
    %D%/man/microgpt.ini.5.in
CLEANFILES += $(man_MANS)
MAN_SED = $(SED) -e 's|@VERSION[@]|$(VERSION)|' -e 's|@ABI[@]|$(MGPT_ABI)|' \
    -e 's|@SYSCONFDIR[@]|$(sysconfdir)|' -e 's|@PLUGINDIR[@]|$(plugindir)|' \
    -e 's|@DATADIR[@]|$(pkgdatadir)|' -e 's|@DOCDIR[@]|$(docdir)|'

%D%/man/microgpt.1: $(srcdir)/%D%/man/microgpt.1.in $(srcdir)/%D%/man/commands.sh microgpt$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %D%/man
	$(AM_V_at)sh $(srcdir)/%D%/man/commands.sh ./microgpt$(EXEEXT) commands $@.help >$@.commands
	$(AM_V_at)sh $(srcdir)/%D%/man/commands.sh ./microgpt$(EXEEXT) options >$@.options
	$(AM_V_at)$(MAN_SED) -e '/^@COMMANDS[@]$$/{r $@.commands' -e 'd}' \
	    -e '/^@OPTIONS[@]$$/{r $@.options' -e 'd}' $(srcdir)/%D%/man/microgpt.1.in >$@.new
	$(AM_V_at)rm $@.commands $@.options && mv $@.new $@

%D%/man/microgpt.ini.5: $(srcdir)/%D%/man/microgpt.ini.5.in $(srcdir)/%D%/man/keys.awk \
    $(srcdir)/conf/microgpt.ini
	$(AM_V_GEN)$(MKDIR_P) %D%/man
	$(AM_V_at)$(AWK) -f $(srcdir)/%D%/man/keys.awk $(srcdir)/conf/microgpt.ini >$@.sections
	$(AM_V_at)$(MAN_SED) -e '/^@SECTIONS[@]$$/{r $@.sections' -e 'd}' $(srcdir)/%D%/man/microgpt.ini.5.in >$@.new
	$(AM_V_at)rm $@.sections && mv $@.new $@

%D%/man/microgpt-plugins.7: $(srcdir)/%D%/man/microgpt-plugins.7.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D%/man
	$(AM_V_at)$(MAN_SED) $(srcdir)/%D%/man/microgpt-plugins.7.in >$@.new && mv $@.new $@

# Where bash looks for completions.
completiondir = $(datadir)/bash-completion/completions
dist_completion_DATA = %D%/completion/microgpt

# Three whole projects of modules, as strangers write them. `make installcheck` builds them.
ademamixdir = $(docdir)/examples/ademamix
ademamix_testsdir = $(ademamixdir)/tests
dist_ademamix_DATA = \
    %D%/examples/ademamix/LICENSE \
    %D%/examples/ademamix/Makefile \
    %D%/examples/ademamix/Makefile.am \
    %D%/examples/ademamix/README.md \
    %D%/examples/ademamix/configure.ac \
    %D%/examples/ademamix/optimizer_ademamix.c
dist_ademamix_tests_DATA = \
    %D%/examples/ademamix/tests/check.c \
    %D%/examples/ademamix/tests/host.h \
    %D%/examples/ademamix/tests/run.sh
blockeddir = $(docdir)/examples/blocked
blocked_testsdir = $(blockeddir)/tests
dist_blocked_DATA = \
    %D%/examples/blocked/LICENSE \
    %D%/examples/blocked/Makefile \
    %D%/examples/blocked/Makefile.am \
    %D%/examples/blocked/README.md \
    %D%/examples/blocked/backend_blocked.c \
    %D%/examples/blocked/configure.ac
dist_blocked_tests_DATA = \
    %D%/examples/blocked/tests/check.c \
    %D%/examples/blocked/tests/host.h \
    %D%/examples/blocked/tests/run.sh
pairsdir = $(docdir)/examples/pairs
pairs_testsdir = $(pairsdir)/tests
dist_pairs_DATA = \
    %D%/examples/pairs/LICENSE \
    %D%/examples/pairs/Makefile \
    %D%/examples/pairs/Makefile.am \
    %D%/examples/pairs/README.md \
    %D%/examples/pairs/configure.ac \
    %D%/examples/pairs/tokenizer_pairs.cpp
dist_pairs_tests_DATA = \
    %D%/examples/pairs/tests/check.cpp \
    %D%/examples/pairs/tests/host.h \
    %D%/examples/pairs/tests/run.sh

# The reference of the public headers, in doc/api/html. It fails when a symbol has no comment.
EXTRA_DIST += %D%/api/Doxyfile.in %D%/api/filter.awk
DOXYGEN = doxygen
.PHONY: api
api:
	$(MKDIR_P) %D%/api
	$(SED) -e 's|@VERSION[@]|$(VERSION)|' -e 's|@ABI[@]|$(MGPT_ABI)|' -e 's|@AWK[@]|$(AWK)|' \
	    -e 's|@OUTPUT[@]|$(abs_builddir)/%D%/api|' -e 's|@CORE[@]|$(abs_top_srcdir)/core|' \
	    -e 's|@FILTER[@]|$(abs_srcdir)/%D%/api/filter.awk|' \
	    $(srcdir)/%D%/api/Doxyfile.in >%D%/api/Doxyfile
	$(DOXYGEN) %D%/api/Doxyfile
CLEANFILES += %D%/api/Doxyfile
