/* The plugin ABI, written down: where every field of the public structs is, and what every constant
 * means. A plugin that was built last year relies on these numbers. When this test fails, the
 * change breaks it: put new fields at the tail of a growing struct, new constants after the last,
 * raise MGPT_ABI_MINOR, and add a line here; never change one, short of a new MGPT_ABI_MAJOR.
 * Over 500 lines because it is a list, one line a field. */
#include <config.h>

#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/backend.h>
#include <microgpt/cuda_native.h>
#include <microgpt/dataset.h>
#include <microgpt/logger.h>
#include <microgpt/model.h>
#include <microgpt/optimizer.h>
#include <microgpt/plugin.h>
#include <microgpt/precision.h>
#include <microgpt/random.h>
#include <microgpt/sampler.h>
#include <microgpt/scheduler.h>
#include <microgpt/status.h>
#include <microgpt/step.h>
#include <microgpt/tensor.h>
#include <microgpt/tokenizer.h>
#include <microgpt/utf8.h>

struct row {
    const char *type, *field; /* NULL: the struct itself */
    size_t offset, size, expected_offset, expected_size;
};

#define STRUCT(type, bytes)                                                                        \
    {                                                                                              \
#type, NULL, 0, sizeof(struct mgpt_##type), 0, bytes                                       \
    }
