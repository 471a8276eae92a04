package main

import (
	"os"
	"testing"
	"time"
)

func TestParseProcessCPUReadsPastTheName(t *testing.T) {
	got, err := parseProcessCPU([]byte("42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 12345 1000 200\n"))
	if want := 2 * time.Second; err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := parseProcessCPU([]byte("42 (a) S 1\n")); err == nil {
		t.Error("a line that is too short passed")
	}
}

func TestParseMachineCPULeavesIdleAndInterruptsOut(t *testing.T) {
	//                                       user nice sys idle iowait irq softirq steal
	got, err := parseMachineCPU([]byte("cpu  100  10  50  9999 999    7   8      40 0 0\ncpu0 1 2 3\n"))
	if want := 2 * time.Second; err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := parseMachineCPU([]byte("intr 1 2 3\n")); err == nil {
		t.Error("another file passed")
	}
}

func TestProcessMemoryOfThisProcess(t *testing.T) {
	m, err := processMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.Resident < 1 || m.Peak < m.Resident || m.Share <= 0 || m.Share > m.Peak {
		t.Errorf("%+v: the peak is at least what is resident, which is more than 1 MiB", m)
	}
}

func TestParseMountsFindsTheNearest(t *testing.T) {
	const mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n"
	for dir, want := range map[string]string{"/home": "ext4", "/tmp": "tmpfs", "/tmp/x": "tmpfs", "/tmpx": "ext4", "/tmp/disk/y": "xfs"} {
		if got := parseMounts(mounts, dir); got != want {
			t.Errorf("%s is on %s; want %s", dir, got, want)
		}
	}
}
