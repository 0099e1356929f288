# The tests. A Check program is one name below and its tests/NAME.c; a script is one name below.
CHECK_TESTS = \
    %D%/check_abi \
    %D%/check_bpe \
    %D%/check_checkpoint \
    %D%/check_cli \
    %D%/check_conf \
    %D%/check_console \
    %D%/check_copied_graphs \
    %D%/check_copies \
    %D%/check_crops \
    %D%/check_cuda \
    %D%/check_devices \
    %D%/check_endings \
    %D%/check_faults \
    %D%/check_files \
    %D%/check_fuzz \
    %D%/check_generate \
    %D%/check_gpt2 \
    %D%/check_graph \
    %D%/check_hf \
    %D%/check_hf_bpe \
    %D%/check_ini \
    %D%/check_kept \
    %D%/check_loader \
    %D%/check_micro \
    %D%/check_micro_modes \
    %D%/check_model \
    %D%/check_muon \
    %D%/check_native \
    %D%/check_ops \
    %D%/check_picks \
    %D%/check_plan \
    %D%/check_ref \
    %D%/check_registry \
    %D%/check_rng \
    %D%/check_safetensors \
    %D%/check_samples \
    %D%/check_scaling \
    %D%/check_step \
    %D%/check_tensor \
    %D%/check_tensorboard \
    %D%/check_text \
    %D%/check_tf32 \
    %D%/check_update \
    %D%/conform_backend \
    %D%/conform_dataset \
    %D%/conform_logger \
    %D%/conform_optimizer \
    %D%/conform_precision \
    %D%/conform_sampler \
    %D%/conform_scheduler \
    %D%/conform_step \
    %D%/conform_tokenizer

SCRIPT_TESTS = \
    %D%/api.sh \
    %D%/docs.sh \
    %D%/emu_asan.sh \
    %D%/emu_races.sh \
    %D%/exports.sh \
    %D%/format.sh \
    %D%/layering.sh \
    %D%/manual.sh \
    %D%/page.sh \
    %D%/run_abi.sh \
    %D%/run_amp.sh \
    %D%/run_bench.sh \
    %D%/run_bf16.sh \
    %D%/run_bpe.sh \
    %D%/run_broken.sh \
    %D%/run_crash.sh \
    %D%/run_cuda.sh \
    %D%/run_doctor.sh \
    %D%/run_emu.sh \
    %D%/run_errors.sh \
    %D%/run_explain.sh \
    %D%/run_fetch.sh \
    %D%/run_generate.sh \
    %D%/run_graph.sh \
    %D%/run_hf.sh \
    %D%/run_judge.sh \
    %D%/run_muon.sh \
    %D%/run_names.sh \
    %D%/run_pages.sh \
    %D%/run_plugins.sh \
    %D%/run_reference.sh \
    %D%/run_resume.sh \
    %D%/run_swap.sh \
    %D%/run_tensorboard.sh \
    %D%/run_text.sh \
    %D%/run_tokenizers.sh \
    %D%/run_toygpt.sh \
    %D%/run_transformers.sh \
    %D%/run_watch.sh \
    %D%/spills.sh \
    %D%/templates.sh \
    %D%/tutorial.sh

TESTS = $(SCRIPT_TESTS)
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = bash
EXTRA_DIST += $(SCRIPT_TESTS) \
    %D%/bench/compare.sh \
    %D%/bench/generate.sh \
    %D%/bench/gpt2.sh \
    %D%/bench/gpu.sh \
    %D%/bench/linked.c \
    %D%/bench/linked.sh \
    %D%/bench/products.sh \
    %D%/bench/samples.sh \
    %D%/bench/steps.sh \
    %D%/bench/toygpt.sh \
    %D%/browser.py \
    %D%/interactive.py \
    %D%/judge/bpe.py \
    %D%/judge/gpt2.py \
    %D%/judge/gpu.py \
    %D%/judge/hf.py \
    %D%/judge/muon.py \
    %D%/judge/parity.py \
    %D%/judge/tensorboard_log.py \
    %D%/judge/toygpt.py \
    %D%/page.py \
    %D%/plugins/bad_logger.c \
    %D%/plugins/bad_step.c \
    %D%/plugins/broken.c \
    %D%/plugins/cpp.cpp \
    %D%/plugins/step_latin.c \
    %D%/recipes.sh \
    %D%/run.sh \
    %D%/server.py \
    %D%/watch.py