#define FIELD(type, field, at, bytes)                                                              \
    {                                                                                              \
#type, #field, offsetof(struct mgpt_##type, field),                                        \
            sizeof(((struct mgpt_##type *)0)->field), at, bytes                                    \
    }

/* Of a machine with 64-bit pointers. Each struct, then all its fields in order. */
static const struct row layout[] = {
    STRUCT(error, 1024),
    FIELD(error, status, 0, 4),
    FIELD(error, text, 4, 1020),
    STRUCT(tensor, 56),
    FIELD(tensor, buffer, 0, 8),
    FIELD(tensor, offset, 8, 8),
    FIELD(tensor, dtype, 16, 4),
    FIELD(tensor, rank, 20, 4),
    FIELD(tensor, shape, 24, 32),
    STRUCT(option, 64),
    FIELD(option, key, 0, 8),
    FIELD(option, value, 8, 8),
    FIELD(option, help, 16, 8),
    FIELD(option, unit, 24, 8),
    FIELD(option, min, 32, 8),
    FIELD(option, max, 40, 8),
    FIELD(option, choices, 48, 8),
    FIELD(option, type, 56, 4),
    FIELD(option, reserved, 60, 4),
    STRUCT(stream, 32),
    FIELD(stream, context, 0, 8),
    FIELD(stream, uniform, 8, 8),
    FIELD(stream, below, 16, 8),
    FIELD(stream, gauss, 24, 8),
    STRUCT(host, 80),
    FIELD(host, size, 0, 4),
    FIELD(host, abi_minor, 4, 4),
    FIELD(host, version, 8, 8),
    FIELD(host, log, 16, 8),
    FIELD(host, get_int, 24, 8),
    FIELD(host, get_float, 32, 8),
    FIELD(host, get_seed, 40, 8),
    FIELD(host, get_text, 48, 8),
    FIELD(host, canceled, 56, 8),
    FIELD(host, reference, 64, 8),
    FIELD(host, query, 72, 8),
    STRUCT(component, 64),
    FIELD(component, size, 0, 4),
    FIELD(component, n_options, 4, 4),
    FIELD(component, option_size, 8, 4),
    FIELD(component, flags, 12, 4),
    FIELD(component, kind, 16, 8),
    FIELD(component, name, 24, 8),
    FIELD(component, summary, 32, 8),
    FIELD(component, options, 40, 8),
    FIELD(component, probe, 48, 8),
    FIELD(component, api, 56, 8),
    STRUCT(plugin, 64),
    FIELD(plugin, magic, 0, 4),
    FIELD(plugin, abi_major, 4, 4),
    FIELD(plugin, abi_minor, 8, 4),
    FIELD(plugin, size, 12, 4),
    FIELD(plugin, id, 16, 8),
    FIELD(plugin, version, 24, 8),
    FIELD(plugin, license, 32, 8),
    FIELD(plugin, vendor, 40, 8),
    FIELD(plugin, url, 48, 8),
    FIELD(plugin, components, 56, 8),
    STRUCT(model, 104),
    FIELD(model, size, 0, 4),
    FIELD(model, layers, 4, 4),
    FIELD(model, heads, 8, 4),
    FIELD(model, kv_heads, 12, 4),
    FIELD(model, embd, 16, 4),
    FIELD(model, mlp, 20, 4),
    FIELD(model, context, 24, 4),
    FIELD(model, vocab, 28, 4),
    FIELD(model, norm, 32, 4),
    FIELD(model, norm_gain, 36, 4),
    FIELD(model, norm_bias, 40, 4),
    FIELD(model, embed_norm, 44, 4),
    FIELD(model, final_norm, 48, 4),
    FIELD(model, activation, 52, 4),
    FIELD(model, bias, 56, 4),
    FIELD(model, tied, 60, 4),
    FIELD(model, init, 64, 4),
    FIELD(model, reserved, 68, 4),
    FIELD(model, norm_eps, 72, 8),
    FIELD(model, dropout, 80, 8),
    FIELD(model, init_std, 88, 8),
    FIELD(model, init_residual, 96, 8),
    STRUCT(step_state, 72),
    FIELD(step_state, step, 0, 8),
    FIELD(step_state, inv_targets, 8, 8),
    FIELD(step_state, loss, 16, 8),
    FIELD(step_state, grad_norm, 24, 8),
    FIELD(step_state, grad_scale, 32, 8),
    FIELD(step_state, loss_scale, 40, 8),
    FIELD(step_state, nonfinite, 48, 8),
    FIELD(step_state, good, 56, 8),
    FIELD(step_state, skipped, 64, 8),
    STRUCT(op, 672),
    FIELD(op, size, 0, 4),
    FIELD(op, code, 4, 4),
    FIELD(op, flags, 8, 4),
    FIELD(op, norm, 12, 4),
    FIELD(op, activation, 16, 4),
    FIELD(op, heads, 20, 4),
    FIELD(op, kv_heads, 24, 4),
    FIELD(op, purpose, 28, 4),
    FIELD(op, layer, 32, 4),
    FIELD(op, interval, 36, 4),
    FIELD(op, position, 40, 8),
    FIELD(op, seed, 48, 8),
    FIELD(op, row, 56, 8),
    FIELD(op, eps, 64, 8),
    FIELD(op, rate, 72, 8),
    FIELD(op, scale, 80, 8),
    FIELD(op, value, 88, 8),
    FIELD(op, growth, 96, 8),
    FIELD(op, backoff, 104, 8),
    FIELD(op, in, 112, 336),
    FIELD(op, out, 448, 224),
    STRUCT(update, 424),
    FIELD(update, size, 0, 4),
    FIELD(update, n_state, 4, 4),
    FIELD(update, n_scalars, 8, 4),
    FIELD(update, reserved, 12, 4),
    FIELD(update, rule, 16, 8),
    FIELD(update, scalars, 24, 8),
    FIELD(update, p, 32, 56),
    FIELD(update, g, 88, 56),
    FIELD(update, state, 144, 224),
    FIELD(update, step_state, 368, 56),
    STRUCT(caps, 96),
    FIELD(caps, size, 0, 4),
    FIELD(caps, flags, 4, 4),
    FIELD(caps, formats, 8, 4),
    FIELD(caps, threads, 12, 4),
    FIELD(caps, memory_total, 16, 8),
    FIELD(caps, memory_free, 24, 8),
    FIELD(caps, name, 32, 64),
    STRUCT(backend_api, 112),
    FIELD(backend_api, size, 0, 4),
    FIELD(backend_api, n_ops, 4, 4),
    FIELD(backend_api, open, 8, 8),
    FIELD(backend_api, close, 16, 8),
    FIELD(backend_api, buffer_new, 24, 8),
    FIELD(backend_api, buffer_free, 32, 8),
    FIELD(backend_api, upload, 40, 8),
    FIELD(backend_api, download, 48, 8),
    FIELD(backend_api, sync, 56, 8),
    FIELD(backend_api, caps, 64, 8),
    FIELD(backend_api, map, 72, 8),
    FIELD(backend_api, supports, 80, 8),
    FIELD(backend_api, ops, 88, 8),
    FIELD(backend_api, update, 96, 8),
    FIELD(backend_api, query, 104, 8),
    STRUCT(cuda_source, 40),
    FIELD(cuda_source, size, 0, 4),
    FIELD(cuda_source, reserved, 4, 4),
    FIELD(cuda_source, name, 8, 8),
    FIELD(cuda_source, text, 16, 8),
    FIELD(cuda_source, kernels, 24, 8),
    FIELD(cuda_source, options, 32, 8),
    STRUCT(cuda_facts, 16),
    FIELD(cuda_facts, size, 0, 4),
    FIELD(cuda_facts, registers, 4, 4),
    FIELD(cuda_facts, spilled, 8, 4),
    FIELD(cuda_facts, threads, 12, 4),
    STRUCT(cuda_launch, 32),
    FIELD(cuda_launch, grid, 0, 12),
    FIELD(cuda_launch, block, 12, 12),
    FIELD(cuda_launch, shared, 24, 4),
    FIELD(cuda_launch, flags, 28, 4),
    STRUCT(cuda_native, 152),
    FIELD(cuda_native, size, 0, 4),
    FIELD(cuda_native, capability, 4, 4),
    FIELD(cuda_native, multiprocessors, 8, 4),
    FIELD(cuda_native, shared_most, 12, 4),
    FIELD(cuda_native, context, 16, 8),
    FIELD(cuda_native, stream, 24, 8),
    FIELD(cuda_native, address, 32, 8),
    FIELD(cuda_native, program_new, 40, 8),
    FIELD(cuda_native, program_free, 48, 8),
    FIELD(cuda_native, facts, 56, 8),
    FIELD(cuda_native, resident, 64, 8),
    FIELD(cuda_native, launch, 72, 8),
    FIELD(cuda_native, pinned_new, 80, 8),
    FIELD(cuda_native, pinned_free, 88, 8),
    FIELD(cuda_native, copy, 96, 8),
    FIELD(cuda_native, capture_begin, 104, 8),
    FIELD(cuda_native, capture_end, 112, 8),
    FIELD(cuda_native, graph_launch, 120, 8),
    FIELD(cuda_native, graph_free, 128, 8),
    FIELD(cuda_native, rule_ready, 136, 8),
    FIELD(cuda_native, update, 144, 8),
    STRUCT(precision_plan, 320),
    FIELD(precision_plan, size, 0, 4),
    FIELD(precision_plan, master, 4, 4),
    FIELD(precision_plan, activation, 8, 4),
    FIELD(precision_plan, product, 12, 4),
    FIELD(precision_plan, tf32, 16, 4),
    FIELD(precision_plan, scale_interval, 20, 4),
    FIELD(precision_plan, scale_initial, 24, 8),
    FIELD(precision_plan, scale_growth, 32, 8),
    FIELD(precision_plan, scale_backoff, 40, 8),
    FIELD(precision_plan, use, 48, 32),
    FIELD(precision_plan, reason, 80, 240),
    STRUCT(precision_api, 16),
    FIELD(precision_api, size, 0, 4),
    FIELD(precision_api, reserved, 4, 4),
    FIELD(precision_api, plan, 8, 8),
    STRUCT(rule, 64),
    FIELD(rule, size, 0, 4),
    FIELD(rule, n_state, 4, 4),
    FIELD(rule, n_scalars, 8, 4),
    FIELD(rule, reserved, 12, 4),
    FIELD(rule, name, 16, 8),
    FIELD(rule, state, 24, 8),
    FIELD(rule, scalars, 32, 8),
    FIELD(rule, body, 40, 8),
    FIELD(rule, f32, 48, 8),
    FIELD(rule, f64, 56, 8),
    STRUCT(tick, 32),
    FIELD(tick, step, 0, 8),
    FIELD(tick, total, 8, 8),
    FIELD(tick, lr, 16, 8),
    FIELD(tick, weight_decay, 24, 8),
    STRUCT(place, 40),
    FIELD(place, role, 0, 4),
    FIELD(place, n_parts, 4, 4),
    FIELD(place, rows, 8, 32),
    STRUCT(needs, 16),
    FIELD(needs, size, 0, 4),
    FIELD(needs, state, 4, 4),
    FIELD(needs, scratch, 8, 8),
    STRUCT(whole, 168),
    FIELD(whole, size, 0, 4),
    FIELD(whole, reserved, 4, 4),
    FIELD(whole, param, 8, 8),
    FIELD(whole, place, 16, 8),
    FIELD(whole, scalars, 24, 8),
    FIELD(whole, step_state, 32, 56),
    FIELD(whole, scratch, 88, 56),
    FIELD(whole, recorder, 144, 8),
    FIELD(whole, op, 152, 8),
    FIELD(whole, rule, 160, 8),
    STRUCT(optimizer_api, 56),
    FIELD(optimizer_api, size, 0, 4),
    FIELD(optimizer_api, reserved, 4, 4),
    FIELD(optimizer_api, rule, 8, 8),
    FIELD(optimizer_api, create, 16, 8),
    FIELD(optimizer_api, destroy, 24, 8),
    FIELD(optimizer_api, scalars, 32, 8),
    FIELD(optimizer_api, takes, 40, 8),
    FIELD(optimizer_api, record, 48, 8),
    STRUCT(scheduler_api, 32),
    FIELD(scheduler_api, size, 0, 4),
    FIELD(scheduler_api, reserved, 4, 4),
    FIELD(scheduler_api, create, 8, 8),
    FIELD(scheduler_api, destroy, 16, 8),
    FIELD(scheduler_api, lr, 24, 8),
    STRUCT(text, 16),
    FIELD(text, data, 0, 8),
    FIELD(text, size, 8, 8),
    STRUCT(tokenizer_api, 80),
    FIELD(tokenizer_api, size, 0, 4),
    FIELD(tokenizer_api, reserved, 4, 4),
    FIELD(tokenizer_api, create, 8, 8),
    FIELD(tokenizer_api, destroy, 16, 8),
    FIELD(tokenizer_api, train, 24, 8),
    FIELD(tokenizer_api, vocab, 32, 8),
    FIELD(tokenizer_api, bos, 40, 8),
    FIELD(tokenizer_api, encode, 48, 8),
    FIELD(tokenizer_api, decode, 56, 8),
    FIELD(tokenizer_api, save, 64, 8),
    FIELD(tokenizer_api, load, 72, 8),
    STRUCT(batch, 24),
    FIELD(batch, rows, 0, 4),
    FIELD(batch, columns, 4, 4),
    FIELD(batch, ids, 8, 8),
    FIELD(batch, targets, 16, 8),
    STRUCT(dataset_env, 48),
    FIELD(dataset_env, size, 0, 4),
    FIELD(dataset_env, rows, 4, 4),
    FIELD(dataset_env, columns, 8, 4),
    FIELD(dataset_env, accumulate, 12, 4),
    FIELD(dataset_env, path, 16, 8),
    FIELD(dataset_env, split, 24, 8),
    FIELD(dataset_env, seed, 32, 8),
    FIELD(dataset_env, stream, 40, 8),
    STRUCT(dataset_info, 64),
    FIELD(dataset_info, size, 0, 4),
    FIELD(dataset_info, reserved, 4, 4),
    FIELD(dataset_info, documents, 8, 8),
    FIELD(dataset_info, train_documents, 16, 8),
    FIELD(dataset_info, valid_documents, 24, 8),
    FIELD(dataset_info, train_tokens, 32, 8),
    FIELD(dataset_info, valid_tokens, 40, 8),
    FIELD(dataset_info, cut_documents, 48, 8),
    FIELD(dataset_info, valid_batches, 56, 8),
    STRUCT(dataset_api, 64),
    FIELD(dataset_api, size, 0, 4),
    FIELD(dataset_api, reserved, 4, 4),
    FIELD(dataset_api, open, 8, 8),
    FIELD(dataset_api, close, 16, 8),
    FIELD(dataset_api, documents, 24, 8),
    FIELD(dataset_api, encode, 32, 8),
    FIELD(dataset_api, info, 40, 8),
    FIELD(dataset_api, targets, 48, 8),
    FIELD(dataset_api, batch, 56, 8),
    STRUCT(sampler_api, 32),
    FIELD(sampler_api, size, 0, 4),
    FIELD(sampler_api, reserved, 4, 4),
    FIELD(sampler_api, create, 8, 8),
    FIELD(sampler_api, destroy, 16, 8),
    FIELD(sampler_api, next, 24, 8),
    STRUCT(event, 120),
    FIELD(event, size, 0, 4),
    FIELD(event, type, 4, 4),
    FIELD(event, step, 8, 8),
    FIELD(event, index, 16, 8),
    FIELD(event, loss, 24, 8),
    FIELD(event, grad_norm, 32, 8),
    FIELD(event, lr, 40, 8),
    FIELD(event, tokens_per_s, 48, 8),
    FIELD(event, val_loss, 56, 8),
    FIELD(event, best_loss, 64, 8),
    FIELD(event, seconds, 72, 8),
    FIELD(event, text, 80, 8),
    FIELD(event, skipped, 88, 4),
    FIELD(event, reserved, 92, 4),
    FIELD(event, train_loss, 96, 8),
    FIELD(event, text_size, 104, 8),
    FIELD(event, loss_scale, 112, 8),
    STRUCT(run_info, 80),
    FIELD(run_info, size, 0, 4),
    FIELD(run_info, vocab, 4, 4),
    FIELD(run_info, dir, 8, 8),
    FIELD(run_info, first_step, 16, 8),
    FIELD(run_info, total_steps, 24, 8),
    FIELD(run_info, documents, 32, 8),
    FIELD(run_info, train_documents, 40, 8),
    FIELD(run_info, valid_documents, 48, 8),
    FIELD(run_info, cut_documents, 56, 8),
    FIELD(run_info, parameters, 64, 8),
    FIELD(run_info, summary, 72, 8),
    STRUCT(logger_api, 40),
    FIELD(logger_api, size, 0, 4),
    FIELD(logger_api, reserved, 4, 4),
    FIELD(logger_api, open, 8, 8),
    FIELD(logger_api, close, 16, 8),
    FIELD(logger_api, event, 24, 8),
    FIELD(logger_api, flush, 32, 8),
    STRUCT(param, 352),
    FIELD(param, name, 0, 8),
    FIELD(param, p, 8, 56),
    FIELD(param, g, 64, 56),
    FIELD(param, state, 120, 224),
    FIELD(param, decays, 344, 4),
    FIELD(param, n_state, 348, 4),
    STRUCT(step_spec, 528),
    FIELD(step_spec, size, 0, 4),
    FIELD(step_spec, rows, 4, 4),
    FIELD(step_spec, columns, 8, 4),
    FIELD(step_spec, micro_batches, 12, 4),
    FIELD(step_spec, ranks, 16, 4),
    FIELD(step_spec, rank, 20, 4),
    FIELD(step_spec, n_params, 24, 4),
    FIELD(step_spec, n_state, 28, 4),
    FIELD(step_spec, fallback, 32, 4),
    FIELD(step_spec, reserved, 36, 4),
    FIELD(step_spec, seed, 40, 8),
    FIELD(step_spec, clip, 48, 8),
    FIELD(step_spec, host, 56, 8),
    FIELD(step_spec, backend, 64, 8),
    FIELD(step_spec, device, 72, 8),
    FIELD(step_spec, caps, 80, 8),
    FIELD(step_spec, model, 88, 8),
    FIELD(step_spec, precision, 96, 8),
    FIELD(step_spec, optimizer, 104, 8),
    FIELD(step_spec, params, 112, 8),
    FIELD(step_spec, p, 120, 56),
    FIELD(step_spec, g, 176, 56),
    FIELD(step_spec, state, 232, 224),
    FIELD(step_spec, step_state, 456, 56),
    FIELD(step_spec, optimizer_instance, 512, 8),
    FIELD(step_spec, places, 520, 8),
    STRUCT(bid, 264),
    FIELD(bid, size, 0, 4),
    FIELD(bid, score, 4, 4),
    FIELD(bid, covers, 8, 4),
    FIELD(bid, reserved, 12, 4),
    FIELD(bid, reason, 16, 240),
    FIELD(bid, bytes, 256, 8),
    STRUCT(step_input, 280),
    FIELD(step_input, step, 0, 8),
    FIELD(step_input, targets, 8, 8),
    FIELD(step_input, batches, 16, 8),
    FIELD(step_input, scalars, 24, 256),
    STRUCT(step_result, 40),
    FIELD(step_result, step, 0, 8),
    FIELD(step_result, loss, 8, 8),
    FIELD(step_result, grad_norm, 16, 8),
    FIELD(step_result, loss_scale, 24, 8),
    FIELD(step_result, skipped, 32, 4),
    FIELD(step_result, reserved, 36, 4),
    STRUCT(composed, 24),
    FIELD(composed, size, 0, 4),
    FIELD(composed, reserved, 4, 4),
    FIELD(composed, api, 8, 8),
    FIELD(composed, resident, 16, 8),
    STRUCT(step_api, 56),
    FIELD(step_api, size, 0, 4),
    FIELD(step_api, reserved, 4, 4),
    FIELD(step_api, bid, 8, 8),
    FIELD(step_api, open, 16, 8),
    FIELD(step_api, close, 24, 8),
    FIELD(step_api, run, 32, 8),
    FIELD(step_api, fence, 40, 8),
    FIELD(step_api, adopt, 48, 8),
    STRUCT(philox, 16),
    FIELD(philox, v, 0, 16),
};
#undef STRUCT
#undef FIELD

#define N_LAYOUT (sizeof layout / sizeof layout[0])

#define VALUE(name, number)                                                                        \
    {                                                                                              \
#name, (long long)name, number                                                             \
    }
static const struct {
    const char *name;
    long long value, expected;
} values[] = {
    VALUE(MGPT_OK, 0),
    VALUE(MGPT_UNSUPPORTED, -1),
    VALUE(MGPT_INVALID, -2),
    VALUE(MGPT_NOMEM, -3),
    VALUE(MGPT_DEVICE, -4),
    VALUE(MGPT_IO, -5),
    VALUE(MGPT_CANCELED, -6),
    VALUE(MGPT_INTERNAL, -7),
    VALUE(MGPT_USAGE, -8),
    VALUE(MGPT_CONFIG, -9),
    VALUE(MGPT_PLUGIN, -10),
    VALUE(MGPT_DATA, -11),
    VALUE(MGPT_NONFINITE, -12),
    VALUE(MGPT_F32, 1),
    VALUE(MGPT_F64, 2),
    VALUE(MGPT_F16, 3),
    VALUE(MGPT_BF16, 4),
    VALUE(MGPT_I32, 5),
    VALUE(MGPT_U8, 6),
    VALUE(MGPT_U32, 7),
    VALUE(MGPT_I64, 8),
    VALUE(MGPT_OPTION_BOOL, 1),
    VALUE(MGPT_OPTION_INT, 2),
    VALUE(MGPT_OPTION_FLOAT, 3),
    VALUE(MGPT_OPTION_TEXT, 4),
    VALUE(MGPT_OPTION_ENUM, 5),
    VALUE(MGPT_OPTION_PATH, 6),
    VALUE(MGPT_OPTION_LIST, 7),
    VALUE(MGPT_OPTION_SEED, 8),
    VALUE(MGPT_LOG_ERROR, 1),
    VALUE(MGPT_LOG_WARN, 2),
    VALUE(MGPT_LOG_INFO, 3),
    VALUE(MGPT_LOG_DEBUG, 4),
    VALUE(MGPT_NORM_RMS, 1),
    VALUE(MGPT_NORM_LAYER, 2),
    VALUE(MGPT_ACT_NONE, 0),
    VALUE(MGPT_ACT_RELU, 1),
    VALUE(MGPT_ACT_RELU2, 2),
    VALUE(MGPT_ACT_GELU, 3),
    VALUE(MGPT_ACT_GELU_TANH, 4),
    VALUE(MGPT_BIAS_QKV, 1),
    VALUE(MGPT_BIAS_PROJ, 2),
    VALUE(MGPT_BIAS_MLP, 4),
    VALUE(MGPT_BIAS_HEAD, 8),
    VALUE(MGPT_INIT_NORMAL, 1),
    VALUE(MGPT_INIT_UNIFORM, 2),
    VALUE(MGPT_OP_EMBED, 1),
    VALUE(MGPT_OP_EMBED_BACKWARD, 2),
    VALUE(MGPT_OP_NORM, 3),
    VALUE(MGPT_OP_NORM_BACKWARD, 4),
    VALUE(MGPT_OP_LINEAR, 5),
    VALUE(MGPT_OP_LINEAR_BACKWARD, 6),
    VALUE(MGPT_OP_ACTIVATION, 7),
    VALUE(MGPT_OP_ACTIVATION_BACKWARD, 8),
    VALUE(MGPT_OP_ATTENTION, 9),
    VALUE(MGPT_OP_ATTENTION_BACKWARD, 10),
    VALUE(MGPT_OP_ADD, 11),
    VALUE(MGPT_OP_DROPOUT, 12),
    VALUE(MGPT_OP_CROSS_ENTROPY, 13),
    VALUE(MGPT_OP_FILL, 14),
    VALUE(MGPT_OP_CLIP, 15),
    VALUE(MGPT_OP_SCALER, 16),
    VALUE(MGPT_OP_AXPBY, 17),
    VALUE(MGPT_OP_COUNT, 18),
    VALUE(MGPT_OP_ACCUMULATE, 1),
    VALUE(MGPT_OP_TF32, 2),
    VALUE(MGPT_ROLE_VECTOR, 1),
    VALUE(MGPT_ROLE_EMBEDDING, 2),
    VALUE(MGPT_ROLE_HEAD, 3),
    VALUE(MGPT_ROLE_HIDDEN, 4),
    VALUE(MGPT_MAX_PARTS, 4),
    VALUE(MGPT_CAPS_HOST, 1),
    VALUE(MGPT_CAPS_TF32, 2),
    VALUE(MGPT_PART_TRAIN, 0),
    VALUE(MGPT_PART_VALID, 1),
    VALUE(MGPT_PART_TRAIN_EVAL, 2),
    VALUE(MGPT_EVENT_STEP, 1),
    VALUE(MGPT_EVENT_VALIDATION, 2),
    VALUE(MGPT_EVENT_SAMPLE, 3),
    VALUE(MGPT_EVENT_CHECKPOINT, 4),
    VALUE(MGPT_EVENT_NOTE, 5),
    VALUE(MGPT_CUDA_COOPERATIVE, 1),
    VALUE(MGPT_COVERS_FB, 1),
    VALUE(MGPT_COVERS_FBC, 2),
    VALUE(MGPT_COVERS_FBCU, 3),
    VALUE(MGPT_COVERS_FBCUS, 4),
    VALUE(MGPT_FALLBACK_WARN, 0),
    VALUE(MGPT_FALLBACK_ERROR, 1),
    VALUE(MGPT_FALLBACK_SILENT, 2),
    VALUE(MGPT_DRAW_CROP, 1),
    VALUE(MGPT_DRAW_EVAL_CROP, 2),
    VALUE(MGPT_DRAW_EMBEDDING, 3),
    VALUE(MGPT_DRAW_ATTENTION, 4),
    VALUE(MGPT_DRAW_PROJECTION, 5),
    VALUE(MGPT_DRAW_MLP, 6),
    VALUE(MGPT_DRAW_SAMPLE, 7),
    VALUE(MGPT_ABI_MAGIC, 0x5450474d),
    VALUE(MGPT_ABI_MAJOR, 1),
    VALUE(MGPT_MAX_RANK, 4),
    VALUE(MGPT_OP_MAX_IN, 6),
    VALUE(MGPT_OP_MAX_OUT, 4),
    VALUE(MGPT_MAX_STATE, 4),
    VALUE(MGPT_MAX_SCALARS, 16),
    VALUE(MGPT_STEP_RING, 64),
    VALUE(sizeof(enum mgpt_status), 4),
};
#undef VALUE

static const struct {
    const char *text, *expected;
} texts[] = {
    {MGPT_PLUGIN_SYMBOL, "microgpt_plugin_v1"},
    {MGPT_KIND_BACKEND, "backend/1"},
    {MGPT_KIND_DATASET, "dataset/1"},
    {MGPT_KIND_LOGGER, "logger/1"},
    {MGPT_KIND_OPTIMIZER, "optimizer/1"},
    {MGPT_KIND_PRECISION, "precision/1"},
    {MGPT_KIND_SAMPLER, "sampler/1"},
    {MGPT_KIND_SCHEDULER, "scheduler/1"},
    {MGPT_KIND_STEP, "step/1"},
    {MGPT_KIND_TOKENIZER, "tokenizer/1"},
};

START_TEST(every_field_is_where_it_was)
{
    for (size_t i = 0; i < N_LAYOUT; i++) {
        const struct row *r = &layout[i];
        ck_assert_msg(r->size == r->expected_size && r->offset == r->expected_offset,
                      "struct mgpt_%s%s%s: %zu bytes at %zu, expected %zu bytes at %zu", r->type,
                      r->field ? "." : "", r->field ? r->field : "", r->size, r->offset,
                      r->expected_size, r->expected_offset);
    }
}
END_TEST

/* A hole of 8 bytes or more is a field that nobody wrote down. */
START_TEST(every_field_is_written_down)
{
    size_t end = 0;
    for (size_t i = 0; i < N_LAYOUT; i++) {
        const struct row *r = &layout[i];
        if (!r->field) {
            end = 0;
            continue;
        }
        ck_assert_msg(r->offset >= end && r->offset - end < 8,
                      "struct mgpt_%s.%s is at %zu, the field before it ends at %zu", r->type,
                      r->field, r->offset, end);
        end = r->offset + r->size;
    }
}
END_TEST

/* Padding at the tail would be taken for a new field by MGPT_HAS. */
START_TEST(no_struct_has_padding_at_its_tail)
{
    const struct row *whole = NULL;
    for (size_t i = 0; i < N_LAYOUT; i++) {
        const struct row *r = &layout[i];
        if (!r->field)
            whole = r;
        else if (i + 1 == N_LAYOUT || !layout[i + 1].field)
            ck_assert_msg(r->offset + r->size == whole->size,
                          "struct mgpt_%s has %zu bytes, its last field ends at %zu", r->type,
                          whole->size, r->offset + r->size);
    }
}
END_TEST

START_TEST(every_constant_means_what_it_meant)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        ck_assert_msg(values[i].value == values[i].expected, "%s is %lld, expected %lld",
                      values[i].name, values[i].value, values[i].expected);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_str_eq(texts[i].text, texts[i].expected);
}
END_TEST

START_TEST(a_field_beyond_the_size_is_absent)
{
    struct mgpt_component c;
    memset(&c, 0, sizeof c);
    c.size = offsetof(struct mgpt_component, api);
    ck_assert(MGPT_HAS(&c, probe));
    ck_assert(!MGPT_HAS(&c, api));
    c.size++;
    ck_assert(!MGPT_HAS(&c, api));
    c.size = (uint32_t)sizeof c;
    ck_assert(MGPT_HAS(&c, api));
}
END_TEST

int main(void)
{
    if (sizeof(void *) != 8) {
        puts("SKIP: the layout is written down for 64-bit pointers");
        return 77;
    }
    Suite *suite = suite_create("abi");
    TCase *tcase = tcase_create("abi");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_field_is_where_it_was);
    tcase_add_test(tcase, every_field_is_written_down);
    tcase_add_test(tcase, no_struct_has_padding_at_its_tail);
    tcase_add_test(tcase, every_constant_means_what_it_meant);
    tcase_add_test(tcase, a_field_beyond_the_size_is_absent);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
