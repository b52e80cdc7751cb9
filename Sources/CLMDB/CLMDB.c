#define _GNU_SOURCE
#include "CLMDB.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/// Where the calling thread goes on when the call that it is in hits damage; NULL outside of guarded calls.
static _Thread_local sigjmp_buf *volatile escape = NULL;

static struct sigaction former_segv, former_bus;

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    if (escape != NULL) siglongjmp(*escape, 1);
    // Not ours: the instruction runs again, with the former handler.
    sigaction(number, number == SIGBUS ? &former_bus : &former_segv, NULL);
}

static void on_assertion(MDB_env *env, const char *message) {
    (void)env, (void)message;
    // LMDB aborts when this returns.
    if (escape != NULL) siglongjmp(*escape, 1);
}

static void install_handlers(void) {
    struct sigaction action = {.sa_sigaction = on_fault};
    // The signal mask is not saved by guarded calls, so the signal must not stay blocked when a handler is left by a jump.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &former_segv);
    sigaction(SIGBUS, &action, &former_bus);
}

void shoal_lmdb_guard(MDB_env *env) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handlers);
    mdb_env_set_assert(env, on_assertion);
}

/// Returns `call`, or `MDB_CORRUPTED` when it was left in the middle. Only frames of LMDB lie between.
#define RETURN_GUARDED(call)                      \
    do {                                          \
        sigjmp_buf here;                          \
        if (sigsetjmp(here, 0) != 0) {            \
            escape = NULL;                        \
            return MDB_CORRUPTED;                 \
        }                                         \
        escape = &here;                           \
        int code = (call);                        \
        escape = NULL;                            \
        return code;                              \
    } while (0)

int shoal_lmdb_reserve_lock_file(const char *path, size_t bytes) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return errno == ENOSPC || errno == EDQUOT ? errno : 0;
    int code = 0;
#ifdef __linux__
    // Never longer than it is: its size tells LMDB the number of readers, also in other processes.
    struct stat status;
    if (fstat(file, &status) == 0 && status.st_size > 0) bytes = (size_t)status.st_size;
    if (fallocate(file, 0, 0, (off_t)bytes) != 0 && (errno == ENOSPC || errno == EDQUOT)) code = errno;
#endif
    close(file);
    return code;
}

int shoal_lmdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode) {
    RETURN_GUARDED(mdb_env_open(env, path, flags, mode));
}

int shoal_lmdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi) {
    RETURN_GUARDED(mdb_dbi_open(txn, name, flags, dbi));
}

int shoal_lmdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data) {
    RETURN_GUARDED(mdb_get(txn, dbi, key, data));
}

int shoal_lmdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags) {
    RETURN_GUARDED(mdb_put(txn, dbi, key, data, flags));
}

int shoal_lmdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data) {
    RETURN_GUARDED(mdb_del(txn, dbi, key, data));
}

int shoal_lmdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op operation) {
    RETURN_GUARDED(mdb_cursor_get(cursor, key, data, operation));
}

int shoal_lmdb_cursor_del(MDB_cursor *cursor, unsigned int flags) {
    RETURN_GUARDED(mdb_cursor_del(cursor, flags));
}

int shoal_lmdb_txn_commit(MDB_txn *txn, int *left) {
    *left = 1;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) {
        escape = NULL;
        return MDB_CORRUPTED;
    }
    escape = &here;
    int code = mdb_txn_commit(txn);
    escape = NULL;
    *left = 0;
    return code;
}

int shoal_is_mapped(const void *address) {
    unsigned char resident;
    return mincore((void *)address, 1, &resident) == 0;
}

void shoal_lmdb_reserve(MDB_env *env, size_t bytes) {
    mdb_filehandle_t file;
    if (mdb_env_get_fd(env, &file) != MDB_SUCCESS) return;
#ifdef __linux__
    (void)fallocate(file, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
#else
    (void)bytes;
#endif
}
