/* SPDX-License-Identifier: Apache-2.0 */
#include "metric.h"
#include <inttypes.h>

#define NS_PER_SECOND 1e9

void metric_head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metric_label(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', to);
		fputc(*value, to);
	}
	fputc('"', to);
}

void metric_counter(FILE *to, const char *name, const char *help, uint64_t value)
{
	metric_head(to, name, "counter", help);
	fprintf(to, "%s %" PRIu64 "\n", name, value);
}

void metric_gauge(FILE *to, const char *name, const char *help, uint64_t value)
{
	metric_head(to, name, "gauge", help);
	fprintf(to, "%s %" PRIu64 "\n", name, value);
}

void metric_seconds(FILE *to, const char *name, const char *type, const char *help, uint64_t ns)
{
	metric_head(to, name, type, help);
	fprintf(to, "%s %.9f\n", name, (double)ns / NS_PER_SECOND);
}
