/*
 * The replication of one shard: three replicas, a control store, a controller, two writes.
 *
 * Each step is a decision of Sources/Cluster: learn and begin are PrimaryState.changed and LocalReplica.follow; ask, join,
 * acknowledge, demote and promote PrimaryState; receive and commit BackupRole and ReplicaFence; copy
 * BackupRole.refusalOfReplacement; elect Controller.failOver; read ServingRight.
 *
 * What was said stays said: a record may come late, twice, after a later one, or never, so there are no channels, only
 * what the primary of each epoch ever had to say. A compare-and-swap may take effect long after its sender stopped to
 * wait for it. A node loses its lease at any moment, which is what a crash, a stop and a partition have in common; a crash
 * also ends its role. The simulator (Tests/SimulationTests) knows all the rest: clocks, snapshots that come late, logs that
 * are trimmed, disks.
 *
 * Bounds: EPOCHS records, of which writes of the first three travel; FALLS losses of leases; REMOVALS of replicas that
 * are made anew; WRITES writes. Bugs are planted with -D and one of ACK_EARLY, NO_EPOCH_CHECK, SERVE_STALE,
 * NO_PREVIOUS_CHECK, ELECT_ANY, FORGET_PROMOTION; NO_FENCE with SLOW_DISK; TRUST_REMOVED and EMPTY_WITHIN_EPOCH with
 * REMOVALS.
 */
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef FALLS
#define FALLS 1
#endif
#ifndef REMOVALS
#define REMOVALS 0
#endif
#ifndef WRITES
#define WRITES 2
#endif
#define N 3

#define bit_of(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)

#ifdef NO_PREVIOUS_CHECK
#define SAME(one, other) true
#else
#define SAME(one, other) ((one) == (other))
#endif
#ifdef NO_EPOCH_CHECK
#define ADMITS(who, when) true
#else
#define ADMITS(who, when) ((when) == known[who] && record[when].primary != (who))
#endif
#ifdef NO_FENCE
#define FENCED(who, when) true
#else
#define FENCED(who, when) (changing[who] == 0 || changing[who] >= (when))
#endif
#ifdef TRUST_REMOVED
#define TRUSTED true
#else
#define TRUSTED false
#endif
/* Whether writes wait for an in-sync replica. */
#ifdef ACK_EARLY
#define COUNTS(who, other) (expected[who] != known[who] || has(wanted[who], other))
#else
#define COUNTS(who, other) true
#endif
#ifdef ELECT_ANY
#define ELECTABLE live
#else
#define ELECTABLE (record[epoch].insync & live)
#endif
#ifdef SERVE_STALE
#define SERVES(who) has(record[known[who]].insync, who)
#else
#define SERVES(who) (has(live, who) && has(record[epoch].insync, who))
#endif

/* Every record that there was; the newest is `epoch`'s. Each node knows the one of `known`. */
typedef Record { byte primary; byte insync };
/* Epoch 0 is that of a process that has not read the store yet. */
Record record[EPOCHS + 1];
byte epoch = 1;
byte known[N];
byte live = 7;

/* A log: the epoch of each write, 0 behind its end. */
typedef Log { byte length; byte at[WRITES] };
Log log[N];
/* What the primary of an epoch had to say, and how much of it each node said to have. */
typedef Said { Log log; byte acked[N] };
Said said[EPOCHS + 1];

/* The epoch whose next record is on its way to a node's disk, or 0. */
byte changing[N];

/* What a node knows as the primary. `asked`: its backups that told what they have; `joined`: one more than what was
   committed when they joined; `maybe`: may be in sync. `done` writes were acknowledged. */
typedef Role { bit is; byte asked; byte joined[N]; byte maybe; byte done };
Role role[N];
/* The compare-and-swap that is under way: the epoch that it expects, or 0, and the set that it asks for. */
byte expected[N];
byte wanted[N];

byte writes = 0;
byte falls = 0;
byte removals = 0;
/* The epoch of each acknowledged write, or 0. */
byte acknowledged[WRITES];

byte n, i;
bit good;

inline resign(who) {
    role[who].is = 0; role[who].asked = 0; role[who].maybe = 0; role[who].done = 0;
    role[who].joined[0] = 0; role[who].joined[1] = 0; role[who].joined[2] = 0
}

inline copy(target, source) {
    target.length = source.length;
    i = 0;
    do
    :: i < WRITES -> target.at[i] = source.at[i]; i++
    :: else -> i = 0; break
    od
}

/* What backups told is remembered, but of those that are not in sync: they may have been removed and made anew. */
inline remember(who) {
    n = 0;
    do
    :: n < N ->
        if
        :: (has(role[who].asked, n) && (TRUSTED || has(record[epoch].insync, n))) ->
            said[epoch].acked[n] = said[known[who]].acked[n]
        :: else ->
            role[who].asked = role[who].asked & (7 - bit_of(n)); role[who].joined[n] = 0
        fi;
        n++
    :: else -> n = 0; break
    od
}