# The fuzz targets: `make fuzz` builds them with clang and runs each RUNS times. check_fuzz holds
# their corpus against the same functions.
FUZZ_CORPUS = \
    %D%/fuzz/corpus/bpe/bytes \
    %D%/fuzz/corpus/bpe/merges \
    %D%/fuzz/corpus/bpe/unknown \
    %D%/fuzz/corpus/config/checkpoint \
    %D%/fuzz/corpus/config/deep \
    %D%/fuzz/corpus/config/gpt2 \
    %D%/fuzz/corpus/config/twice \
    %D%/fuzz/corpus/ini/indented \
    %D%/fuzz/corpus/ini/keys \
    %D%/fuzz/corpus/ini/mark \
    %D%/fuzz/corpus/ini/twice \
    %D%/fuzz/corpus/manifest/odd \
    %D%/fuzz/corpus/manifest/sound \
    %D%/fuzz/corpus/safetensors/deep \
    %D%/fuzz/corpus/safetensors/empty \
    %D%/fuzz/corpus/safetensors/hole \
    %D%/fuzz/corpus/safetensors/three \
    %D%/fuzz/corpus/safetensors/twice \
    %D%/fuzz/corpus/safetensors/zero \
    %D%/fuzz/corpus/tokenizer/bytes \
    %D%/fuzz/corpus/tokenizer/chars \
    %D%/fuzz/corpus/tokenizer/files \
    %D%/fuzz/corpus/tokenizer/merges \
    %D%/fuzz/corpus/tokenizer/ours-byte \
    %D%/fuzz/corpus/tokenizer/ours-char \
    %D%/fuzz/corpus/tokenizer/pairs
EXTRA_DIST += $(FUZZ_CORPUS) %D%/fuzz/run.sh %D%/fuzz/config.dict %D%/fuzz/manifest.dict \
    %D%/fuzz/safetensors.dict %D%/fuzz/tokenizer.dict
.PHONY: fuzz
fuzz: core/run/watch_page.h
	$(MKDIR_P) %D%/fuzz
	sh $(srcdir)/%D%/fuzz/run.sh $(srcdir) $(INIH_CFLAGS) $(JANSSON_CFLAGS) $(NETTLE_CFLAGS) \
	    $(UTF8PROC_CFLAGS) $(UTF8PROC_LIBS) $(INIH_LIBS) $(JANSSON_LIBS) $(NETTLE_LIBS) \
	    $(CURL_LIBS) $(LIBS)

# The public headers of every released minor version of the ABI, as they were.
EXTRA_DIST += %D%/abi/1.0/microgpt/backend.h \
    %D%/abi/1.0/microgpt/dataset.h \
    %D%/abi/1.0/microgpt/logger.h \
    %D%/abi/1.0/microgpt/model.h \
    %D%/abi/1.0/microgpt/optimizer.h \
    %D%/abi/1.0/microgpt/plugin.h \
    %D%/abi/1.0/microgpt/precision.h \
    %D%/abi/1.0/microgpt/random.h \
    %D%/abi/1.0/microgpt/sampler.h \
    %D%/abi/1.0/microgpt/scheduler.h \
    %D%/abi/1.0/microgpt/status.h \
    %D%/abi/1.0/microgpt/step.h \
    %D%/abi/1.0/microgpt/tensor.h \
    %D%/abi/1.0/microgpt/tokenizer.h

# What tests/bench/products.sh builds and runs.
EXTRA_PROGRAMS += %D%/bench/products
CLEANFILES += %D%/bench/products
%C%_bench_products_LDADD = libmicrogpt.la

