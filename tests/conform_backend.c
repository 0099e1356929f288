/* Kind backend: every module keeps the contract. One that cannot run here is skipped, and says
 * why. */
#include <config.h>

#include "conform.h"

static void add_tests(TCase *tests)
{
    add_contract(tests, "backend");
}

int main(void)
{
    return test_main("conform_backend", add_tests);
}
