package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/oklog/ulid/v2"

	"telltale.example/telltale"
)

// Events, deliveries and attempts stand on one line of numbers, in the order
// in which they were stored: a number is the millisecond since 1970 of its
// making, shifted by [numberBits], and a count within it. So rows are appended,
// a span of time is a span of numbers without an index, the deliveries that an
// event is accepted with follow right behind it, and every number fits into 53
// bits, which is what a JSON number holds, until the year 2109.
const numberBits = 11

func firstNumber(at time.Time) int64 { return at.UnixMilli() << numberBits }

func numberMilli(n int64) int64 { return n >> numberBits }

func numberTime(n int64) time.Time { return milliTime(numberMilli(n)) }

// nextNumber gives the number after last for something that is made at now. If
// the clock stood still, or went back, it counts on.
func nextNumber(last int64, now time.Time) int64 { return max(last+1, firstNumber(now)) }

func nowMilli() int64 { return time.Now().UnixMilli() }

// milliTime is the time that is stored as ms; the zero time is stored as 0.
func milliTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func timeMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// numberIDs translates between the numbers of rows and their ids, which are not
// stored: an id is a ULID of the number's time, its count, and a tag that is made
// of both and the store's salt. The tag keeps the ids of two stores apart, and
// what nobody was given names no row.
type numberIDs struct {
	salt [16]byte
}

// What has ids of its numbers.
const (
	deliveryPrefix = "dlv_"
	profilePrefix  = "prf_"
)

// A ULID's last ten bytes are the count in the first [numberBits] bits and the
// tag in the others.
const countShift = 64 - numberBits

func (d numberIDs) delivery(number int64) telltale.DeliveryID {
	return telltale.DeliveryID(d.id(deliveryPrefix, number))
}

func (d numberIDs) profile(number int64) telltale.ProfileID {
	return telltale.ProfileID(d.id(profilePrefix, number))
}

func (d numberIDs) id(prefix string, number int64) string {
	u := d.ulid(number)
	var text [len(deliveryPrefix) + ulid.EncodedSize]byte // the prefixes are of one length
	_ = u.MarshalTextTo(text[copy(text[:], prefix):])     // fails only for a wrong length
	return string(text[:])
}

func (d numberIDs) ulid(number int64) ulid.ULID {
	var salted [len(d.salt) + 8]byte
	copy(salted[:], d.salt[:])
	binary.BigEndian.PutUint64(salted[len(d.salt):], uint64(number))
	tag := sha256.Sum256(salted[:])

	var u ulid.ULID
	_ = u.SetTime(uint64(numberMilli(number))) // a number's time has 52 bits less its count
	copy(u[6:], tag[:])
	high := uint64(number) << countShift
	binary.BigEndian.PutUint64(u[6:], high|binary.BigEndian.Uint64(u[6:])>>numberBits)
	return u
}

// ofDelivery gives the number of an id that this store gave out.
func (d numberIDs) ofDelivery(id telltale.DeliveryID) (int64, bool) {
	u, ok := parseULID(deliveryPrefix, string(id))
	if !ok {
		return 0, false
	}
	return d.number(u)
}

// number gives the number whose id has this ULID, if this store gave it out.
func (d numberIDs) number(u ulid.ULID) (int64, bool) {
	if u.Time() >= 1<<(53-numberBits) {
		return 0, false
	}
	count := binary.BigEndian.Uint64(u[6:]) >> countShift
	number := int64(u.Time())<<numberBits | int64(count)
	return number, d.ulid(number) == u
}

func parseULID(prefix, id string) (ulid.ULID, bool) {
	if len(id) != len(prefix)+ulid.EncodedSize || id[:len(prefix)] != prefix {
		return ulid.ULID{}, false
	}
	u, err := ulid.ParseStrict(id[len(prefix):])
	return u, err == nil && u.String() == id[len(prefix):]
}

const eventPrefix = "evt_"

func eventID(blob []byte) telltale.EventID {
	var text [len(eventPrefix) + ulid.EncodedSize]byte
	copy(text[:], eventPrefix)
	var u ulid.ULID
	copy(u[:], blob)
	_ = u.MarshalTextTo(text[len(eventPrefix):]) // fails only for a wrong length
	return telltale.EventID(text[:])
}
