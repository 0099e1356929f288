# What is read: installed with the program.
dist_doc_DATA = \
    README.md \
    %D%/HACKING.md \
    %D%/kinds.md \
    %D%/performance.md

# The whole algorithm in one Python file, which the tests run beside the program.
referencedir = $(docdir)/reference
dist_reference_DATA = %D%/reference/microgpt.py
