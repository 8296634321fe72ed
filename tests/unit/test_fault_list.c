/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing that can fail escapes site.h: whatever store/'s objects ask of others is one of its calls, or in the list of what cannot fail, or
 * whose failure changes nothing. The names are those that the linker sees, nm(1) reads them.
 */
#include "site.h"
#include <criterion/criterion.h>
#include <string.h>

#define SYMBOLS 4096

static const char *const harmless[] = {
	"clock_gettime", "clock_nanosleep", "exit", "free", "geteuid", "getgid", "getpid", "gettid", "getuid", "gmtime_r", "memchr", "memcmp", "memcpy", "memmove", "memrchr",
	"memset", "qsort", "raise", "sigaction", "sigemptyset", "siglongjmp", "signal", "snprintf", "strchr", "strcmp", "strcpy", "strcspn", "strerror",
	"strftime", "strlen", "strncmp", "strnlen", "strrchr", "strspn", "strtoull", "sysconf", "timegm", "vsnprintf",
	"close", "closedir", "munmap",           /* what must be durable was synced before, and reported there */
	"madvise", "setpriority",                /* advice */
	"syscall",                               /* the scrub's priority on the disk; and openat2(2), as: */
	"fchownat",                              /* root's in another user's directory, which tests/mount/start_user.sh has */
	NULL};

struct symbol {
	char *name;
	bool defined;
};

static struct symbol symbols[SYMBOLS];
static size_t count;

static struct symbol *symbol_of(const char *name)
{
	for (size_t n = 0; n < count; n++)
		if (!strcmp(symbols[n].name, name))
			return &symbols[n];
	cr_assert_lt(count, SYMBOLS);
	symbols[count].name = strdup(name);
	return &symbols[count++];
}

static void read_symbols(void)
{
	char line[400], name[60], type;
	FILE *nm = popen("nm " SITE_LIBRARIES, "r");

	cr_assert(nm);
	while (fgets(line, sizeof line, nm))
		if (sscanf(line, "%*[0-9a-f] %c %59s", &type, name) == 2 || sscanf(line, " %c %59s", &type, name) == 2)
			symbol_of(name)->defined |= type != 'U';
	cr_assert_eq(pclose(nm), 0);
}

/* By the name in the source: the linker's may end with 64. */
static bool is_site(const char *name)
{
	if (!strcmp(name, "pwritev64v2"))
		name = "pwritev2";
	for (struct site *const *s = __start_sites; s < __stop_sites; s++) {
		size_t len = strlen((*s)->call);
		if (!strncmp((*s)->call, name, len) && (!name[len] || !strcmp(name + len, "64")))
			return true;
	}
	return false;
}

static bool is_harmless(const char *name)
{
	char plain[60];
	size_t len = (size_t)snprintf(plain, sizeof plain, "%s", name);

	if (len > 2 && !strcmp(plain + len - 2, "64"))
		plain[len - 2] = 0;
	for (const char *const *known = harmless; *known; known++)
		if (!strcmp(*known, plain))
			return true;
	/* the compiler's own, locks, and checksums */
	return name[0] == '_' || (!strncmp(name, "pthread_", 8) && strcmp(name, "pthread_create") != 0) || !strncmp(name, "XXH", 3) ||
		!strncmp(name, "site_", 5);
}

Test(fault_list, no_call_that_can_fail_is_unknown)
{
	size_t asked = 0;

	read_symbols();
	for (size_t n = 0; n < count; n++) {
		if (symbols[n].defined)
			continue;
		asked++;
		cr_expect(is_harmless(symbols[n].name) || is_site(symbols[n].name), "store/ calls %s, which no test makes fail", symbols[n].name);
	}
	cr_assert_gt(asked, 40);
}