# Our own PyTorch of the second recipe, to be held against, and the programs that read our files:
# some gigabytes in the build folder. What `make check` does at a tenth of the size, 100 steps, it
# does at the whole size too.
JUDGES = %D%/run_judge.sh %D%/run_tensorboard.sh %D%/run_tokenizers.sh %D%/run_transformers.sh
.PHONY: judge
judge: all
	test -x judge-venv/bin/python || $(PYTHON3) -m venv judge-venv
	judge-venv/bin/python -m pip install --quiet torch safetensors numpy transformers tensorboard
	MGPT_JUDGE=full $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(JUDGES)'
PYTHON3 = python3

if HAVE_CHECK
check_PROGRAMS += $(CHECK_TESTS)
TESTS += $(CHECK_TESTS)

# What test programs share. LDADD is every program's that does not say otherwise.
check_LTLIBRARIES += %D%/libtesting.la
%C%_libtesting_la_SOURCES = \
    %D%/conf_fixture.h \
    %D%/conform.h \
    %D%/modules.h \
    %D%/scratch.h \
    %D%/small_snapshot.h \
    %D%/testing.c %D%/testing.h
LDADD = %D%/libtesting.la libmicrogpt.la $(CHECK_LIBS)

%C%_check_abi_SOURCES = %D%/check_abi.c %D%/abi_layout.h %D%/abi_values.h
%C%_check_graph_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu
%C%_check_kept_SOURCES = %D%/check_kept.c %D%/kept.h %D%/kept_lab.c %D%/kept_writers.c
COPIES_SOURCES = %D%/copies.h %D%/copies_lab.c %D%/kept.h %D%/kept_lab.c %D%/kept_writers.c
%C%_check_copies_SOURCES = %D%/check_copies.c $(COPIES_SOURCES)
%C%_check_copies_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu
%C%_check_copied_graphs_SOURCES = %D%/check_copied_graphs.c $(COPIES_SOURCES)
%C%_check_copied_graphs_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu
%C%_check_native_SOURCES = %D%/check_native.c %D%/native_rig.h %D%/native_text.h
%C%_check_devices_SOURCES = %D%/check_devices.c %D%/native_rig.h %D%/native_text.h
%C%_check_devices_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu
%C%_check_tensor_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu
%C%_check_native_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu

%C%_check_micro_SOURCES = %D%/check_micro.c %D%/micro_rig.c %D%/micro_rig.h
%C%_check_micro_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu
%C%_check_micro_modes_SOURCES = %D%/check_micro_modes.c %D%/micro_rig.c %D%/micro_rig.h
%C%_check_micro_modes_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/emu

%C%_check_bpe_SOURCES = %D%/check_bpe.c
%C%_check_bpe_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(UTF8PROC_CFLAGS)
%C%_check_bpe_LDADD = $(LDADD) $(JANSSON_LIBS) $(UTF8PROC_LIBS)
%C%_check_fuzz_SOURCES = \
    %D%/check_fuzz.c \
    %D%/fuzz/bpe.c \
    %D%/fuzz/config.c \
    %D%/fuzz/fuzz.h \
    %D%/fuzz/ini.c \
    %D%/fuzz/manifest.c \
    %D%/fuzz/safetensors.c \
    %D%/fuzz/tokenizer.c
%C%_check_fuzz_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(UTF8PROC_CFLAGS)
%C%_check_fuzz_LDADD = $(LDADD) $(JANSSON_LIBS) $(UTF8PROC_LIBS)
if HAVE_UTF8PROC
%C%_check_bpe_SOURCES += $(BPE_SOURCES)
%C%_check_fuzz_SOURCES += $(BPE_SOURCES)
endif

# What of the cuda backend needs no CUDA; and what needs only its compiler.
%C%_check_cuda_SOURCES = %D%/check_cuda.c \
    plugins/backend/cuda/cache.c \
    plugins/backend/cuda/rule_text.c
%C%_check_cuda_CPPFLAGS = -I$(top_srcdir)/%D%/emu $(AM_CPPFLAGS) \
    -I$(top_srcdir)/plugins/backend/cuda
