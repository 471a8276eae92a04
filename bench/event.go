package main

import (
	"bytes"
	"hash/fnv"
	"strconv"
	"time"
)

// eventType is the type of every event that is posted.
const eventType = "opened"

// sentKey carries the time at which an event was posted, in Unix nanoseconds.
// It is none of the documented keys, so the server passes it through and the
// receiver can tell how long the event took.
const sentKey = `"bench_sent_ns":`

// appendEvent appends one event of about 700 bytes, always the same number:
// the keys stand in the documented order, so that what the server sends is byte
// for byte what it was given, and what the yardstick sends. number tells users
// apart.
func appendEvent(dst []byte, number int64, sent time.Time) []byte {
	const firstUser = 100_000_000 // nine digits, however many events
	user := firstUser + number%(9*firstUser)
	dst = append(dst, `{"opened_at":1764000000,"user_agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148","type":"opened","user":{"id":`...)
	dst = strconv.AppendInt(dst, user, 10)
	dst = append(dst, `,"email":"user`...)
	dst = strconv.AppendInt(dst, user, 10)
	dst = append(dst, `@example.com"},"campaign":{"id":987,"type":"transactional","name":"Order confirmation","group":"Order confirmation - Email 6","channel":"email","subject":"Your order is being processed!","trigger-event":"purchased item","permalink":"https://app.example.com/view/1/341d64944577ac1f70f560e37db54a25","sent_to":"user`...)
	dst = strconv.AppendInt(dst, user, 10)
	dst = append(dst, `@example.com","variation":"Variation A","locale":"en-US"},"message_id":"20251124160000.1.1B72E094173067F0F@example.com",`...)
	dst = append(dst, sentKey...)
	dst = strconv.AppendInt(dst, sent.UnixNano(), 10)
	return append(dst, '}')
}

// appendBatch appends a request's body: one event as it is, several as an array.
func appendBatch(dst []byte, first int64, size int, sent time.Time) []byte {
	if size == 1 {
		return appendEvent(dst, first, sent)
	}
	for i := range size {
		if i == 0 {
			dst = append(dst, '[')
		} else {
			dst = append(dst, ',')
		}
		dst = appendEvent(dst, first+int64(i), sent)
	}
	return append(dst, ']')
}

// sentAt reads the time at which the event in body was posted.
func sentAt(body []byte) (time.Time, bool) {
	at := bytes.LastIndex(body, []byte(sentKey))
	if at < 0 {
		return time.Time{}, false
	}
	digits := body[at+len(sentKey):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	ns, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	return time.Unix(0, ns), err == nil
}

// hashID stands for an event's id where ids are counted and compared: 8 bytes
// in place of 30.
func hashID(id []byte) uint64 {
	h := fnv.New64a()
	h.Write(id)
	// FNV's last bytes are mixed poorly, and sums of hashes are compared.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
