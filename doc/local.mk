# What is read: installed with the program.
dist_doc_DATA = \
    README.md \
    %D%/HACKING.md \
    %D%/kinds.md \
    %D%/performance.md \
    %D%/shakespeare.txt

# The whole algorithm in one Python file, which the tests run beside the program.
referencedir = $(docdir)/reference
dist_reference_DATA = %D%/reference/microgpt.py

# The page that shows the algorithm in three languages, from the sources themselves.
EXPLAIN_PARTS = %D%/explain/build.awk %D%/explain/ideas.txt \
    %D%/explain/page.html %D%/explain/page.css %D%/explain/page.js
EXTRA_DIST += $(EXPLAIN_PARTS)
html_DATA = %D%/microgpt.html
CLEANFILES += $(html_DATA)

# What ideas.txt names: the page is made anew when any of it changes.
EXPLAINED = \
    %D%/reference/microgpt.py \
    core/ref/embed.c core/ref/norm.c core/ref/attention.c core/ref/linear.c core/ref/activation.c \
    core/ref/cross_entropy.c core/ref/clip.c \
    core/model/forward.c core/model/backward.c core/run/composed.c \
    plugins/optimizer/adamw.h plugins/sampler/topk.c \
    plugins/backend/cuda/embed.cu plugins/backend/cuda/norm.cu \
    plugins/backend/cuda/attention.cu plugins/backend/cuda/attention_backward.cu \
    plugins/backend/cuda/activation.cuh plugins/backend/cuda/matmul.cu \
    plugins/backend/cuda/cross_entropy.cu plugins/backend/cuda/clip.cu \
    plugins/backend/cuda/rule_text.c

%D%/microgpt.html: $(EXPLAIN_PARTS) $(EXPLAINED)
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	LC_ALL=C awk -f $(srcdir)/%D%/explain/build.awk -v top=$(srcdir) >$@.new && mv $@.new $@
