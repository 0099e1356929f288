# The plugins: one libtool module a file, built as plugins/.libs/KIND_NAME.so. A new one is a line
# in configure.ac, which puts it on MGPT_PLUGINS, and here: its name, its sources, how it is linked.
plugindir = $(pkglibdir)/plugins
plugin_LTLIBRARIES = $(MGPT_PLUGINS)

# A module that exports one symbol and links nothing from the core. (Automake cannot know whether
# one of EXTRA_LTLIBRARIES will be installed, hence the -rpath.)
MODULE_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -no-undefined $(MGPT_PLUGIN_LDFLAGS) \
    -export-symbols-regex '^microgpt_plugin_v1$$'
PLUGIN_LDFLAGS = $(MODULE_LDFLAGS) -rpath $(plugindir)
# Automake cleans no EXTRA_LTLIBRARIES; these are parts of plugins.
CLEANFILES += %D%/libcpu_*.la %D%/step/fused_cpu/lib*.la
# For inner loops, optimizer rules among them.
KERNEL_CFLAGS = $(AM_CFLAGS) $(MGPT_KERNEL_CFLAGS)

EXTRA_LTLIBRARIES += %D%/backend_ref.la
%C%_backend_ref_la_SOURCES = %D%/backend/ref/plugin.c
%C%_backend_ref_la_LDFLAGS = $(PLUGIN_LDFLAGS)

# The cpu backend: all that computes is compiled for each instruction set apart.
CPU_KERNELS = \
    %D%/backend/cpu/activation.c \
    %D%/backend/cpu/add.c \
    %D%/backend/cpu/attention.c \
    %D%/backend/cpu/attention.h \
    %D%/backend/cpu/attention_backward.c \
    %D%/backend/cpu/axpby.c \
    %D%/backend/cpu/blocked.c \
    %D%/backend/cpu/clip.c \
    %D%/backend/cpu/cross_entropy.c \
    %D%/backend/cpu/dots.h \
    %D%/backend/cpu/dropout.c \
    %D%/backend/cpu/embed.c \
    %D%/backend/cpu/fastmath.h \
    %D%/backend/cpu/fill.c \
    %D%/backend/cpu/kernel.h \
    %D%/backend/cpu/linear.c \
    %D%/backend/cpu/matmul.c \
    %D%/backend/cpu/matmul.h \
    %D%/backend/cpu/mixed.h \
    %D%/backend/cpu/norm.c \
    %D%/backend/cpu/ops.h \
    %D%/backend/cpu/scaler.c \
    %D%/backend/cpu/table.c \
    %D%/backend/cpu/thin.c \
    %D%/backend/cpu/tile.c \
    %D%/backend/cpu/tile.h \
    %D%/backend/cpu/transpose.h \
    %D%/backend/cpu/update.c \
    %D%/backend/cpu/vector.h
CPU_CFLAGS = $(KERNEL_CFLAGS) $(MGPT_FUSED_CFLAGS)

EXTRA_LTLIBRARIES += %D%/libcpu_baseline.la
%C%_libcpu_baseline_la_SOURCES = $(CPU_KERNELS)
%C%_libcpu_baseline_la_CPPFLAGS = $(AM_CPPFLAGS) -DCPU_ISA=baseline
%C%_libcpu_baseline_la_CFLAGS = $(CPU_CFLAGS)

EXTRA_LTLIBRARIES += %D%/libcpu_avx2.la
%C%_libcpu_avx2_la_SOURCES = $(CPU_KERNELS)
%C%_libcpu_avx2_la_CPPFLAGS = $(AM_CPPFLAGS) -DCPU_ISA=avx2
%C%_libcpu_avx2_la_CFLAGS = $(CPU_CFLAGS) $(MGPT_AVX2_CFLAGS)

EXTRA_LTLIBRARIES += %D%/libcpu_avx512.la
%C%_libcpu_avx512_la_SOURCES = $(CPU_KERNELS)
%C%_libcpu_avx512_la_CPPFLAGS = $(AM_CPPFLAGS) -DCPU_ISA=avx512
%C%_libcpu_avx512_la_CFLAGS = $(CPU_CFLAGS) $(MGPT_AVX512_CFLAGS)

