package sqlite

import "golang.org/x/sys/unix"

// networkReason names the network file system that the folder is on, or "".
func networkReason(folder string) string {
	var stat unix.Statfs_t
	if unix.Statfs(folder, &stat) != nil || stat.Flags&unix.MNT_LOCAL != 0 {
		return ""
	}
	return unix.ByteSliceToString(stat.Fstypename[:])
}
