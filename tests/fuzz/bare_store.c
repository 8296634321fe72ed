/* SPDX-License-Identifier: Apache-2.0 */
#include "bare_store.h"
#include "annals.h"
#include "checkpoint.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

void bare_store_init(struct store *s)
{
	memset(s, 0, sizeof *s);
	memcpy(s->id.secret, fuzz_secret, RECORD_SECRET);
	settings_normal(&s->options.settings);
	pthread_mutex_init(&s->damage_lock, NULL);
	must(topics_new(&s->topics, s) == 0);
	must(annals_new(&s->annals) == 0);
	must(segments_new(&s->segments, NULL, s->id.secret) == 0);
}

void bare_store_end(struct store *s)
{
	topics_free(s->topics);
	segments_free(s->segments);
	annals_free(s->annals);
	pthread_mutex_destroy(&s->damage_lock);
}

uint8_t *bare_store_state(struct store *s, size_t *len)
{
	struct checkpoint_info info;
	uint8_t *bytes;

	must(checkpoint_encode(s, &info, &bytes) == 0);
	*len = info.size;
	return bytes;
}
