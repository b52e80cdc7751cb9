#ifndef CLMDB_H
#define CLMDB_H
/// The system's liblmdb, seen from Swift: its functions, and guarded forms of those that walk through pages.
///
/// LMDB trusts its pages. On damaged ones it follows an offset out of its map, or fails an assertion, and both end the
/// process. The guarded forms return `MDB_CORRUPTED` instead, also when the disk cannot read a page (SIGBUS). They leave
/// LMDB in the middle of what it did: after a read that is all that a read transaction needs, a write transaction can only
/// be aborted, and a commit that was left keeps the environment's write lock.
#include <lmdb.h>

/// Makes the guards effective: the assertion hook of an environment, and once per process the handlers of SIGSEGV and
/// SIGBUS, which pass on what no guarded call caused.
void shoal_lmdb_guard(MDB_env *env);

/// Takes the first `bytes` of a lock file from the disk, and makes the file if need be: LMDB writes to it through a map, and
/// where the disk is full that is a SIGBUS. The file must not be in use by this process.
///
/// Returns 0, or `ENOSPC` or `EDQUOT`; whatever else is wrong is for LMDB to say.
int shoal_lmdb_reserve_lock_file(const char *path, size_t bytes);

int shoal_lmdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode);
int shoal_lmdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi);
int shoal_lmdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int shoal_lmdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);
int shoal_lmdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int shoal_lmdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op operation);
int shoal_lmdb_cursor_del(MDB_cursor *cursor, unsigned int flags);
int shoal_lmdb_txn_commit(MDB_txn *txn, int *left);

/// Takes the first `bytes` of the environment's file from the disk ahead of their use, as far as it has them; the file's size
/// stays. So a full disk does not stop commits until the file is longer.
void shoal_lmdb_reserve(MDB_env *env, size_t bytes);

/// Whether memory is mapped at `address`, which is the start of a page. It is not touched.
int shoal_is_mapped(const void *address);
#endif
