package httpserver

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

const (
	// firstRead bounds what is set aside for a body before its bytes are here:
	// a length that is only declared costs its caller nothing.
	firstRead = 32 << 10
	// firstChunk is the same for a body that declares no length.
	firstChunk = 4 << 10
)

// uncompressed gives UnsupportedMedia for a body with a Content-Encoding.
func uncompressed(r *http.Request) error {
	for _, coding := range r.Header["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return telltale.Errorf(telltale.UnsupportedMedia, "The body has the Content-Encoding %q. Send it uncompressed.", telltale.CutValue(coding))
		}
	}
	return nil
}

// StreamBody gives the body of r, at most limit bytes, to a handler that passes
// it on as it comes. So it counts for no memory, and may take as long as it likes
// while bytes keep coming: each part of it has the time that other bodies have as
// a whole, and then there is as much time again for the answer. Its errors, of
// reading too, are those of [ReadBody].
func StreamBody(w http.ResponseWriter, r *http.Request, limit int64) (io.Reader, error) {
	if err := uncompressed(r); err != nil {
		return nil, err
	}
	if r.Body == nil {
		return strings.NewReader(""), nil
	}
	if r.ContentLength > limit {
		return nil, tooLargeError(limit)
	}
	if b, ok := r.Body.(*countedBody); ok {
		b.streamed = true
	}
	return &streamedBody{body: r.Body, out: http.NewResponseController(w), left: limit, limit: limit}, nil
}

// streamedBody is a body that has more time with every part that comes.
type streamedBody struct {
	body        io.Reader
	out         *http.ResponseController
	left, limit int64
}

func (s *streamedBody) Read(p []byte) (int, error) {
	now := time.Now()
	for _, err := range []error{s.out.SetReadDeadline(now.Add(readTimeout)), s.out.SetWriteDeadline(now.Add(writeTimeout))} {
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, readError(err)
		}
	}
	n, err := s.body.Read(p[:min(int64(len(p)), s.left+1)])
	if s.left -= int64(n); s.left < 0 {
		return 0, tooLargeError(s.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = readError(err)
	}
	return n, err
}

// ReadBody reads the whole body of r, at most limit bytes. It gives TooLarge
// past the limit, UnsupportedMedia for a body with a Content-Encoding,
// Malformed for one that breaks off, and Unavailable when there are too many
// bodies in memory; a body that does not arrive in time is answered 408.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if err := uncompressed(r); err != nil {
		return nil, err
	}
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLargeError(limit)
	}

	size := int64(firstChunk)
	if r.ContentLength >= 0 {
		size = min(r.ContentLength+1, firstRead) // one more, to see the end
	}
	body := make([]byte, 0, min(size, limit+1))
	for {
		if len(body) == cap(body) {
			body = grow(body, r.ContentLength, limit)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if int64(len(body)) > limit {
			return nil, tooLargeError(limit)
		}
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, readError(err)
		}
	}
}

// grow doubles the room for a body, up to its declared length, else to one
// byte past the limit, which is enough to see that the limit was passed.
func grow(body []byte, declared, limit int64) []byte {
	room := min(max(2*int64(cap(body)), firstChunk), limit+1)
	if declared > int64(len(body)) {
		room = min(room, declared+1)
	}
	grown := make([]byte, len(body), room)
	copy(grown, body)
	return grown
}

func readError(err error) error {
	var timeout net.Error
	var e *telltale.Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return &telltale.Error{Code: requestTimeout, Message: "The body did not arrive within " + readTimeout.String() + ".", Cause: err}
	case errors.As(err, new(*http.MaxBytesError)):
		return err
	}
	return &telltale.Error{Code: telltale.Malformed, Message: "The body breaks off before its end.", Cause: err}
}

// bodyMemory counts the bytes of all bodies that handlers have read and may
// still hold.
type bodyMemory struct {
	held  atomic.Int64
	limit int64
}

// overload is how long a caller should wait when there is no memory for its body.
const overload = time.Second

var errOverload = &telltale.Error{
	Code: telltale.Unavailable, RetryAfter: overload,
	Message: "The server is reading as many request bodies as it has memory for. Send the request again.",
}

func (m *bodyMemory) full() bool { return m.held.Load() >= m.limit }

// count makes the body of r one that counts; nil if r has none.
func (m *bodyMemory) count(r *http.Request) *countedBody {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	b := &countedBody{ReadCloser: r.Body, memory: m}
	r.Body = b
	return b
}

// countedBody is a body whose bytes count until the request ends, since the
// handler that read them holds them that long.
type countedBody struct {
	io.ReadCloser
	memory   *bodyMemory
	held     int64
	begun    bool // something of it was read
	ended    bool // there is nothing more to read
	streamed bool // nobody holds it
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.begun, b.ended = true, b.ended || err != nil
	if b.streamed {
		return n, err
	}
	b.held += int64(n)
	if b.memory.held.Add(int64(n)) > b.memory.limit && n > 0 {
		return n, errOverload
	}
	return n, err
}

// release gives back what b holds. What is read of it after does not count.
func (b *countedBody) release() {
	if b != nil {
		b.memory.held.Add(-b.held)
	}
}

// maxDrain is how much of a refused body is read and thrown away, in bytes:
// enough for bodies that are somewhat too large.
const maxDrain = 8 << 20

// drain reads what the handler left, within the time that there is for any
// body. Many callers send all of a body before they read the answer; if the
// connection were closed on them, they would see a reset and never the reason.
// net/http does the same, but for 256 KiB only, and not where the connection
// is to be closed anyway. A caller that waits for a 100 has sent nothing, and
// need not.
func (b *countedBody) drain(w http.ResponseWriter, r *http.Request) {
	if b == nil || b.ended || !b.begun && r.Header.Get("Expect") != "" {
		return
	}
	// Those who do read meanwhile can stop sending.
	_ = http.NewResponseController(w).Flush()
	if _, err := io.CopyN(io.Discard, b.ReadCloser, maxDrain); err == nil {
		// There is more. Closed early, net/http leaves the answer a moment to
		// arrive before it cuts the connection.
		_ = b.ReadCloser.Close()
	}
}
