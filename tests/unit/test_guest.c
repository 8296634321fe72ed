/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be a standby of a primary with many. */
#include "guest_part.h"
#include "pair_rig.h"
#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(guest, .init = rig_begin, .fini = rig_end);

static struct replicator r = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER, .name = "a"};
static struct guest mirrors[REPLICATOR_LINKS];
static struct link links[REPLICATOR_LINKS];

/* G comes to a primary that has as many as it takes. */
static void come_last(struct guest *g)
{
	r.guests = g;
	for (size_t n = 0; n < REPLICATOR_LINKS; n++) {
		struct guest *m = &mirrors[n];
		snprintf(links[n].peer, sizeof links[n].peer, "m%zu", n);
		*m = (struct guest){.r = &r, .link = &links[n], .node = 100 + n, .standby = true};
		g->next = m;
		g = m;
	}
}

Test(guest, a_node_of_the_pair_has_room_however_many_mirrors_are_linked)
{
	struct link link = {.peer = "b"};
	struct guest g = {.r = &r, .link = &link};
	char why[FRAME_REASON] = "";

	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	rig_pair(1);
	r.store = rig.a.store;
	come_last(&g);
	cr_assert(!guest_enter(&g, 99, why), "one mirror more");
	cr_assert_str_eq(why, "there are too many standbys");
	cr_assert(guest_enter(&g, rig_view(&rig.b).node, why), "mirrors keep the pair's node out");
}

/* As an order asks for the other node of a pair that has none. */
Test(guest, a_blank_one_is_no_node_that_can_be_asked_for)
{
	struct link link = {.peer = "b"};
	struct guest g = {.r = &r, .link = &link};
	struct sender_status s;

	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	g.sender = rig.sender;
	r.guests = &g;
	cr_assert_not(guest_status(&r, 0, &s));
	g.node = 5;
	cr_assert(guest_status(&r, 5, &s));
}