if HAVE_NVCC
check_PROGRAMS += %D%/check_nvrtc
TESTS += %D%/check_nvrtc
%C%_check_nvrtc_SOURCES = %D%/check_nvrtc.c %D%/native_text.h \
    plugins/backend/cuda/driver.c \
    plugins/backend/cuda/nvrtc.c \
    plugins/backend/cuda/rule_text.c \
    plugins/step/graph_cuda/text.c
%C%_check_nvrtc_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/plugins/backend/cuda \
    $(CUDA_CPPFLAGS) -DCUDA_LIBDIR='"$(CUDA_LIBDIR)"'

check_PROGRAMS += %D%/check_programs
TESTS += %D%/check_programs
%C%_check_programs_SOURCES = %D%/check_programs.c \
    plugins/backend/cuda/cache.c \
    plugins/backend/cuda/module.c \
    plugins/backend/cuda/program.c
%C%_check_programs_CPPFLAGS = $(%C%_check_nvrtc_CPPFLAGS)

check_PROGRAMS += %D%/check_micro_nvrtc
TESTS += %D%/check_micro_nvrtc
%C%_check_micro_nvrtc_SOURCES = %D%/check_micro_nvrtc.c \
    plugins/backend/cuda/driver.c \
    plugins/backend/cuda/nvrtc.c \
    plugins/step/micro_cuda/plan.c \
    plugins/step/micro_cuda/text.c
nodist_%C%_check_micro_nvrtc_SOURCES = plugins/step/micro_cuda/kernel_text.c
%C%_check_micro_nvrtc_CPPFLAGS = $(%C%_check_nvrtc_CPPFLAGS) \
    -I$(top_srcdir)/plugins/step/micro_cuda
endif
else
check_DATA = Check-is-missing
Check-is-missing:
	@echo 'make check needs Check (Debian package check). Install it, run configure again.' >&2
	@exit 1
endif

# Plugins for tests alone, built as tests/plugins/.libs/NAME.so; most of them are bad ones.
TEST_PLUGIN_LDFLAGS = $(MODULE_LDFLAGS) -rpath $(abs_builddir)
check_LTLIBRARIES += %D%/plugins/backend_slow.la
%C%_plugins_backend_slow_la_SOURCES = %D%/plugins/backend_slow.c
%C%_plugins_backend_slow_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)

check_LTLIBRARIES += %D%/plugins/sampler_picky.la
%C%_plugins_sampler_picky_la_SOURCES = %D%/plugins/sampler_picky.c
%C%_plugins_sampler_picky_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_backend.la
%C%_plugins_bad_backend_la_SOURCES = %D%/plugins/bad_backend.c
%C%_plugins_bad_backend_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_abi.la
%C%_plugins_bad_abi_la_SOURCES = %D%/plugins/bad_abi.c
%C%_plugins_bad_abi_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_kind.la
%C%_plugins_bad_kind_la_SOURCES = %D%/plugins/bad_kind.c
%C%_plugins_bad_kind_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_magic.la
%C%_plugins_bad_magic_la_SOURCES = %D%/plugins/bad_magic.c
%C%_plugins_bad_magic_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_option.la
%C%_plugins_bad_option_la_SOURCES = %D%/plugins/bad_option.c
%C%_plugins_bad_option_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_size.la
%C%_plugins_bad_size_la_SOURCES = %D%/plugins/bad_size.c
%C%_plugins_bad_size_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/good_new.la
%C%_plugins_good_new_la_SOURCES = %D%/plugins/good_new.c
%C%_plugins_good_new_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/good_old.la
%C%_plugins_good_old_la_SOURCES = %D%/plugins/good_old.c
%C%_plugins_good_old_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
# These need what nobody has, and export nothing; they link all the same.
BAD_PLUGIN_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath $(abs_builddir)
check_LTLIBRARIES += %D%/plugins/bad_undefined.la
%C%_plugins_bad_undefined_la_SOURCES = %D%/plugins/bad_undefined.c
%C%_plugins_bad_undefined_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/fake_libcuda.la
%C%_plugins_fake_libcuda_la_SOURCES = %D%/plugins/fake_libcuda.c
%C%_plugins_fake_libcuda_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
check_LTLIBRARIES += %D%/plugins/bad_symbol.la
%C%_plugins_bad_symbol_la_SOURCES = %D%/plugins/bad_symbol.c
%C%_plugins_bad_symbol_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)

