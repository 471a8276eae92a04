package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine says where the figures come from.
type machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memory_gib"`
	Kernel    string  `json:"kernel"`
	Go        string  `json:"go"`
	Disk      string  `json:"disk"`    // the file system of the database
	SyncMS    float64 `json:"sync_ms"` // median time of appending 4 KiB and syncing, in milliseconds
	Date      string  `json:"date"`
}

// describeMachine looks at the machine, and at the folder where databases will be.
func describeMachine(dir string) (m machine, err error) {
	m = machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly)}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = "unknown"
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		mib, err := parseKiB(info, "MemTotal")
		if err != nil {
			return m, err
		}
		m.MemoryGiB = mib / 1024
	}
	if m.Disk, err = fileSystem(dir); err != nil {
		return m, err
	}
	if m.Disk == "tmpfs" || m.Disk == "ramfs" {
		return m, fmt.Errorf("%s is on a %s, where a sync costs nothing: name a folder on a disk with --dir", dir, m.Disk)
	}
	m.SyncMS, err = syncTime(dir)
	return m, err
}

// fileSystem is the type of the file system that a folder is on.
func fileSystem(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	return parseMounts(string(mounts), dir), nil
}

// parseMounts finds the mount that is nearest to a folder: the last of those
// with the longest mount point.
func parseMounts(mounts, dir string) string {
	kind, longest := "unknown", 0
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := fields[1]
		within := point == "/" || dir == point || strings.HasPrefix(dir, point+"/")
		if within && len(point) >= longest {
			kind, longest = fields[2], len(point)
		}
	}
	return kind
}

// syncTime appends and syncs a few times and gives the median.
func syncTime(dir string) (ms float64, err error) {
	f, err := os.CreateTemp(dir, "sync-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var times []float64
	block := make([]byte, 4096)
	for range 200 {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, milliseconds(time.Since(start)))
	}
	return percentile(times, 50), nil
}
