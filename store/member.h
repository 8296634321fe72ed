/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member.h - a store as one node among others: its role, its log's bytes, who counts. What replica/ sees of store/, with raw.h.
 *
 * A store is primary or standby. A primary appends: it begins an epoch of the reign that it rules, and nothing but the node's own records
 * is taken before the first record of that epoch is committed. A standby takes the bytes of another node's log, and shows what is both
 * synced here and announced to be committed there. The rules of the game (promises, HELLO, who may be promoted) are replica/'s; what
 * must hold whoever calls is kept here: order and durability of promises and epochs, the commit rule (quorum.h), and that nothing
 * known to be committed is ever cut.
 *
 * Calling, as a primary
 *	store_linked(s, node, true)                          a standby has said HELLO
 *	store_raw(s, pos, &raw); raw_read(raw, store_sendable(s), ...)     its bytes
 *	store_acknowledged(s, node, pos, current)            it has synced as far; moves the commit point
 *	store_linked(s, node, false)                         the link broke
 * as a standby
 *	store_promise(s, reign)                              before it answers
 *	store_cut(s, pos, chain)                             where the logs part, before anything is received
 *	store_receive(s, bytes, len, base, epoch)            then acknowledge store_view()'s synced, when it moves
 *	store_announce(s, committed, current)                what the primary says is committed
 * to change roles
 *	store_step_down(s); store_promise(s, reign); store_begin_reign(s, ...)
 *
 * Units    log positions at records' ends.
 * Errors   negative errno. -EROFS: not in this role.
 * Threads  any, but what changes a role, cuts, promises or receives is called by one thread at a time. progress.h says when to look again.
 */
#ifndef MQFS_STORE_MEMBER_H
#define MQFS_STORE_MEMBER_H

#include "annals.h"
#include "identity.h"
#include "progress.h"
#include "promise.h"
#include "raw.h"
#include <sys/types.h>

struct store;

enum role { ROLE_PRIMARY, ROLE_STANDBY };

/* One look at where a node stands. */
struct member_view {
	enum role role;
	uint64_t cluster, node;
	struct promise promise;
	struct epoch epoch;            /* primary: its own */
	uint64_t start;                /* of the log */
	uint64_t end;                  /* behind the last record */
	uint64_t chain;                /* its header checksum */
	struct epoch last;             /* its epoch */
	uint64_t written, synced;      /* the written prefix; on this disk */
	uint64_t committed;            /* applied and shown */
	bool settled;                  /* primary: its epoch's first record is committed */
	uint64_t known;                /* the greatest commit point known of, here or elsewhere: may lie behind the log's end */
	bool current;                  /* see mqfs-replication(7) */
	bool paired;                   /* a pair is in the log */
	struct pair pair;              /* the last one in the log, committed or not */
	bool pair_committed;
	bool refused;                  /* primary: appends get EHOSTDOWN */
	bool unheld;                   /* primary: the pair's other node, or the one left out, lacks more than is kept for it: see store_hold() */
	bool failed;                   /* the log has, for good: nothing more is appended or received */
	uint64_t messages;             /* appended or received since start */
};

void store_view(struct store *s, struct member_view *to);
const struct identity *store_identity(struct store *s);
/* The epochs of the whole log, malloc'ed, oldest first; *END is the log's end that they go with. */
int store_epochs(struct store *s, struct epoch_row **to, size_t *count, uint64_t *end);
/* The pairs in force, as annals_pairs(). */
int store_pairs(struct store *s, struct pair_row *to, size_t max, size_t *count);
/* Told when the log gets further: written, synced, committed. */
struct progress *store_progress(struct store *s);

/* ---- the log's bytes ---- */

int store_raw(struct store *s, uint64_t pos, struct raw **to);
/* How far another node may be sent the log: the written prefix, but the first record of an epoch only once it is durable here. */
uint64_t store_sendable(struct store *s);
/* As log_receive(). Standby only. */
int store_receive(struct store *s, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, size_t *took);
/* The primary says that all up to POS is committed; what is synced here of it is shown. CURRENT: this node is of the pair as the primary
 * sees it, and POS lies behind the first record of the primary's epoch: once it has synced POS, this node is current. */
