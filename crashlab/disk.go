package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const diskSize = 192 << 20 // bytes

// medium is what a disk is made of: it keeps what it was told to sync, and for the
// rest it is free to choose when the power goes.
type medium struct {
	mu   sync.Mutex
	rand *rand.Rand
	all  sectors
	off  bool // the power is cut

	syncs, writes int // that were asked for
	lost          int // sectors, of what was written
	failing       failing
	failedAt      time.Time // when the last fault was reported
}

// failing is which of the coming requests fails: what it was to write, or what was
// written and not synced before it, is gone, as after an error of a real disk. The
// next request succeeds again.
type failing struct {
	in    int               // how many requests from now, from 1 on; 0 for none
	write bool              // a write, or else a sync
	of    func([]byte) bool // which writes are meant; nil for all
}

func newMedium(seed uint64) *medium {
	return &medium{
		rand: rand.New(rand.NewPCG(seed, 2)),
		all:  sectors{seen: make([]byte, diskSize), kept: make([]byte, diskSize)},
	}
}

func (m *medium) read(into []byte, at int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return syscall.EIO
	}
	copy(into, m.all.seen[at:])
	return nil
}

func (m *medium) write(data []byte, at int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return syscall.EIO
	}
	m.writes++
	if m.failing.write && (m.failing.of == nil || m.failing.of(data)) && m.fails() {
		return syscall.EIO
	}
	m.all.write(data, at)
	return nil
}

func (m *medium) sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return syscall.EIO
	}
	m.syncs++
	if !m.failing.write && m.fails() {
		m.lost += m.all.settle(func() bool { return false })
		return syscall.EIO
	}
	m.all.sync()
	return nil
}

// fails counts a request, and reports whether it is the one.
func (m *medium) fails() bool {
	if m.failing.in == 0 {
		return false
	}
	m.failing.in--
	if m.failing.in > 0 {
		return false
	}
	m.failedAt = time.Now()
	return true
}

// cut is the power cut: nothing is answered any more, and of what was not synced
// some is there, some is not, and some is torn.
func (m *medium) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	m.lost += m.all.settle(whim(m.rand))
}

// whim is what a power cut does with what was not synced: a cache is lost as a
// whole, or nearly all was written just in time, or half of it, in any order.
func whim(r *rand.Rand) (keeps func() bool) {
	most := []int{0, 50, 90}[r.IntN(3)]
	return func() bool { return r.IntN(100) < most }
}

// fail arms a fault.
func (m *medium) fail(f failing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing, m.failedAt = f, time.Time{}
}

// struck tells when the fault was, or the zero time.
func (m *medium) struck() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failedAt
}

func (m *medium) power() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off, m.failing = false, failing{}
}

// platter is the medium as a file, which the kernel takes for a block device.
type platter struct {
	fs.Inode
	medium *medium
}

var (
	_ fs.NodeOpener    = (*platter)(nil)
	_ fs.NodeGetattrer = (*platter)(nil)
	_ fs.NodeReader    = (*platter)(nil)
	_ fs.NodeWriter    = (*platter)(nil)
	_ fs.NodeFsyncer   = (*platter)(nil)
)

// Open has every request come here, past the cache of the kernel.
func (p *platter) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (p *platter) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, diskSize
	return 0
}

func (p *platter) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	into = into[:min(int64(len(into)), max(0, diskSize-at))]
	if err := p.medium.read(into, at); err != nil {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(into), 0
}

func (p *platter) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	if at+int64(len(data)) > diskSize {
		return 0, syscall.ENOSPC
	}
	return uint32(len(data)), fs.ToErrno(p.medium.write(data, at))
}

func (p *platter) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return fs.ToErrno(p.medium.sync())
}

// disk is a file system, as a machine has, on a medium: ext4 on a block device on
// a file that is ours. It needs root, /dev/fuse and /dev/loop-control.
type disk struct {
	*Run
	*medium
	folder string // where it is mounted
	device string // the file
	on     bool
}

func (r *Run) newDisk() *disk {
	if os.Getuid() != 0 {
		r.Fatalf("a disk that forgets is a file system of our own below a block device: this needs root")
	}
	d := &disk{Run: r, medium: newMedium(r.Seed), folder: filepath.Join(r.TempDir(), "disk")}
	r.Must(os.Mkdir(d.folder, 0o700))
	below := r.TempDir()
	root := &fs.Inode{}
	server, err := fs.Mount(below, root, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20, Name: "crashlab", FsName: "crashlab"},
		OnAdd: func(ctx context.Context) {
			file := root.NewPersistentInode(ctx, &platter{medium: d.medium}, fs.StableAttr{Mode: syscall.S_IFREG})
			root.AddChild("platter", file, false)
		},
	})
	r.Must(err)
	d.device = filepath.Join(below, "platter")
	r.Cleanup(func() {
		// The block device lets go of its file a moment after it is unmounted.
		var err error
		for range 100 {
			if err = server.Unmount(); err == nil {
				return
			}
			<-time.After(50 * time.Millisecond)
		}
		r.Errorf("unmounting %s: %v", below, err)
	})
	r.Cleanup(d.unmount)
	r.Must(run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", d.device))
	d.mount()
	return d
}

func (d *disk) mount() {
	d.Must(run("mount", "-t", "ext4", "-o", "loop,noatime", d.device, d.folder))
	d.on = true
}

// unmount takes what a power cut left off the machine.
func (d *disk) unmount() {
	if !d.on {
		return
	}
	d.on = false
	deadline := time.Now().Add(patience)
	for {
		err := run("umount", d.folder)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			d.Fatalf("%v", err)
		}
		<-time.After(20 * time.Millisecond) // whoever was killed lets go in a moment
	}
}

// reboot cuts the power, if it is not cut, and comes up again. No process may use
// the disk any more.
func (d *disk) reboot() {
	d.unmount()
	d.power()
	d.mount()
}

// run runs a program of the system.
func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // names and paths of our own
	if err != nil {
		return errors.Join(fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err), errors.New(strings.TrimSpace(string(out))))
	}
	return nil
}
