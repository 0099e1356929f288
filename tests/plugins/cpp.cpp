// An optimizer and a scheduler in C++, with what C++ has: a class, new, an exception that stays
// inside.
#include <new>
#include <stdexcept>

#include <microgpt/optimizer.h>
#include <microgpt/scheduler.h>

// clang-format off
MGPT_RULE(cxx, (m), (lr, momentum, decay),
    m = momentum * m + g;
    p -= lr * (m + fabs(p) * (real)0.0 + decay * p);)
// clang-format on

namespace
{
class Line
{
  public:
    double at(uint64_t step, uint64_t total) const
    {
        if (step >= total)
            throw std::out_of_range("past the end");
        return 1 - static_cast<double>(step) / static_cast<double>(total);
    }
};

template <class T> T *make(mgpt_error *error)
{
    try {
        return new T;
    } catch (const std::bad_alloc &) {
        mgpt_fail(error, MGPT_NOMEM, "out of memory");
        return nullptr;
    }
}

mgpt_status scheduler_create(const mgpt_host *, const mgpt_config *, mgpt_scheduler **out,
                             mgpt_error *error)
{
    *out = reinterpret_cast<mgpt_scheduler *>(make<Line>(error));
    return *out ? MGPT_OK : MGPT_NOMEM;
}

void scheduler_destroy(mgpt_scheduler *scheduler)
{
    delete reinterpret_cast<Line *>(scheduler);
}

double lr(const mgpt_scheduler *scheduler, uint64_t step, uint64_t total, double base)
{
    try {
        return base * reinterpret_cast<const Line *>(scheduler)->at(step, total);
    } catch (const std::exception &) {
        return 0;
    }
}

mgpt_status optimizer_create(const mgpt_host *, const mgpt_config *, mgpt_optimizer **out,
                             mgpt_error *error)
{
    *out = reinterpret_cast<mgpt_optimizer *>(make<Line>(error));
    return *out ? MGPT_OK : MGPT_NOMEM;
}

void optimizer_destroy(mgpt_optimizer *optimizer)
{
    delete reinterpret_cast<Line *>(optimizer);
}

void scalars(const mgpt_optimizer *, const mgpt_tick *tick, double *h)
{
    h[0] = tick->lr;
    h[1] = 0.9;
    h[2] = tick->weight_decay;
}

const mgpt_scheduler_api scheduler_api = {sizeof(mgpt_scheduler_api), 0, scheduler_create,
                                          scheduler_destroy, lr};
const mgpt_component scheduler = {
    sizeof(mgpt_component), MGPT_NO_OPTIONS, 0,       MGPT_KIND_SCHEDULER, "cpp",
    "a line, in C++",       nullptr,         nullptr, &scheduler_api};
const mgpt_optimizer_api optimizer_api = {
    sizeof(mgpt_optimizer_api), 0,       &cxx,    optimizer_create,
    optimizer_destroy,          scalars, nullptr, nullptr};
const mgpt_component optimizer = {
    sizeof(mgpt_component), MGPT_NO_OPTIONS, 0,       MGPT_KIND_OPTIMIZER, "cpp",
    "momentum, in C++",     nullptr,         nullptr, &optimizer_api};
} // namespace

MGPT_PLUGIN_DEFINE("org.microgpt.test.cpp", "1.0", "MIT", "microgpt", nullptr, &scheduler,
                   &optimizer)