inline learn(who) {
    if
    :: (role[who].is && record[epoch].primary != who) -> resign(who)
    :: (role[who].is && record[epoch].primary == who) ->
        role[who].maybe = 0; copy(said[epoch].log, log[who]); remember(who)
    :: else
    fi;
    known[who] = epoch
}

/* Every in-sync replica holds every acknowledged write. */
inline check_log(who) {
    i = 0;
    do
    :: i < WRITES ->
        assert(acknowledged[i] == 0 || (log[who].length > i && log[who].at[i] == acknowledged[i]));
        i++
    :: else -> i = 0; break
    od
}

inline check_members() {
    n = 0;
    do
    :: n < N ->
        if
        :: has(record[epoch].insync, n) -> check_log(n)
        :: else
        fi;
        n++
    :: else -> n = 0; break
    od
}

/* A primary knows all that the backups have that told it: replicas that are quiet are equal. */
inline check_known(who) {
    n = record[epoch].primary;
    if
    :: (role[n].is && known[n] == epoch && n != who && has(role[n].asked, who)) ->
        assert(log[who].length <= log[n].length && log[who].at[log[who].length - 1] == log[n].at[log[who].length - 1])
    :: else
    fi;
    n = 0
}

inline next_record(new_primary, new_insync) {
    epoch++;
    record[epoch].primary = new_primary;
    record[epoch].insync = new_insync;
    check_members()
}

/* The record of epoch `when` that follows the log of `who`, if it does. */
inline take(who, when) {
    if
    :: (said[when].log.length > log[who].length
        && (log[who].length == 0 || SAME(said[when].log.at[log[who].length - 1], log[who].at[log[who].length - 1]))) ->
        log[who].at[log[who].length] = said[when].log.at[log[who].length];
        log[who].length++;
        said[when].acked[who] = log[who].length;
        check_known(who)
    :: else
    fi
}

/* What a backup is known to have. */
#define ACKED(who, y) (has(role[who].asked, y) -> said[known[who]].acked[y] : 0)

/* One of the two other nodes. */
inline pick() {
    if
    :: y = (x + 1) % N
    :: y = (x + 2) % N
    fi
}

proctype node(byte x) {
    byte y = 0;
    byte e = 0;
    do
    :: atomic { known[x] != epoch -> d_step { learn(x) } }

    :: atomic { (!role[x].is && record[known[x]].primary == x && changing[x] == 0) ->
        d_step {
            role[x].is = 1;
#ifndef FORGET_PROMOTION
            /* A question of its own from before a crash may still be under way. */
            role[x].maybe = 7 - record[known[x]].insync;
#endif
            copy(said[known[x]].log, log[x]); skip
        } }

    :: atomic { (role[x].is && writes < WRITES && log[x].length < WRITES) ->
        d_step {
            log[x].at[log[x].length] = known[x]; log[x].length++; writes++;
            copy(said[known[x]].log, log[x]); skip
        } }

    /* The primary asks a backup what it has, which looks at the store when it does not know the epoch. */
    :: atomic { (role[x].is && role[x].asked != 7 - bit_of(x)) -> pick();
        if
        :: (!has(role[x].asked, y) && known[x] >= known[y] && FENCED(y, known[x])) -> d_step {
            if
            :: known[x] > known[y] -> learn(y)
            :: else
            fi;
            if
            :: (ADMITS(y, known[x]) && (log[y].length == 0 || (log[y].length <= log[x].length
                && SAME(log[y].at[log[y].length - 1], log[x].at[log[y].length - 1])))) ->
                role[x].asked = role[x].asked | bit_of(y);
                said[known[x]].acked[y] = log[y].length
            :: else
            fi
        }
        :: else
        fi; y = 0 }

    /* A record of any epoch comes to a backup. */
    :: atomic { (changing[x] == 0 && said[1].log.length > log[x].length && ADMITS(x, 1)) -> 
#ifdef SLOW_DISK
        changing[x] = 1 }
#else
        d_step { take(x, 1) } }
#endif
    :: atomic { (EPOCHS > 1 && changing[x] == 0 && said[2].log.length > log[x].length && (ADMITS(x, 2) || known[x] < 2)) ->
        d_step { if :: known[x] < 2 -> learn(x) :: else fi };
        if
        :: ADMITS(x, 2) ->
#ifdef SLOW_DISK
            changing[x] = 2
#else
            d_step { take(x, 2) }
#endif
        :: else
        fi }
#if EPOCHS > 2
    :: atomic { (changing[x] == 0 && said[3].log.length > log[x].length && (ADMITS(x, 3) || known[x] < 3)) ->
        d_step { if :: known[x] < 3 -> learn(x) :: else fi };
        if
        :: ADMITS(x, 3) ->
#ifdef SLOW_DISK
            changing[x] = 3
#else
            d_step { take(x, 3) }
#endif
        :: else
        fi }
