/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rot.h - a small store whose every byte is known, and what a spoilt copy of it still gives.
 *
 * The store lives in memory. rot_make() makes it; rot.sound is a disk with its files, and rot.region says what each of their bytes is for. A
 * test spoils a copy, which rot_judge() opens, reads in every way, scrubs and checks.
 *
 * Calling  rot_make(64, false); d = memory_disk_copy(rot.sound); spoil it; rot_judge(d, ROT_LOOK, &v); disk_free(d); rot_free();
 * Threads  one.
 */
#ifndef MQFS_TESTS_ROT_H
#define MQFS_TESTS_ROT_H

#include "../fuzz/memory_disk.h"
#include "store.h"

#define ROT_APPENDS 40
#define ROT_FILES 64
#define ROT_RECORDS 4096
#define ROT_REGIONS 16384

/* What bytes are for. */
enum rot_kind {
	ROT_HARMLESS,          /* nothing reads them, or nothing depends on them */
	ROT_RECORD,            /* a record's header or body */
	ROT_TAIL,              /* the same of a record that nothing proves to be committed */
	ROT_HEAD,              /* a segment's header */
	ROT_INDEX,
	ROT_CHECKPOINT,
	ROT_IDENTITY,
};

struct rot_region {
	int file;
	size_t from, to;               /* bytes of it */
	enum rot_kind kind;
	const char *name;
	int record;                    /* ROT_RECORD and ROT_TAIL: which one; else -1 */
};

struct rot_record {
	uint64_t pos, end;             /* in the log */
	uint64_t base;                 /* of its segment */
	bool messages;                 /* else a change of state */
	int topic;                     /* 0: "lines", 1: "writes" */
	uint32_t queue;
	uint64_t offset;
	uint32_t length;
	uint8_t *bytes;
};

struct rot {
	struct disk *sound;
	struct store_options options;
	struct rot_record record[ROT_RECORDS];
	int records;
	struct rot_region region[ROT_REGIONS];
	int regions;
	char file[ROT_FILES][40];
	int files;
	uint64_t committed;            /* what the files prove */
};

extern struct rot rot;

/* About APPENDS messages. CRASHED: as a kill -9 leaves the files, else as a stop does. SEED: other bytes at the same places. With KEEP,
 * which has an identity, the store becomes one of its cluster. */
void rot_make(int appends, bool crashed, int seed, struct disk *keep);
void rot_free(void);

/* What came of a spoilt store. */
struct rot_verdict {
	bool refused;                  /* it does not open, and says why */
	bool by_start, by_reads, by_scrub, by_check;   /* who has found damage */
	bool noted;                    /* check has a note */
	uint64_t lost_files;
	uint64_t shown;                /* ROT_LOOK: no more of the log is, as nothing proves it committed */
	char refusal[STORE_WHY];
	char why[STORE_WHY];           /* the first finding of the check */
	int missing;                   /* records of messages that cannot be read */
	bool lost[ROT_RECORDS];        /* which */
	bool wrong;                    /* bytes were given that nobody wrote there, or no end was found */
	char what[256];                /* where */
};

enum rot_how {
	ROT_LOOK,                      /* opened for reading only, scrubbed, and checked: D stays as it is */
	ROT_START,                     /* opened as a mount does, which may change D */
};
void rot_judge(struct disk *d, enum rot_how how, struct rot_verdict *v);
/* mqctl check of D. Its error. */
int rot_check(struct disk *d, struct rot_verdict *v);

/* mqctl check --repair of D, which is killed after CALLS calls that change the disk. Its error; *REPAIRED counts. */
int rot_repair(struct disk *d, unsigned calls, struct rot_verdict *v, unsigned *repaired);

bool rot_long(void);                   /* MQFS_TEST_LONG=1 */
/* Adds V to the figures of NAME, a constant; rot_print() shows all of them below TITLE. */
void rot_count(const char *name, const struct rot_verdict *v);
void rot_print(const char *title);

#endif
