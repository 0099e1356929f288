# The configuration file with every key, the other recipe, and the built-in corpus.
INIS = microgpt.ini toygpt.ini
EXTRA_DIST += %D%/microgpt.ini %D%/toygpt.ini

corpusdir = $(pkgdatadir)/data
dist_corpus_DATA = %D%/data/given-names.txt

# A configuration that somebody has edited stays; ours is then put beside it as NAME.ini.new.
inidir = $(DESTDIR)$(sysconfdir)/microgpt

install-data-local:
	$(MKDIR_P) '$(inidir)'
	@for ini in $(INIS); do new=; \
	if test -f "$(inidir)/$$ini" && ! cmp -s "$(srcdir)/%D%/$$ini" "$(inidir)/$$ini"; \
	then new=.new; echo "$(inidir)/$$ini was edited: installing $$ini.new"; fi; \
	$(INSTALL_DATA) "$(srcdir)/%D%/$$ini" "$(inidir)/$$ini$$new" || exit 1; done

# The last line of `make install`, where the shell would not find the program.
install-data-hook:
	@case "$(DESTDIR):$$PATH:" in :*":$(bindir):"* | [!:]*) ;; \
	*) echo 'installed; now: export PATH=$(bindir):$$PATH' ;; esac

uninstall-local:
	@for ini in $(INIS); do \
	if cmp -s "$(srcdir)/%D%/$$ini" "$(inidir)/$$ini"; then rm -f "$(inidir)/$$ini"; fi; \
	rm -f "$(inidir)/$$ini.new"; done