# Products of BF16, beside the kernels of avx512.
EXTRA_LTLIBRARIES += %D%/libcpu_bf16.la
%C%_libcpu_bf16_la_SOURCES = \
    %D%/backend/cpu/bf16_gelu.h \
    %D%/backend/cpu/bf16_kernel.h \
    %D%/backend/cpu/bf16_linear.c \
    %D%/backend/cpu/bf16_matmul.h \
    %D%/backend/cpu/bf16_outer.c \
    %D%/backend/cpu/bf16_rows.c \
    %D%/backend/cpu/fastmath.h \
    %D%/backend/cpu/mixed.h \
    %D%/backend/cpu/ops.h
%C%_libcpu_bf16_la_CPPFLAGS = $(AM_CPPFLAGS) -DCPU_ISA=avx512bf16
%C%_libcpu_bf16_la_CFLAGS = $(CPU_CFLAGS) $(MGPT_BF16_CFLAGS)

EXTRA_LTLIBRARIES += %D%/backend_cpu.la
%C%_backend_cpu_la_SOURCES = \
    %D%/backend/cpu/keep.c \
    %D%/backend/cpu/ops.h \
    %D%/backend/cpu/plugin.c \
    %D%/backend/cpu/pool.c \
    %D%/backend/cpu/supports.c
%C%_backend_cpu_la_CPPFLAGS = $(AM_CPPFLAGS) -DCPU_ISA=baseline
%C%_backend_cpu_la_CFLAGS = $(KERNEL_CFLAGS)
%C%_backend_cpu_la_LDFLAGS = $(PLUGIN_LDFLAGS)
%C%_backend_cpu_la_LIBADD = %D%/libcpu_baseline.la
if CPU_LEVELS
%C%_backend_cpu_la_CPPFLAGS += -DCPU_LEVELS
%C%_backend_cpu_la_LIBADD += %D%/libcpu_avx2.la %D%/libcpu_avx512.la
endif
if CPU_BF16
%C%_libcpu_avx512_la_CPPFLAGS += -DCPU_BF16
%C%_backend_cpu_la_CPPFLAGS += -DCPU_BF16
%C%_backend_cpu_la_LIBADD += %D%/libcpu_bf16.la
endif

# The cuda backend: host logic in C, kernels by nvcc. The runtime is linked statically, all other
# libraries of CUDA are opened at run time.
CUDA_HOST = \
    %D%/backend/cuda/blas.c \
    %D%/backend/cuda/cache.c \
    %D%/backend/cuda/keep.c \
    %D%/backend/cuda/memory.c \
    %D%/backend/cuda/native.c \
    %D%/backend/cuda/plugin.c \
    %D%/backend/cuda/program.c \
    %D%/backend/cuda/rule_text.c \
    %D%/backend/cuda/update.c
CUDA_INTERNAL = \
    %D%/backend/cuda/activation.cuh \
    %D%/backend/cuda/attention.cuh \
    %D%/backend/cuda/blas.h \
    %D%/backend/cuda/blas_calls.h \
    %D%/backend/cuda/columns.cuh \
    %D%/backend/cuda/draws.cuh \
    %D%/backend/cuda/driver.h \
    %D%/backend/cuda/finish.cuh \
    %D%/backend/cuda/formats.cuh \
    %D%/backend/cuda/kernel.cuh \
    %D%/backend/cuda/matmul.h \
    %D%/backend/cuda/native.h \
    %D%/backend/cuda/ops.h \
    %D%/backend/cuda/options.h \
    %D%/backend/cuda/program.h \
    %D%/backend/cuda/ptx.cuh \
    %D%/backend/cuda/tensor.cuh \
    %D%/backend/cuda/tensor_attention.cuh \
    %D%/backend/cuda/update.h
