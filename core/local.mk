# The core: libmicrogpt.la, linked into the program and into the tests, and the program.

# What a plugin may include, and all that is installed.
mgptincludedir = $(includedir)/microgpt
mgptinclude_HEADERS = \
    %D%/microgpt/backend.h \
    %D%/microgpt/cuda_native.h \
    %D%/microgpt/dataset.h \
    %D%/microgpt/logger.h \
    %D%/microgpt/model.h \
    %D%/microgpt/optimizer.h \
    %D%/microgpt/plugin.h \
    %D%/microgpt/precision.h \
    %D%/microgpt/random.h \
    %D%/microgpt/sampler.h \
    %D%/microgpt/scheduler.h \
    %D%/microgpt/status.h \
    %D%/microgpt/step.h \
    %D%/microgpt/tensor.h \
    %D%/microgpt/tokenizer.h \
    %D%/microgpt/utf8.h

CORE_CPPFLAGS = -I$(top_srcdir)/core -I$(top_builddir)/core \
    -DMGPT_PLUGINDIR='"$(plugindir)"' \
    -DMGPT_SYSCONFDIR='"$(sysconfdir)"' \
    -DMGPT_DATADIR='"$(pkgdatadir)"' \
    -DMGPT_HTMLDIR='"$(htmldir)"'

# Linked in, never installed: the core has no API for others.
noinst_LTLIBRARIES += libmicrogpt.la
libmicrogpt_la_CPPFLAGS = $(CORE_CPPFLAGS) $(INIH_CFLAGS) $(JANSSON_CFLAGS) $(NETTLE_CFLAGS) \
    $(CURL_CFLAGS)
libmicrogpt_la_LIBADD = $(INIH_LIBS) $(JANSSON_LIBS) $(NETTLE_LIBS)
libmicrogpt_la_SOURCES = \
    %D%/base/apart.c %D%/base/apart.h \
    %D%/base/child.c %D%/base/child.h \
    %D%/base/clock.c %D%/base/clock.h \
    %D%/base/dir.c \
    %D%/base/draws.c %D%/base/draws.h \
    %D%/base/file.c %D%/base/file.h \
    %D%/base/json.c %D%/base/json.h \
    %D%/base/log.c %D%/base/log.h \
    %D%/base/memory.c %D%/base/memory.h \
    %D%/base/output.c \
    %D%/base/rng.c %D%/base/rng.h \
    %D%/base/sha256.c %D%/base/sha256.h \
    %D%/base/stop.c %D%/base/stop.h \
    %D%/base/terminal.c %D%/base/terminal.h \
    %D%/base/text.c %D%/base/text.h \
    %D%/check/backend.c \
    %D%/check/backend_ops.c \
    %D%/check/bench_dataset.h \
    %D%/check/bench_logger.h \
    %D%/check/bench_optimizer.h \
    %D%/check/bench_precision.h \
    %D%/check/bench_sampler.h \
    %D%/check/bench_scheduler.h \
    %D%/check/bench_tokenizer.h \
    %D%/check/check.c %D%/check/check.h \
    %D%/check/dataset.c \
    %D%/check/device.c %D%/check/device.h \
    %D%/check/logger.c \
    %D%/check/net.c %D%/check/net.h \
    %D%/check/op_cases.c %D%/check/op_cases.h %D%/check/op_values.c \
    %D%/check/optimizer.c \
    %D%/check/precision.c \
    %D%/check/sampler.c \
    %D%/check/scheduler.c \
    %D%/check/step.c \
    %D%/check/step_rig.c %D%/check/step_rig.h \
    %D%/check/step_subject.c %D%/check/step_subject.h \
    %D%/check/suite.c %D%/check/suite.h \
    %D%/check/tokenizer.c \
    %D%/check/update_lab.c %D%/check/update_lab.h \
    %D%/conf/check.c \
    %D%/conf/conf.c %D%/conf/conf.h \
    %D%/conf/faults.c %D%/conf/faults.h \
    %D%/conf/ini.c %D%/conf/ini.h \
    %D%/conf/print.c \
    %D%/conf/schema.c %D%/conf/schema.h \
    %D%/conf/state.h \
    %D%/model/backward.c \
    %D%/model/decode.c \
    %D%/model/forward.c %D%/model/forward.h \
    %D%/model/machine.c %D%/model/machine.h \
    %D%/model/params.c %D%/model/params.h \
    %D%/model/spec.c %D%/model/spec.h \
    %D%/model/tape.c %D%/model/tape.h \
    %D%/plugin/cure.c %D%/plugin/cure.h \
    %D%/plugin/diary.c %D%/plugin/diary.h \
    %D%/plugin/elf.c %D%/plugin/elf.h \
    %D%/plugin/host.c \
    %D%/plugin/kinds.c %D%/plugin/kinds.h \
    %D%/plugin/left_out.c %D%/plugin/left_out.h \
    %D%/plugin/loader.c %D%/plugin/loader.h \
    %D%/plugin/options.c %D%/plugin/options.h \
    %D%/plugin/probe.c \
    %D%/plugin/registry.c %D%/plugin/registry.h \
    %D%/plugin/rule.c %D%/plugin/rule.h \
    %D%/plugin/search.c %D%/plugin/search.h \
    %D%/plugin/validate.c %D%/plugin/validate.h \
    %D%/plugin/validate_backend.c \
    %D%/plugin/validate_data.c \
    %D%/plugin/validate_machine.h \
    %D%/plugin/validate_memory.c \
    %D%/plugin/validate_native.c \
    %D%/plugin/validate_ops.c \
    %D%/plugin/validate_run.c \
    %D%/plugin/validate_slots.h \
    %D%/plugin/validate_step.c \
    %D%/plugin/value.c %D%/plugin/value.h \
    %D%/ref/activation.c \
    %D%/ref/add.c \
    %D%/ref/attention.c \
    %D%/ref/axpby.c \
    %D%/ref/check.c \
    %D%/ref/clip.c \
    %D%/ref/cross_entropy.c \
    %D%/ref/dropout.c \
    %D%/ref/embed.c \
    %D%/ref/fill.c \
    %D%/ref/linear.c \
    %D%/ref/norm.c \
    %D%/ref/ops.h \
    %D%/ref/ref.c %D%/ref/ref.h \
    %D%/ref/scaler.c \
    %D%/ref/store.c \
    %D%/run/bench.c %D%/run/bench.h \
    %D%/run/bench_ops.c %D%/run/bench_ops.h \
    %D%/run/block.c %D%/run/block.h \
    %D%/run/checkpoint.c %D%/run/checkpoint.h \
    %D%/run/checkpoint_folder.c %D%/run/checkpoint_folder.h \
    %D%/run/checkpoint_read.c \
    %D%/run/composed.c %D%/run/composed.h \
    %D%/run/data.c %D%/run/data.h \
    %D%/run/device.c %D%/run/device.h \
    %D%/run/doctor.c %D%/run/doctor.h \
    %D%/run/doctor_modules.c \
    %D%/run/download.c \
    %D%/run/endings.c %D%/run/endings.h \
    %D%/run/eval.c %D%/run/eval.h \
    %D%/run/explain.c %D%/run/explain.h \
    %D%/run/fetch.c %D%/run/fetch.h \
    %D%/run/folder.c %D%/run/folder.h \
    %D%/run/generate.c %D%/run/generate.h \
    %D%/run/hf.h \
    %D%/run/hf_added.c \
    %D%/run/hf_bpe.c \
    %D%/run/hf_bpe.h \
    %D%/run/hf_config.c \
    %D%/run/hf_export.c \
    %D%/run/hf_import.c \
    %D%/run/hf_tokenizer.c \
    %D%/run/hf_weights.c \
    %D%/run/lockstep.c %D%/run/lockstep.h \
    %D%/run/loggers.c %D%/run/loggers.h \
    %D%/run/logits.c %D%/run/logits.h \
    %D%/run/manifest.c %D%/run/manifest.h \
    %D%/run/passes.c %D%/run/passes.h \
    %D%/run/peak.c %D%/run/peak.h \
    %D%/run/picks.c %D%/run/picks.h \
    %D%/run/plan.c %D%/run/plan.h \
    %D%/run/rig.c %D%/run/rig.h \
    %D%/run/safetensors.c %D%/run/safetensors.h \
    %D%/run/safetensors_header.c %D%/run/safetensors_header.h \
    %D%/run/safetensors_write.c \
    %D%/run/samples.c %D%/run/samples.h \
    %D%/run/session.c %D%/run/session.h \
    %D%/run/snapshot.c %D%/run/snapshot.h \
    %D%/run/step.c %D%/run/step.h \
    %D%/run/time_left.c %D%/run/time_left.h \
    %D%/run/train.c %D%/run/train.h \
    %D%/run/trained.c %D%/run/trained.h \
    %D%/run/training.c %D%/run/training.h \
    %D%/run/update.c %D%/run/update.h \
    %D%/run/validation.c %D%/run/validation.h \
    %D%/run/watch.c %D%/run/watch.h \
    %D%/run/window.c %D%/run/window.h