# Backend cuda_emu: the cuda backend with the emulation in the place of CUDA; and the same under
# AddressSanitizer. What is tested of the emulation itself is a Check program.
EMU_CORE = %D%/emu/fibres.cpp %D%/emu/warp.cpp %D%/emu/runtime.cpp
EMU_SOURCES = $(CUDA_HOST) $(EMU_CORE) \
    %D%/emu/blas.cpp \
    %D%/emu/component.c \
    %D%/emu/counters.h \
    %D%/emu/cublasLt.h \
    %D%/emu/cuda_runtime.h \
    %D%/emu/cuda_runtime_api.h \
    %D%/emu/fibres.h \
    %D%/emu/kernels.cpp \
    %D%/emu/ptx.cpp \
    %D%/emu/ptx.h \
    %D%/emu/program.cpp
EMU_CPPFLAGS = -DEMU_CXX='"$(CXX)"' -I$(top_srcdir)/%D%/emu $(AM_CPPFLAGS) \
    -I$(top_srcdir)/plugins/backend/cuda
if HAVE_CXX
check_LTLIBRARIES += %D%/plugins/backend_cuda_emu.la
%C%_plugins_backend_cuda_emu_la_SOURCES = $(EMU_SOURCES)
%C%_plugins_backend_cuda_emu_la_CPPFLAGS = $(EMU_CPPFLAGS)
%C%_plugins_backend_cuda_emu_la_CXXFLAGS = $(MGPT_CXXFLAGS)
%C%_plugins_backend_cuda_emu_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
%C%_plugins_backend_cuda_emu_la_LIBADD = $(MGPT_EMU_LIBS)
if CXX_ASAN
EMU_ASAN = -fsanitize=address -fno-omit-frame-pointer
check_LTLIBRARIES += %D%/asan/backend_cuda_emu.la
%C%_asan_backend_cuda_emu_la_SOURCES = $(EMU_SOURCES)
%C%_asan_backend_cuda_emu_la_CPPFLAGS = $(EMU_CPPFLAGS) -DEMU_SLOW
%C%_asan_backend_cuda_emu_la_CFLAGS = $(AM_CFLAGS) $(EMU_ASAN)
%C%_asan_backend_cuda_emu_la_CXXFLAGS = $(MGPT_CXXFLAGS) $(EMU_ASAN)
%C%_asan_backend_cuda_emu_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
%C%_asan_backend_cuda_emu_la_LIBADD = -lasan
# The calls that -fsanitize=thread compiles in go to races.cpp.
check_LTLIBRARIES += %D%/races/backend_cuda_emu.la
%C%_races_backend_cuda_emu_la_SOURCES = $(EMU_SOURCES) %D%/emu/races.cpp
%C%_races_backend_cuda_emu_la_CPPFLAGS = $(EMU_CPPFLAGS) -DEMU_SLOW
%C%_races_backend_cuda_emu_la_CXXFLAGS = $(MGPT_CXXFLAGS) -fsanitize=thread
%C%_races_backend_cuda_emu_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
endif
if HAVE_CHECK
EMU_TESTS = %D%/check_emu %D%/check_ptx
%C%_check_ptx_SOURCES = %D%/emu/check_ptx.cpp %D%/emu/ptx.cpp $(EMU_CORE)
%C%_check_ptx_CPPFLAGS = $(EMU_CPPFLAGS)
%C%_check_ptx_CXXFLAGS = $(MGPT_CXXFLAGS)
%C%_check_ptx_LDADD = $(CHECK_LIBS)
%C%_check_emu_SOURCES = %D%/emu/check_emu.cpp $(EMU_CORE)
%C%_check_emu_CPPFLAGS = $(EMU_CPPFLAGS)
%C%_check_emu_CXXFLAGS = $(MGPT_CXXFLAGS)
%C%_check_emu_LDADD = $(CHECK_LIBS)
if CXX_ASAN
EMU_TESTS += %D%/check_emu_asan %D%/check_emu_races
%C%_check_emu_races_SOURCES = %D%/emu/check_emu.cpp $(EMU_CORE) %D%/emu/races.cpp
%C%_check_emu_races_CPPFLAGS = $(EMU_CPPFLAGS)
%C%_check_emu_races_CXXFLAGS = $(MGPT_CXXFLAGS) -fsanitize=thread
%C%_check_emu_races_LINK = $(LIBTOOL) $(AM_V_lt) --tag=CXX --mode=link $(CXX) $(CXXFLAGS) \
    $(AM_LDFLAGS) $(LDFLAGS) -o $@