CUDA_KERNELS = \
    %D%/backend/cuda/activation.cu \
    %D%/backend/cuda/add.cu \
    %D%/backend/cuda/attention.cu \
    %D%/backend/cuda/attention_backward.cu \
    %D%/backend/cuda/axpby.cu \
    %D%/backend/cuda/clip.cu \
    %D%/backend/cuda/columns.cu \
    %D%/backend/cuda/cross_entropy.cu \
    %D%/backend/cuda/dropout.cu \
    %D%/backend/cuda/embed.cu \
    %D%/backend/cuda/fill.cu \
    %D%/backend/cuda/linear.cu \
    %D%/backend/cuda/matmul.cu \
    %D%/backend/cuda/norm.cu \
    %D%/backend/cuda/scaler.cu \
    %D%/backend/cuda/tensor_attention.cu \
    %D%/backend/cuda/tensor_attention_backward.cu \
    %D%/backend/cuda/tensor_matmul.cu

EXTRA_LTLIBRARIES += %D%/backend_cuda.la
%C%_backend_cuda_la_SOURCES = $(CUDA_HOST) $(CUDA_INTERNAL) $(CUDA_KERNELS) \
    %D%/backend/cuda/blas_find.c \
    %D%/backend/cuda/component.c \
    %D%/backend/cuda/driver.c \
    %D%/backend/cuda/module.c \
    %D%/backend/cuda/nvrtc.c
%C%_backend_cuda_la_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS) -DCUDA_LIBDIR='"$(CUDA_LIBDIR)"'
%C%_backend_cuda_la_LDFLAGS = $(PLUGIN_LDFLAGS)
%C%_backend_cuda_la_LIBADD = $(CUDA_LIBS)

# nvcc under libtool. It gets our own flags for shared objects, so libtool must add none
# (-prefer-non-pic). What ptxas says of registers is kept beside the object, for tests.
SUFFIXES = .cu
.cu.lo:
	$(AM_V_NVCC)$(MKDIR_P) $(@D) && \
	{ $(LIBTOOL) $(AM_V_lt) --tag=CC --mode=compile $(NVCC) -prefer-non-pic $(NVCC_ARCH) \
	    -Xptxas -v -I$(top_srcdir)/core $(CUDA_CFLAGS) $(NVCCFLAGS) -MD -MP -MF $(@:.lo=.cu.d) -MT $@ \
	    -c -o $@ $< >$(@:.lo=.ptxas) 2>&1 || { cat $(@:.lo=.ptxas) >&2; exit 1; }; } && \
	{ grep -i warning $(@:.lo=.ptxas) >&2 || true; }
