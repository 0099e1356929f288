/* Programs between the cache and a driver that refuses some: what is compiled, and what comes
 * back. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "program.h"
#include "scratch.h"
#include "testing.h"

static int compiled; /* how often */
static int loaded;   /* programs that were loaded and not yet unloaded */
static CUresult refusal;
static const char *refused; /* the image that the driver does not take, with `refusal` */

/* ---- a compiler and a driver ---- */

const char *const cuda_prelude = "";

void cuda_compile_key(int capability, char *key, size_t size)
{
    (void)snprintf(key, size, "%d", capability);
}

/* Images are "image 1", "image 2" ... */
enum mgpt_status cuda_compile(const struct mgpt_cuda_source *source, int capability, char **image,
                              size_t *size, struct mgpt_error *error)
{
    (void)source, (void)capability, (void)error;
    *image = calloc(1, 16);
    ck_assert_ptr_nonnull(*image);
    *size = (size_t)snprintf(*image, 16, "image %d", ++compiled) + 1;
    return MGPT_OK;
}

static CUresult module_load(CUmodule *module, const void *image)
{
    if (refused && strncmp(image, refused, strlen(refused)) == 0)
        return refusal;
    loaded++;
    *module = (CUmodule)&loaded;
    return CUDA_SUCCESS;
}

static CUresult module_unload(CUmodule module)
{
    ck_assert_ptr_eq(module, (CUmodule)&loaded);
    loaded--;
    return CUDA_SUCCESS;
}

static CUresult module_function(CUfunction *function, CUmodule module, const char *name)
{
    *function = (CUfunction)module;
    return strcmp(name, "none") == 0 ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

static CUresult error_string(CUresult code, const char **text)
{
    *text = code == CUDA_ERROR_INVALID_IMAGE ? "not an image" : "another error";
    return CUDA_SUCCESS;
}

const struct cuda_driver *cuda_driver(struct mgpt_error *error)
{
    static const struct cuda_driver driver = {.module_load = module_load,
                                              .module_unload = module_unload,
                                              .module_function = module_function,
                                              .error_string = error_string};

    (void)error;
    return &driver;
}

/* ---- what becomes of it ---- */

static void setup(void)
{
    scratch_setup();
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", in_scratch("cache"), 1), 0);
}

static enum mgpt_status new_program(const char *kernel, struct mgpt_error *error)
{
    const char *const kernels[] = {kernel, NULL};
    struct mgpt_cuda_source source = {
        .size = sizeof source, .name = "mine", .text = "text", .kernels = kernels};
    const struct mgpt_device device = {.capability = 90};
    struct mgpt_cuda_program *program = NULL;
    enum mgpt_status status = cuda_program_new(&device, &source, &program, error);

    ck_assert_int_eq(loaded, status == MGPT_OK);
    if (status == MGPT_OK)
        cuda_program_unload(program);
    ck_assert_int_eq(loaded, 0);
    return status;
}

START_TEST(a_program_is_compiled_once)
{
    ck_ok(new_program("one", error));
    ck_ok(new_program("one", error));
    ck_assert_int_eq(compiled, 1);
    ck_ok(new_program("two", error));
    ck_assert_int_eq(compiled, 2);
}
END_TEST

START_TEST(an_image_of_the_cache_that_the_driver_refuses_is_replaced)
{
    ck_ok(new_program("one", error));
    refused = "image 1";
    refusal = CUDA_ERROR_NO_BINARY_FOR_GPU;
    ck_ok(new_program("one", error));
    ck_assert_int_eq(compiled, 2);
    ck_ok(new_program("one", error));
    ck_assert_int_eq(compiled, 2);
}
END_TEST

static const struct {
    CUresult code;
    enum mgpt_status status;
    int compiled; /* once more? */
} refusals[] = {
    {CUDA_ERROR_INVALID_IMAGE, MGPT_UNSUPPORTED, 2},
    {CUDA_ERROR_INVALID_PTX, MGPT_UNSUPPORTED, 2},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, MGPT_UNSUPPORTED, 2},
    {CUDA_ERROR_OUT_OF_MEMORY, MGPT_NOMEM, 1},
    {CUDA_ERROR_ILLEGAL_ADDRESS, MGPT_DEVICE, 1},
};

START_TEST(what_the_driver_says_is_told_apart)
{
    struct mgpt_error why = {0};

    ck_ok(new_program("one", error));
    refused = "image";
    refusal = refusals[_i].code;
    ck_assert_int_eq(new_program("one", &why), refusals[_i].status);
    ck_assert_int_eq(compiled, refusals[_i].compiled);
    ck_assert_ptr_nonnull(strstr(why.text, "cuModuleLoadData: "));
}
END_TEST

START_TEST(a_kernel_that_is_not_there_is_unsupported)
{
    struct mgpt_error why = {0};

    ck_assert_int_eq(new_program("none", &why), MGPT_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(why.text, "cuModuleGetFunction: "));
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, scratch_teardown);
    tcase_add_test(tests, a_program_is_compiled_once);
    tcase_add_test(tests, an_image_of_the_cache_that_the_driver_refuses_is_replaced);
    tcase_add_loop_test(tests, what_the_driver_says_is_told_apart, 0,
                        (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tests, a_kernel_that_is_not_there_is_unsupported);
}

int main(void)
{
    return test_main("check_programs", add_tests);
}