void store_announce(struct store *s, uint64_t pos, bool current);
/* At each HELLO: the log goes on at POS, a record's end; what lies behind it goes to lost/. CHAIN is what the primary says of POS, as in
 * log_cut(). -EPERM when POS is below what is known to be committed. -EINVAL: it is no record's end. After another failure the next HELLO may
 * try again, unless a part of the cut was made: then the log has failed. What was in flight behind POS ends with -ETIMEDOUT: what became of it
 * is not known here. */
int store_cut(struct store *s, uint64_t pos, uint64_t chain);

/* ---- repair: repair.c ---- */

/* Where the log is damaged below the commit point: from a record's end to another one. */
struct span {
	uint64_t from, to;
};

/* The first one at or behind POS. False: there is none. Told by the store's progress when there are more. */
bool store_damaged_span(struct store *s, uint64_t pos, struct span *to);
/* Counts what was found out of damage: something is new when it has moved. */
uint64_t store_damage_news(struct store *s);
/* BYTES, malloc'ed, are another node's log of SPAN. 0: they are the store's and will be written back; the store's progress moves when they are.
 * -EBADMSG: they do not fit in here. -ENOENT: there is no such span any more. -EBUSY: other bytes are being written. -EROFS. */
int store_repair(struct store *s, const struct span *span, uint8_t *bytes);
/* The other node has it not either: what waited for it to be repaired waits no more. */
void store_absent(struct store *s, const struct span *span);

/* ---- who counts ---- */

/* False: so many nodes are linked that there is no place for this one, and it does not count. */
bool store_linked(struct store *s, uint64_t node, bool linked);
/* NODE has synced everything before POS; CURRENT: it says that it is current. */
void store_acknowledged(struct store *s, uint64_t node, uint64_t pos, bool current);
/* ON: appends get EHOSTDOWN as long as the log has never had a pair, since a commit is to wait for a node that has not joined yet. */
void store_want_pair(struct store *s, bool on);
/* ON: appends get EHOSTDOWN, as this primary has yet to ask whether another one rules. Stepping down ends it. */
void store_hold_back(struct store *s, bool on);
/* The operator's word that nobody has gone on without this restarted primary. */
void store_vouch(struct store *s);
/* The pair and min_standbys from now on: a record in the log, which counts for what is behind it. -EBUSY: another change is not committed
 * yet, and P says nobody is stopped. -EAGAIN: this primary has committed nothing yet. Returns when it is in the log, *END behind it; where
 * P says that a node is stopped, when it is durable. */
int store_set_pair(struct store *s, const struct pair *p, uint64_t *end);
/* The next start knows all that is committed now for committed, whatever ends this process: an empty record behind it says so. Returns when that
 * is durable. */
int store_prove_committed(struct store *s);

/* ---- promises and roles ---- */

/* R is promised, durably. -EPERM: a higher one is. A standby, or a primary that steps down first, unless R is the reign it rules. */
int store_promise(struct store *s, struct reign r);
/* ON: appends get EROFS, so that the log comes to its end; the other node is to take over there. A primary only; stepping down ends it. */
void store_hand_over(struct store *s, bool on);
/* The primary is a standby from now on: appends get EROFS, what is in flight stays so until it is committed, cut, or its time is over. */
int store_step_down(struct store *s);
/* The standby rules R, its own and what it has promised: appends its epoch's first record. FLAGS: RECORD_ACCEPTED_LOSS. CURRENT: it was
 * promoted while current, or the operator vouches. Where it ruled R until it stepped down, nothing is promised anew, and FLAGS do not count.
 * Returns when that record is durable. After an error this node is a standby still, but for -EIO. */
int store_begin_reign(struct store *s, struct reign r, uint8_t flags, bool current);

/* ---- retention ---- */

/* On a primary nothing from POS on goes, for the pair's other node needs it, as long as the log behind it is no longer than the bound of the
 * options. UINT64_MAX: nobody needs anything. */
void store_hold(struct store *s, uint64_t pos);

#endif
