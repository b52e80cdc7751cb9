#ifndef CLMDB_H
#define CLMDB_H
/// The system's liblmdb, seen from Swift.
#include <lmdb.h>
#endif