# The page of `microgpt watch`, as strings.
WATCH_PAGE = %D%/run/watch/embed.awk %D%/run/watch/page.html %D%/run/watch/page.js
EXTRA_DIST += $(WATCH_PAGE)
BUILT_SOURCES += %D%/run/watch_page.h
nodist_libmicrogpt_la_SOURCES = %D%/run/watch_page.h
CLEANFILES += %D%/run/watch_page.h
%D%/run/watch_page.h: $(WATCH_PAGE)
	$(AM_V_GEN)$(MKDIR_P) %D%/run && LC_ALL=C awk -f $(srcdir)/%D%/run/watch/embed.awk \
	    -v folder=$(srcdir)/%D%/run/watch >$@.new && mv $@.new $@

bin_PROGRAMS += microgpt
microgpt_CPPFLAGS = $(CORE_CPPFLAGS) $(JANSSON_CFLAGS) $(EDIT_CFLAGS)
microgpt_LDADD = libmicrogpt.la $(EDIT_LIBS)
microgpt_SOURCES = \
    %D%/cli/args.c \
    %D%/cli/browse.c %D%/cli/browse.h \
    %D%/cli/cli.h \
    %D%/cli/cmd_bench.c \
    %D%/cli/cmd_config.c \
    %D%/cli/cmd_doctor.c \
    %D%/cli/cmd_eval.c \
    %D%/cli/cmd_explain.c \
    %D%/cli/cmd_export.c \
    %D%/cli/cmd_fetch.c \
    %D%/cli/cmd_generate.c \
    %D%/cli/cmd_import.c \
    %D%/cli/cmd_plugins.c \
    %D%/cli/cmd_plugins_check.c \
    %D%/cli/cmd_train.c \
    %D%/cli/cmd_watch.c \
    %D%/cli/config_check.c \
    %D%/cli/configure.c \
    %D%/cli/explain.c \
    %D%/cli/interactive.c %D%/cli/interactive.h \
    %D%/cli/line.c %D%/cli/line.h \
    %D%/cli/main.c \
    %D%/cli/next.c \
    %D%/cli/plugins.h \
    %D%/cli/plugins_new.c \
    %D%/cli/printer.c %D%/cli/printer.h \
    %D%/cli/usage.c