#endif
#ifdef SLOW_DISK
    :: atomic { changing[x] != 0 -> d_step { e = changing[x]; changing[x] = 0; take(x, e); e = 0 } }
#endif

    /* A replica that catches up joins: writes wait for it from now on; or no longer. */
    :: atomic { (role[x].is && record[known[x]].insync != 7) -> pick();
        if
        :: (has(role[x].asked, y) && !has(record[known[x]].insync, y)) ->
            role[x].joined[y] = (role[x].joined[y] == 0 -> log[x].length + 1 : 0)
        :: else
        fi; y = 0 }

    /* Every replica of the acknowledging set has the write, and the newest record says that we still are the primary. */
    :: atomic { (role[x].is && role[x].done < log[x].length) ->
        d_step {
            good = 1; n = 0;
            do
            :: n < N ->
                if
                :: (n != x && (has(record[known[x]].insync | role[x].maybe, n) || role[x].joined[n] > 0)
                    && COUNTS(x, n) && ACKED(x, n) <= role[x].done) -> good = 0
                :: else
                fi;
                n++
            :: else -> n = 0; break
            od;
            if
            :: (good && record[epoch].primary == x && has(live, x)) ->
                assert(acknowledged[role[x].done] == 0 || acknowledged[role[x].done] == log[x].at[role[x].done]);
                acknowledged[role[x].done] = log[x].at[role[x].done];
                role[x].done++;
                check_members()
            :: else
            fi;
            good = 0
        } }

    /* The primary asks for a smaller set, or a larger one. It may stop to wait for an earlier question, which is not
       asked again: it takes effect or it does not. */
    :: atomic { (role[x].is && expected[x] == 0 && epoch < EPOCHS) -> pick();
        if
        :: has(record[known[x]].insync, y) ->
            d_step { expected[x] = known[x]; wanted[x] = record[known[x]].insync & (7 - bit_of(y)) }
        :: (role[x].joined[y] > 0 && ACKED(x, y) + 1 >= role[x].joined[y] && !has(record[known[x]].insync, y)) ->
            d_step {
                expected[x] = known[x]; wanted[x] = record[known[x]].insync | bit_of(y);
#ifndef FORGET_PROMOTION
                role[x].maybe = role[x].maybe | bit_of(y)
#endif
            }
        :: else
        fi; y = 0 }
    :: atomic { expected[x] != 0 ->
        d_step {
            if
            :: (expected[x] == epoch && epoch < EPOCHS) -> next_record(x, wanted[x])
            :: else
            fi;
            expected[x] = 0; wanted[x] = 0
        } }

    /* The lease is lost, and the node knows, or knows not; or it comes back. */
    :: atomic { (has(live, x) && falls < FALLS) -> d_step { live = live & (7 - bit_of(x)); falls++ };
        if
        :: d_step { resign(x); changing[x] = 0; known[x] = 0 }
        :: true
        fi }
    :: atomic { !has(live, x) -> live = live | bit_of(x) }

    /* A replica that is not in sync is removed, or given up, and made anew: empty. */
    :: atomic { (!has(record[epoch].insync, x) && removals < REMOVALS && epoch < EPOCHS) ->
        d_step {
            resign(x); changing[x] = 0; known[x] = 0; log[x].length = 0;
            i = 0;
            do
            :: i < WRITES -> log[x].at[i] = 0; i++
            :: else -> i = 0; break
            od;
            removals++;
#ifndef EMPTY_WITHIN_EPOCH
            next_record(record[epoch - 1].primary, record[epoch - 1].insync);
#endif
            skip
        } }

    /* A copy of the primary's log, for one that is not in sync. */
    :: atomic { (role[x].is && known[x] == epoch && record[epoch].insync != 7) -> pick();
        if
        :: (!has(record[epoch].insync, y) && !has(role[x].asked, y) && changing[y] == 0 && known[y] == epoch
            && ADMITS(y, epoch)) ->
            d_step {
                copy(log[y], log[x]); said[epoch].acked[y] = log[y].length;
                role[x].asked = role[x].asked | bit_of(y)
            }
        :: else
        fi; y = 0 }

    :: atomic { SERVES(x) -> d_step { check_log(x); skip } }

    /* The controller takes a dead node out of the set, and gives its role to another one. */
    :: atomic { (!has(live, x) && has(record[epoch].insync, x) && epoch < EPOCHS) -> pick();
        if
        :: (has(ELECTABLE, y) && (!has(live, record[epoch].primary) || y == record[epoch].primary)) ->
            d_step { next_record(y, (record[epoch].insync & live) | bit_of(y)); skip }
        :: else
        fi; y = 0 }
    od
}

init {
    d_step {
        record[0].primary = N; record[1].primary = 0; record[1].insync = 7;
        known[0] = 1; known[1] = 1; known[2] = 1
    }
    atomic { run node(0); run node(1); run node(2) }
}
