// Package imports reads CSV files of users, of what they did and of who opted
// out, and has the store apply their rows as if each had come through the Track API.
//
// A file is stored before its import is acknowledged, in a folder or, where
// several nodes share a store, in that, so that the import is a durable job:
// [Runner] reads some hundred rows, has the store apply them, and the store writes
// in the same transaction how many bytes of the file have been read. Whoever goes
// on after a crash, on this node or another, begins at that byte, so that no row
// goes in twice and none is left out. A runner knows nothing that matters beside
// the files: two that run the same import find that one of them was faster.
//
// A file of the wrong kind is refused by its head, before anything is stored. A
// row that is wrong is refused with its line and a reason, and stops no other: a
// quote that is never closed spoils the line on which it opens, and reading goes
// on with the next one.
//
// Live traffic shares the store's one writer with imports. So there is one
// transaction of an import under way at a time, and it is short: the next portion
// is read and decided while the one before is written, and where rows take long a
// portion has fewer. The imports of a project come one after another, in the order
// in which they were started; those of several projects take turns.
package imports
