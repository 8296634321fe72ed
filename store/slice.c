/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"
#include "segment.h"

#include <errno.h>
#include <stdlib.h>

void slice_init(struct slice *s)
{
	s->parts = 0;
	s->bytes = 0;
	s->copied = NULL;
	s->copied_max = 0;
	s->holds = 0;
}

void slice_free(struct slice *s)
{
	for (int i = 0; i < s->holds; i++)
		segment_put(s->held[i]);
	free(s->copied);
	slice_init(s);
}
