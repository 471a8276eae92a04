package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times under /proc: USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// processCPU is the CPU time, user and system, that a running process has taken.
func processCPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcessCPU(stat)
}

// parseProcessCPU reads /proc/pid/stat, in which the name of the program stands
// in parentheses and may hold anything; see proc(5).
func parseProcessCPU(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return sumTicks(fields, 14, 15)
}

// parseChildrenCPU reads there what children took that have ended.
func parseChildrenCPU(stat []byte) (time.Duration, error) {
	return sumTicks(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])), 16, 17)
}

// sumTicks adds up two fields of the line, counted from 1; the third is the first
// here.
func sumTicks(fields []string, a, b int) (time.Duration, error) {
	if len(fields) <= b-3 {
		return 0, fmt.Errorf("/proc/pid/stat has too few fields: %q", fields)
	}
	var sum int64
	for _, at := range []int{a, b} {
		n, err := strconv.ParseInt(fields[at-3], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// machineCPU is the CPU time that everything on the machine has taken, and what
// the hypervisor gave to others. Interrupts are left out: they are mostly the
// network traffic that is measured.
func machineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachineCPU(stat)
}

func parseMachineCPU(stat []byte) (time.Duration, error) {
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 8} { // user, nice, system, steal
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// memory is how much memory a process has, in MiB.
type memory struct {
	Peak     float64 `json:"peak"`     // the most that was resident since its start
	Resident float64 `json:"resident"` // now
	Share    float64 `json:"share"`    // resident, with shared pages split among those that share them (PSS)
}

func processMemory(pid int) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	for _, v := range []struct {
		text []byte
		name string
		to   *float64
	}{{status, "VmHWM", &m.Peak}, {status, "VmRSS", &m.Resident}, {rollup, "Pss", &m.Share}} {
		if *v.to, err = parseKiB(v.text, v.name); err != nil {
			return m, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return m, nil
}

// parseKiB reads a line such as "VmRSS:  1234 kB" and gives MiB.
func parseKiB(text []byte, name string) (float64, error) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name+":" && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return float64(n) / 1024, err
		}
	}
	return 0, fmt.Errorf("there is no line %q", name)
}
