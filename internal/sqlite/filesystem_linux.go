package sqlite

import "golang.org/x/sys/unix"

// networkReason names the network file system that the folder is on, or "".
// SQLite needs shared memory and locks that hold between processes of one
// machine, and a sync that reaches the disk (sqlite.org/wal.html); a network
// file system may promise all three and keep none. The numbers are from
// statfs(2).
func networkReason(folder string) string {
	var stat unix.Statfs_t
	if unix.Statfs(folder, &stat) != nil {
		return ""
	}
	return networkNames[uint32(stat.Type)]
}

var networkNames = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x01021997: "9P",
	0x65735546: "FUSE",
	0x00c36400: "Ceph",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x47504653: "GPFS",
	0x0bd00bd0: "Lustre",
	0x7461636f: "OCFS2",
	0x01161970: "GFS2",
	0x013111a8: "IBRIX",
	0xaad7aaea: "PanFS",
	0xbacbacbc: "VMware's shared folders",
	0x786f4256: "VirtualBox's shared folders",
}