%C%_check_emu_races_LDADD = $(CHECK_LIBS)
%C%_check_emu_asan_SOURCES = %D%/emu/check_emu.cpp $(EMU_CORE)
%C%_check_emu_asan_CPPFLAGS = $(EMU_CPPFLAGS)
%C%_check_emu_asan_CXXFLAGS = $(MGPT_CXXFLAGS) $(EMU_ASAN)
%C%_check_emu_asan_LDFLAGS = -fsanitize=address
%C%_check_emu_asan_LDADD = $(CHECK_LIBS)
endif
check_PROGRAMS += $(EMU_TESTS)
TESTS += $(EMU_TESTS)
endif
endif

# What is installed, as its user finds it: every template, built by make and by Autotools, passes
# its tests and trains. Two minutes of one core, more or less.
installcheck-local:
	MGPT_INSTALLED='$(DESTDIR)$(prefix)' MGPT_PREFIX='$(prefix)' \
	    MGPT_PKGCONFIGDIR='$(DESTDIR)$(pkgconfigdir)' MGPT_EXAMPLES='$(DESTDIR)$(docdir)/examples' \
	    abs_top_srcdir='$(abs_top_srcdir)' abs_top_builddir='$(abs_top_builddir)' \
	    $(SHELL) -c 'bash $(srcdir)/%D%/templates.sh'

# Where tests keep compiled programs.
clean-local:
	-rm -rf %D%/cache %D%/bench/linked.dir doc/api/html

# What run_crash.sh kills.
check_PROGRAMS += %D%/save_once

# What the judge of tokenizers asks for ids.
check_PROGRAMS += %D%/encode_text

# The program and the plugins of this build, and no configuration of whoever runs the tests. Check's
# four seconds a test are too few on a slow machine or under sanitizers, which end a process that
# asks for more memory than there can be, as contracts do to see it refused, unless told not to.
AM_TESTS_ENVIRONMENT = \
    abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
    abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
    builddir='$(builddir)'; export builddir; \
    CC='$(CC)'; CXX='$(CXX)'; export CC CXX; \
    MICROGPT='$(abs_builddir)/microgpt$(EXEEXT)'; export MICROGPT; \
    MICROGPT_PLUGIN_PATH='$(abs_builddir)/plugins/.libs'; export MICROGPT_PLUGIN_PATH; \
    MICROGPT_TEST_PLUGINS='$(abs_builddir)/%D%/plugins/.libs'; export MICROGPT_TEST_PLUGINS; \
    XDG_CACHE_HOME='$(abs_builddir)/%D%/cache'; export XDG_CACHE_HOME; \
    XDG_CONFIG_HOME='$(abs_builddir)/%D%/no-config'; export XDG_CONFIG_HOME; \
    ASAN_OPTIONS=allocator_may_return_null=1$${ASAN_OPTIONS:+:$$ASAN_OPTIONS}; \
    export ASAN_OPTIONS; \
    : $${CK_DEFAULT_TIMEOUT=60}; export CK_DEFAULT_TIMEOUT;
