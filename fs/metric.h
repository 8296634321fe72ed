/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric.h - lines of Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4).
 */
#ifndef MQFS_FS_METRIC_H
#define MQFS_FS_METRIC_H

#include <stdint.h>
#include <stdio.h>

/* HELP and TYPE, in front of a metric's lines. */
void metric_head(FILE *to, const char *name, const char *type, const char *help);
/* NAME="VALUE", quoted. A value holds no control characters, so no newline. */
void metric_label(FILE *to, const char *name, const char *value);
/* All of a metric that has no labels. */
void metric_counter(FILE *to, const char *name, const char *help, uint64_t value);
void metric_gauge(FILE *to, const char *name, const char *help, uint64_t value);
void metric_seconds(FILE *to, const char *name, const char *type, const char *help, uint64_t ns);

#endif
