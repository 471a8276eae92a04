package stored

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
)

// Events, deliveries and attempts stand on one line of numbers, in the order
// in which they were stored: a number is the millisecond since 1970 of its
// making, shifted by [NumberBits], and a count within it. So rows are appended,
// a span of time is a span of numbers without an index, the deliveries that an
// event is accepted with follow right behind it, and every number fits into 53
// bits, which is what a JSON number holds, until the year 2109.
const NumberBits = 11

func FirstNumber(at time.Time) int64 { return at.UnixMilli() << NumberBits }

func NumberMilli(n int64) int64 { return n >> NumberBits }

func NumberTime(n int64) time.Time { return MilliTime(NumberMilli(n)) }

// NextNumber gives the number after last for something that is made at now. If
// the clock stood still, or went back, it counts on.
func NextNumber(last int64, now time.Time) int64 { return max(last+1, FirstNumber(now)) }

// MilliTime is the time that is stored as ms; the zero time is stored as 0.
func MilliTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func TimeMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// CeilMilli is the first millisecond that is not before t: times are compared
// with it that a list begins or ends at.
func CeilMilli(t time.Time) int64 { return t.Add(time.Millisecond - time.Nanosecond).UnixMilli() }

// IDs translates between the numbers of rows and their ids, which are not
// stored: an id is a ULID of the number's time, its count, and a tag that is made
// of both and the store's Salt. The tag keeps the ids of two stores apart, and
// what nobody was given names no row.
type IDs struct {
	Salt [16]byte
}

// What has ids of its numbers.
const (
	DeliveryPrefix = "dlv_"
	ProfilePrefix  = "prf_"
)

// A ULID's last ten bytes are the count in the first [NumberBits] bits and the
// tag in the others.
const countShift = 64 - NumberBits

func (d IDs) Delivery(number int64) telltale.DeliveryID {
	return telltale.DeliveryID(d.id(DeliveryPrefix, number))
}

func (d IDs) Profile(number int64) telltale.ProfileID {
	return telltale.ProfileID(d.id(ProfilePrefix, number))
}

func (d IDs) id(prefix string, number int64) string {
	u := d.ulid(number)
	var text [len(DeliveryPrefix) + ulid.EncodedSize]byte // the prefixes are of one length
	_ = u.MarshalTextTo(text[copy(text[:], prefix):])     // fails only for a wrong length
	return string(text[:])
}

func (d IDs) ulid(number int64) ulid.ULID {
	var salted [len(d.Salt) + 8]byte
	copy(salted[:], d.Salt[:])
	binary.BigEndian.PutUint64(salted[len(d.Salt):], uint64(number))
	tag := sha256.Sum256(salted[:])

	var u ulid.ULID
	_ = u.SetTime(uint64(NumberMilli(number))) // a number's time has 52 bits less its count
	copy(u[6:], tag[:])
	high := uint64(number) << countShift
	binary.BigEndian.PutUint64(u[6:], high|binary.BigEndian.Uint64(u[6:])>>NumberBits)
	return u
}

// OfDelivery gives the number of an id that this store gave out.
func (d IDs) OfDelivery(id telltale.DeliveryID) (int64, bool) {
	u, ok := ParseULID(DeliveryPrefix, string(id))
	if !ok {
		return 0, false
	}
	return d.Number(u)
}

// Number gives the number whose id has this ULID, if this store gave it out.
func (d IDs) Number(u ulid.ULID) (int64, bool) {
	if u.Time() >= 1<<(53-NumberBits) {
		return 0, false
	}
	count := binary.BigEndian.Uint64(u[6:]) >> countShift
	number := int64(u.Time())<<NumberBits | int64(count)
	return number, d.ulid(number) == u
}

func ParseULID(prefix, id string) (ulid.ULID, bool) {
	if len(id) != len(prefix)+ulid.EncodedSize || id[:len(prefix)] != prefix {
		return ulid.ULID{}, false
	}
	u, err := ulid.ParseStrict(id[len(prefix):])
	return u, err == nil && u.String() == id[len(prefix):]
}

const EventPrefix = "evt_"

func EventID(blob []byte) telltale.EventID {
	var text [len(EventPrefix) + ulid.EncodedSize]byte
	copy(text[:], EventPrefix)
	var u ulid.ULID
	copy(u[:], blob)
	_ = u.MarshalTextTo(text[len(EventPrefix):]) // fails only for a wrong length
	return telltale.EventID(text[:])
}
