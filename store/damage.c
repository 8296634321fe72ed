/* SPDX-License-Identifier: Apache-2.0 */
/* What was found damaged since start: each place once, whoever finds it: a read, the scrub or the start. */
#include "keeper.h"
#include "parts.h"
#include <inttypes.h>
#include <syslog.h>

/* False: it is known already, or one too many to be remembered. *LAST: no further one will be. */
static bool remember(struct store *s, enum damage_kind kind, uint64_t pos, bool *last)
{
	bool new = s->damaged < DAMAGES;

	for (size_t i = 0; new && i < s->damaged; i++)
		new = s->damage[i].pos != pos || s->damage[i].kind != kind;
	if (new)
		s->damage[s->damaged++] = (struct damage){.pos = pos, .kind = kind};
	*last = new && s->damaged == DAMAGES;
	return new;
}

void store_damaged(struct store *s, enum damage_kind kind, uint64_t pos, const char *what)
{
	bool new, last;

	pthread_mutex_lock(&s->damage_lock);
	new = remember(s, kind, pos, &last);
	pthread_mutex_unlock(&s->damage_lock);
	if (!new)
		return;
	store_say(s, LOG_ERR, "damage at log position %" PRIu64 ": %s%s", pos, what, last ? "; further places are not told" : "");
	if (s->keeper)
		keeper_renew(s->keeper, kind);
}
