package main

// sectorSize is in bytes. A disk writes a sector whole or not at all.
const sectorSize = 512

// sectors are bytes on a disk that forgets: what is written is seen at once, and
// kept from the next sync on.
type sectors struct {
	seen, kept []byte
	loose      map[int64]struct{} // sectors that were written, or cut off, since
}

func (s *sectors) write(data []byte, at int64) {
	if end := at + int64(len(data)); end > int64(len(s.seen)) {
		s.seen = append(s.seen, make([]byte, end-int64(len(s.seen)))...)
	}
	copy(s.seen[at:], data)
	s.loosen(at, at+int64(len(data)))
}

// truncate cuts off what is behind size.
func (s *sectors) truncate(size int64) {
	if size < int64(len(s.seen)) {
		s.loosen(size, int64(len(s.seen)))
		s.seen = s.seen[:size:size]
	}
}

func (s *sectors) loosen(from, to int64) {
	if s.loose == nil {
		s.loose = map[int64]struct{}{}
	}
	for sector := from / sectorSize; sector*sectorSize < to; sector++ {
		s.loose[sector] = struct{}{}
	}
}

// sync keeps what is seen.
func (s *sectors) sync() { s.settle(func() bool { return true }) }

// settle ends all freedom: each sector that was not synced, and the size, is as it
// was written or as it was before. It tells how many are as before.
func (s *sectors) settle(keeps func() bool) (lost int) {
	size, written := len(s.kept), int64(len(s.seen))
	if len(s.seen) != size && keeps() {
		size = len(s.seen)
	}
	s.seen, s.kept = resize(s.seen, size), resize(s.kept, size)
	for sector := range s.loose {
		at := sector * sectorSize
		end := min(at+sectorSize, int64(size))
		switch {
		case at >= int64(size):
		case at < written && keeps():
			copy(s.kept[at:end], s.seen[at:end])
		default:
			copy(s.seen[at:end], s.kept[at:end])
			lost++
		}
	}
	clear(s.loose)
	return lost
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