-include $(wildcard %D%/backend/cuda/*.cu.d)
MOSTLYCLEANFILES += %D%/backend/cuda/*.cu.d %D%/backend/cuda/*.ptxas

AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =

EXTRA_LTLIBRARIES += %D%/precision_fp32.la
%C%_precision_fp32_la_SOURCES = %D%/precision/fp32.c
%C%_precision_fp32_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/precision_bf16.la
%C%_precision_bf16_la_SOURCES = %D%/precision/bf16.c
%C%_precision_bf16_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/precision_tf32.la
%C%_precision_tf32_la_SOURCES = %D%/precision/tf32.c
%C%_precision_tf32_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/precision_fp16.la
%C%_precision_fp16_la_SOURCES = %D%/precision/fp16.c
%C%_precision_fp16_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/precision_auto.la
%C%_precision_auto_la_SOURCES = %D%/precision/auto.c
%C%_precision_auto_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/precision_fp64.la
%C%_precision_fp64_la_SOURCES = %D%/precision/fp64.c
%C%_precision_fp64_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/optimizer_adamw.la
%C%_optimizer_adamw_la_SOURCES = %D%/optimizer/adamw.c %D%/optimizer/adamw.h
%C%_optimizer_adamw_la_CFLAGS = $(KERNEL_CFLAGS)
%C%_optimizer_adamw_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/optimizer_sgd.la
%C%_optimizer_sgd_la_SOURCES = %D%/optimizer/sgd.c
%C%_optimizer_sgd_la_CFLAGS = $(KERNEL_CFLAGS)
%C%_optimizer_sgd_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/optimizer_lion.la
%C%_optimizer_lion_la_SOURCES = %D%/optimizer/lion.c
%C%_optimizer_lion_la_CFLAGS = $(KERNEL_CFLAGS)
%C%_optimizer_lion_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/optimizer_muon.la
%C%_optimizer_muon_la_SOURCES = %D%/optimizer/muon.c %D%/optimizer/adamw.h
%C%_optimizer_muon_la_CFLAGS = $(KERNEL_CFLAGS)
%C%_optimizer_muon_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/scheduler_cosine.la
%C%_scheduler_cosine_la_SOURCES = %D%/scheduler/cosine.c
%C%_scheduler_cosine_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/scheduler_linear.la
%C%_scheduler_linear_la_SOURCES = %D%/scheduler/linear.c
%C%_scheduler_linear_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/scheduler_constant.la
%C%_scheduler_constant_la_SOURCES = %D%/scheduler/constant.c
%C%_scheduler_constant_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/scheduler_wsd.la
%C%_scheduler_wsd_la_SOURCES = %D%/scheduler/wsd.c
%C%_scheduler_wsd_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/tokenizer_char.la
%C%_tokenizer_char_la_SOURCES = %D%/tokenizer/char.c
%C%_tokenizer_char_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_tokenizer_char_la_LIBADD = $(JANSSON_LIBS)
%C%_tokenizer_char_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/tokenizer_byte.la
%C%_tokenizer_byte_la_SOURCES = %D%/tokenizer/byte.c
%C%_tokenizer_byte_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_tokenizer_byte_la_LIBADD = $(JANSSON_LIBS)
%C%_tokenizer_byte_la_LDFLAGS = $(PLUGIN_LDFLAGS)

BPE_SOURCES = \
    %D%/tokenizer/bpe/bpe.h \
    %D%/tokenizer/bpe/encode.c \
    %D%/tokenizer/bpe/json.c \
    %D%/tokenizer/bpe/learn.c \
    %D%/tokenizer/bpe/plugin.c \
    %D%/tokenizer/bpe/table.c \
    %D%/tokenizer/bpe/words.c
EXTRA_LTLIBRARIES += %D%/tokenizer_bpe.la
%C%_tokenizer_bpe_la_SOURCES = $(BPE_SOURCES)
%C%_tokenizer_bpe_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(UTF8PROC_CFLAGS)
%C%_tokenizer_bpe_la_LIBADD = $(JANSSON_LIBS) $(UTF8PROC_LIBS)
%C%_tokenizer_bpe_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/dataset_lines.la
%C%_dataset_lines_la_SOURCES = %D%/dataset/lines.c %D%/dataset/file.c %D%/dataset/file.h
%C%_dataset_lines_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/dataset_text.la
%C%_dataset_text_la_SOURCES = %D%/dataset/text.c %D%/dataset/file.c %D%/dataset/file.h
%C%_dataset_text_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/sampler_topk.la
%C%_sampler_topk_la_SOURCES = %D%/sampler/topk.c
%C%_sampler_topk_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/sampler_greedy.la
%C%_sampler_greedy_la_SOURCES = %D%/sampler/greedy.c
%C%_sampler_greedy_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/logger_console.la
%C%_logger_console_la_SOURCES = \
    %D%/logger/console/curve.c \
    %D%/logger/console/curve.h \
    %D%/logger/console/live.c \
    %D%/logger/console/live.h \
    %D%/logger/console/pace.c \
    %D%/logger/console/pace.h \
    %D%/logger/console/plugin.c
%C%_logger_console_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/logger_jsonl.la
%C%_logger_jsonl_la_SOURCES = %D%/logger/jsonl.c
%C%_logger_jsonl_la_LDFLAGS = $(PLUGIN_LDFLAGS)

EXTRA_LTLIBRARIES += %D%/logger_tensorboard.la
%C%_logger_tensorboard_la_SOURCES = %D%/logger/tensorboard.c
%C%_logger_tensorboard_la_LDFLAGS = $(PLUGIN_LDFLAGS)

# A step module whose kernels are compiled once an instruction set, chosen when it is opened.
EXTRA_LTLIBRARIES += %D%/step_fused_cpu.la
FUSED_KERNELS = %D%/step/fused_cpu/libbase.la
if X86_64
FUSED_KERNELS += \
    %D%/step/fused_cpu/libavx2.la \
    %D%/step/fused_cpu/libavx512.la \
    %D%/step/fused_cpu/libavx512_8.la
FUSED_X86 = -DFUSED_X86=1
else
FUSED_X86 = -DFUSED_X86=0
endif
%C%_step_fused_cpu_la_SOURCES = \
    %D%/backend/cpu/keep.c \
    %D%/backend/cpu/ops.h \
    %D%/backend/cpu/pool.c \
    %D%/step/fused_cpu/bid.c \
    %D%/step/fused_cpu/fused.h \
    %D%/step/fused_cpu/open.c \
    %D%/step/fused_cpu/plugin.c \
    %D%/step/fused_cpu/walk.c \
    %D%/step/fused_cpu/walk.h \
    %D%/step/fused_cpu/walk_model.c \
    %D%/step/fused_cpu/walk_open.c \
    %D%/step/fused_cpu/walk_ops.h
# It walks with the kernels of backend cpu.
%C%_step_fused_cpu_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/plugins -DCPU_ISA=baseline \
    $(FUSED_X86)
%C%_step_fused_cpu_la_LIBADD = $(FUSED_KERNELS) %D%/libcpu_baseline.la
%C%_step_fused_cpu_la_LDFLAGS = $(PLUGIN_LDFLAGS)
if CPU_LEVELS
%C%_step_fused_cpu_la_CPPFLAGS += -DCPU_LEVELS
%C%_step_fused_cpu_la_LIBADD += %D%/libcpu_avx2.la %D%/libcpu_avx512.la
endif
if CPU_BF16
%C%_step_fused_cpu_la_CPPFLAGS += -DCPU_BF16
%C%_step_fused_cpu_la_LIBADD += %D%/libcpu_bf16.la
endif

FUSED_SOURCES = \
    %D%/step/fused_cpu/attention.h \
    %D%/step/fused_cpu/lanes.h \
    %D%/step/fused_cpu/micro.c \
    %D%/step/fused_cpu/micro.h

EXTRA_LTLIBRARIES += %D%/step/fused_cpu/libbase.la
%C%_step_fused_cpu_libbase_la_SOURCES = $(FUSED_SOURCES)
%C%_step_fused_cpu_libbase_la_CPPFLAGS = $(AM_CPPFLAGS) -DFUSED_LANES=4 \
    -DFUSED_KERNELS=fused_micro_base
%C%_step_fused_cpu_libbase_la_CFLAGS = $(KERNEL_CFLAGS)

EXTRA_LTLIBRARIES += %D%/step/fused_cpu/libavx2.la
%C%_step_fused_cpu_libavx2_la_SOURCES = $(FUSED_SOURCES)
%C%_step_fused_cpu_libavx2_la_CPPFLAGS = $(AM_CPPFLAGS) -DFUSED_LANES=8 \
    -DFUSED_KERNELS=fused_micro_avx2
%C%_step_fused_cpu_libavx2_la_CFLAGS = $(KERNEL_CFLAGS) -march=x86-64-v3

FUSED_AVX512 = -march=x86-64-v4 -mprefer-vector-width=512
EXTRA_LTLIBRARIES += %D%/step/fused_cpu/libavx512.la
%C%_step_fused_cpu_libavx512_la_SOURCES = $(FUSED_SOURCES)
%C%_step_fused_cpu_libavx512_la_CPPFLAGS = $(AM_CPPFLAGS) -DFUSED_LANES=16 \
    -DFUSED_KERNELS=fused_micro_avx512
%C%_step_fused_cpu_libavx512_la_CFLAGS = $(KERNEL_CFLAGS) $(FUSED_AVX512)

EXTRA_LTLIBRARIES += %D%/step/fused_cpu/libavx512_8.la
%C%_step_fused_cpu_libavx512_8_la_SOURCES = $(FUSED_SOURCES)
%C%_step_fused_cpu_libavx512_8_la_CPPFLAGS = $(AM_CPPFLAGS) -DFUSED_LANES=8 \
    -DFUSED_KERNELS=fused_micro_avx512_8
%C%_step_fused_cpu_libavx512_8_la_CFLAGS = $(KERNEL_CFLAGS) $(FUSED_AVX512)

# A step module whose program is compiled when a run starts: its text is a table of lines, those of
# the files in this order.
MICRO_PROGRAM = \
    %D%/step/micro_cuda/device.cu \
    %D%/step/micro_cuda/format.cu \
    %D%/step/micro_cuda/memory.cu \
    %D%/step/micro_cuda/warp.cu \
    %D%/step/micro_cuda/dropout.cu \
    %D%/step/micro_cuda/activation.cu \
    %D%/step/micro_cuda/norm.cu \
    %D%/step/micro_cuda/attention.cu \
    %D%/step/micro_cuda/forward.cu \
    %D%/step/micro_cuda/backward.cu \
    %D%/step/micro_cuda/gradients.cu \
    %D%/step/micro_cuda/update.cu \
    %D%/step/micro_cuda/one.cu \
    %D%/step/micro_cuda/many.cu
EXTRA_DIST += $(MICRO_PROGRAM) %D%/step/micro_cuda/embed.awk

EXTRA_LTLIBRARIES += %D%/step_micro_cuda.la
%C%_step_micro_cuda_la_SOURCES = \
    %D%/step/micro_cuda/bid.c \
    %D%/step/micro_cuda/micro.h \
    %D%/step/micro_cuda/open.c \
    %D%/step/micro_cuda/plan.c \
    %D%/step/micro_cuda/plugin.c \
    %D%/step/micro_cuda/text.c
nodist_%C%_step_micro_cuda_la_SOURCES = %D%/step/micro_cuda/kernel_text.c
%C%_step_micro_cuda_la_LDFLAGS = $(PLUGIN_LDFLAGS)

%D%/step/micro_cuda/kernel_text.c: $(MICRO_PROGRAM) %D%/step/micro_cuda/embed.awk
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	(cd $(srcdir) && $(AWK) -f %D%/step/micro_cuda/embed.awk $(MICRO_PROGRAM)) >$@.part && \
	mv $@.part $@
CLEANFILES += %D%/step/micro_cuda/kernel_text.c

# Templates of modules, which `microgpt plugins new` fills in: installed with their path here.
templatedir = $(pkgdatadir)
nobase_dist_template_DATA = \
    %D%/template/backend/check.c \
    %D%/template/backend/module.c \
    %D%/template/dataset/check.c \
    %D%/template/dataset/module.c \
    %D%/template/logger/check.c \
    %D%/template/logger/module.c \
    %D%/template/optimizer/check.c \
    %D%/template/optimizer/module.c \
    %D%/template/precision/check.c \
    %D%/template/precision/module.c \
    %D%/template/project/LICENSE \
    %D%/template/project/README.md \
    %D%/template/project/c++/Makefile \
    %D%/template/project/c++/Makefile.am \
    %D%/template/project/c++/configure.ac \
    %D%/template/project/c/Makefile \
    %D%/template/project/c/Makefile.am \
    %D%/template/project/c/configure.ac \
    %D%/template/project/gitignore \
    %D%/template/project/host.h \
    %D%/template/project/run.sh \
    %D%/template/sampler/check.c \
    %D%/template/sampler/module.c \
    %D%/template/scheduler/check.c \
    %D%/template/scheduler/module.c \
    %D%/template/step/check.c \
    %D%/template/step/module.c \
    %D%/template/tokenizer/check.c \
    %D%/template/tokenizer/module.c

# The link to them that configure makes in a build folder.
distclean-local:
	test ! -h %D%/template || rm -f %D%/template

# It reaches the device through the backend alone.
EXTRA_LTLIBRARIES += %D%/step_graph_cuda.la
%C%_step_graph_cuda_la_SOURCES = \
    %D%/step/graph_cuda/graph.h \
    %D%/step/graph_cuda/piece.c \
    %D%/step/graph_cuda/plugin.c \
    %D%/step/graph_cuda/proxy.c \
    %D%/step/graph_cuda/text.c
%C%_step_graph_cuda_la_LDFLAGS = $(PLUGIN_LDFLAGS)
