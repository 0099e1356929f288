# The configuration file with every key, and the built-in corpus.
EXTRA_DIST += %D%/microgpt.ini

corpusdir = $(pkgdatadir)/data
dist_corpus_DATA = %D%/data/given-names.txt

# A configuration that somebody has edited stays; ours is then put beside it as microgpt.ini.new.
installed_ini = $(DESTDIR)$(sysconfdir)/microgpt/microgpt.ini

install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/microgpt'
	@new=; if test -f '$(installed_ini)' && ! cmp -s '$(srcdir)/%D%/microgpt.ini' '$(installed_ini)'; \
	then new=.new; echo '$(installed_ini) was edited: installing microgpt.ini.new'; fi; \
	$(INSTALL_DATA) '$(srcdir)/%D%/microgpt.ini' "$(installed_ini)$$new"

uninstall-local:
	@if cmp -s '$(srcdir)/%D%/microgpt.ini' '$(installed_ini)'; then rm -f '$(installed_ini)'; fi
	rm -f '$(installed_ini).new'
