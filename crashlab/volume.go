package main

import (
	"io"
	"math/rand/v2"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// volume is files as SQLite sees them, which forget at a power cut. It is a VFS:
// what SQLite asks for comes here, past the operating system.
type volume struct {
	mu      sync.Mutex
	rand    *rand.Rand
	files   map[string]*volumeFile
	deleted map[string]*volumeFile // and the folder is not synced
	left    int                    // how many changes until the power is cut; below 0: it is
	shared  string                 // path of what SQLite's connections share
}

// volumeFile is a file on a volume. Connections that have it open hold its locks.
type volumeFile struct {
	sectors
	durable bool // its name is: it was synced once

	readers         int
	reserved, whole *opened // who will write, who keeps all others out
}

// opened is a file that a connection has open.
type opened struct {
	*volumeFile
	volume *volume
	level  vfs.LockLevel
	fresh  bool // its first sync syncs the folder too, as SQLite does it on Unix
	memory vfs.SharedMemory
}

var (
	_ vfs.VFS              = (*volume)(nil)
	_ vfs.FileSharedMemory = (*opened)(nil)
)

func newVolume(r *rand.Rand) *volume {
	return &volume{rand: r, files: map[string]*volumeFile{}, deleted: map[string]*volumeFile{}}
}

// arm has the power cut after so many changes.
func (v *volume) arm(changes int, shared string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.left, v.shared = changes, shared
}

// on counts a change, and reports whether there still is power for it.
func (v *volume) on() bool {
	v.left--
	return v.left >= 0
}

// settle makes of the volume what is found after the power cut.
func (v *volume) settle() (lost int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	keeps := whim(v.rand)
	for name, f := range v.deleted {
		if v.files[name] == nil && keeps() {
			v.files[name] = f
		}
	}
	clear(v.deleted)
	for name, f := range v.files {
		if !f.durable && !keeps() {
			delete(v.files, name)
			continue
		}
		lost += f.settle(keeps)
		f.readers, f.reserved, f.whole = 0, nil, nil
	}
	return lost
}

func (v *volume) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[name]
	if f == nil {
		if flags&vfs.OPEN_CREATE == 0 || !v.on() {
			return nil, flags, sqlite3.CANTOPEN
		}
		f = &volumeFile{}
		v.files[name] = f
		delete(v.deleted, name)
	}
	const journals = vfs.OPEN_WAL | vfs.OPEN_MAIN_JOURNAL | vfs.OPEN_SUPER_JOURNAL
	o := &opened{volumeFile: f, volume: v, fresh: flags&journals != 0 && flags&vfs.OPEN_CREATE != 0}
	if flags&vfs.OPEN_MAIN_DB != 0 {
		o.memory = vfs.NewSharedMemory(v.shared, flags)
	}
	return o, flags, nil
}

func (v *volume) Delete(name string, syncFolder bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[name]
	switch {
	case f == nil:
		return sqlite3.IOERR_DELETE_NOENT
	case !v.on():
		return sqlite3.IOERR_DELETE
	}
	delete(v.files, name)
	if f.durable {
		v.deleted[name] = f
	}
	if syncFolder {
		v.syncFolder()
	}
	return nil
}

// syncFolder keeps the names that there are, and no others.
func (v *volume) syncFolder() {
	clear(v.deleted)
	for _, f := range v.files {
		f.durable = true
	}
}

func (v *volume) Access(name string, _ vfs.AccessFlag) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.files[name] != nil, nil
}

func (v *volume) FullPathname(name string) (string, error) { return name, nil }

func (o *opened) Close() error {
	if o.memory != nil {
		if err := o.memory.Close(); err != nil {
			return err
		}
	}
	return o.Unlock(vfs.LOCK_NONE)
}

func (o *opened) ReadAt(into []byte, at int64) (int, error) {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	if at >= int64(len(o.seen)) {
		return 0, io.EOF
	}
	n := copy(into, o.seen[at:])
	if n < len(into) {
		return n, io.EOF
	}
	return n, nil
}

func (o *opened) WriteAt(data []byte, at int64) (int, error) {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	if !o.volume.on() {
		return 0, sqlite3.IOERR_WRITE
	}
	o.write(data, at)
	return len(data), nil
}

func (o *opened) Truncate(size int64) error {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	if !o.volume.on() {
		return sqlite3.IOERR_TRUNCATE
	}
	o.truncate(size)
	return nil
}

func (o *opened) Sync(vfs.SyncFlag) error {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	if !o.volume.on() {
		return sqlite3.IOERR_FSYNC
	}
	o.sync()
	o.durable = true
	if o.fresh {
		o.fresh = false
		o.volume.syncFolder()
	}
	return nil
}

func (o *opened) Size() (int64, error) {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	return int64(len(o.seen)), nil
}

// Lock takes a lock as sqlite.org/lockingv3.html has them.
func (o *opened) Lock(level vfs.LockLevel) error {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	if o.level >= level {
		return nil
	}
	others := o.readers
	if o.level >= vfs.LOCK_SHARED {
		others--
	}
	switch {
	case o.whole != nil && o.whole != o,
		level >= vfs.LOCK_RESERVED && o.reserved != nil && o.reserved != o,
		level == vfs.LOCK_EXCLUSIVE && others > 0:
		return sqlite3.BUSY
	}
	if o.level == vfs.LOCK_NONE {
		o.readers++
	}
	if level >= vfs.LOCK_RESERVED {
		o.reserved = o
	}
	if level == vfs.LOCK_EXCLUSIVE {
		o.whole = o
	}
	o.level = level
	return nil
}

func (o *opened) Unlock(level vfs.LockLevel) error {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	if o.level <= level {
		return nil
	}
	if o.whole == o {
		o.whole = nil
	}
	if o.reserved == o {
		o.reserved = nil
	}
	if level == vfs.LOCK_NONE {
		o.readers--
	}
	o.level = level
	return nil
}

func (o *opened) CheckReservedLock() (bool, error) {
	o.volume.mu.Lock()
	defer o.volume.mu.Unlock()
	return o.reserved != nil, nil
}

// SectorSize and DeviceCharacteristics are what SQLite assumes of a disk of Linux.
func (o *opened) SectorSize() int { return 4096 }

func (o *opened) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE
}

func (o *opened) SharedMemory() vfs.SharedMemory { return o.memory }
