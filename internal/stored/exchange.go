package stored

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"telltale.example/telltale"
)

// The column exchange holds how an attempt went over the wire: where the time
// went, the address, and the heads of request and response. It begins with the
// version of its form. Numbers are varints; texts have their length before
// them; the name of a header is a place in [headerNames], or 0 and a text.
const exchangeVersion = 1

var errExchange = errors.New("the exchange of an attempt cannot be read")

// headerNames are stored as their place, counted from 1. Names are only ever
// added, at the end.
var headerNames = []string{
	"Content-Type", "Content-Length", "User-Agent", "Accept-Encoding", "Host", "Authorization", "Date", "Server",
	"Connection", "Keep-Alive", "Cache-Control", "Etag", "Vary", "Location", "Retry-After", "Set-Cookie",
	"Transfer-Encoding", "Content-Encoding", "Strict-Transport-Security", "X-Request-Id", "X-Content-Type-Options", "X-Frame-Options", "X-Powered-By", "Via",
	"X-Cache", "Cf-Ray", "Cf-Cache-Status", "Alt-Svc", "Report-To", "Nel", "Access-Control-Allow-Origin", "Content-Security-Policy",
	"Referrer-Policy", "Expires", "Pragma", "Last-Modified", "X-Xss-Protection", "X-Runtime", "Accept", "X-Signature",
	"webhook-id", "webhook-timestamp", "webhook-signature", "telltale-event", "telltale-delivery", "telltale-attempt", "telltale-test",
	"telltale-source", "telltale-occurred-at", "telltale-url", "telltale-ip", "telltale-machine",
}

var headerPlaces = func() map[string]uint64 {
	places := make(map[string]uint64, len(headerNames))
	for i, name := range headerNames {
		places[name] = uint64(i + 1)
	}
	return places
}()

// EncodeExchange gives nil for an attempt that never came to an exchange.
func EncodeExchange(a *telltale.Attempt) []byte {
	if a.Timing == (telltale.Timing{}) && a.RetryAfter == 0 && a.RemoteAddr == "" && a.Request.Method == "" && a.Request.URL == "" &&
		len(a.Request.Headers) == 0 && len(a.Response.Headers) == 0 && !a.Response.Truncated {
		return nil
	}
	b := append(make([]byte, 0, 512), exchangeVersion)
	for _, d := range [...]time.Duration{a.Timing.DNS, a.Timing.Connect, a.Timing.TLS, a.Timing.FirstByte, a.RetryAfter} {
		b = binary.AppendVarint(b, max(d, 0).Microseconds())
	}
	truncated := byte(0)
	if a.Response.Truncated {
		truncated = 1
	}
	b = append(b, truncated)
	b = appendText(b, a.RemoteAddr)
	b = appendText(b, a.Request.Method)
	b = appendText(b, a.Request.URL)
	b = appendHeaders(b, a.Request.Headers)
	return appendHeaders(b, a.Response.Headers)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendHeaders(b []byte, headers []telltale.Header) []byte {
	b = binary.AppendUvarint(b, uint64(len(headers)))
	for _, h := range headers {
		place := headerPlaces[h.Name]
		b = binary.AppendUvarint(b, place)
		if place == 0 {
			b = appendText(b, h.Name)
		}
		b = appendText(b, h.Value)
	}
	return b
}

// DecodeExchange fills in what EncodeExchange took. Bytes that it did not make
// are an error, however they came to be.
func DecodeExchange(b []byte, a *telltale.Attempt) error {
	if len(b) == 0 {
		return nil
	}
	if b[0] != exchangeVersion {
		return errExchange
	}
	d := exchangeDecoder{rest: b[1:]}
	for _, to := range [...]*time.Duration{&a.Timing.DNS, &a.Timing.Connect, &a.Timing.TLS, &a.Timing.FirstByte, &a.RetryAfter} {
		*to = d.duration()
	}
	a.Response.Truncated = d.take(1) == "\x01"
	a.RemoteAddr, a.Request.Method, a.Request.URL = d.text(), d.text(), d.text()
	a.Request.Headers = d.headers()
	a.Response.Headers = d.headers()
	if d.broken || len(d.rest) > 0 {
		return errExchange
	}
	return nil
}

// EncodeHeaders stores headers by themselves, as an exchange has them.
func EncodeHeaders(headers []telltale.Header) []byte { return appendHeaders(nil, headers) }

// DecodeHeaders reads what EncodeHeaders made.
func DecodeHeaders(b []byte) ([]telltale.Header, error) {
	d := exchangeDecoder{rest: b}
	headers := d.headers()
	if d.broken || len(d.rest) > 0 {
		return nil, errors.New("headers cannot be read")
	}
	return headers, nil
}

type exchangeDecoder struct {
	rest   []byte
	broken bool
}

func (d *exchangeDecoder) take(n uint64) string {
	if d.broken || n > uint64(len(d.rest)) {
		d.broken = true
		return ""
	}
	taken := string(d.rest[:n])
	d.rest = d.rest[n:]
	return taken
}

func (d *exchangeDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.broken = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *exchangeDecoder) duration() time.Duration {
	v, n := binary.Varint(d.rest)
	if n <= 0 || v < 0 || v > math.MaxInt64/int64(time.Microsecond) {
		d.broken = true
		return 0
	}
	d.rest = d.rest[n:]
	return time.Duration(v) * time.Microsecond
}

func (d *exchangeDecoder) text() string { return d.take(d.uvarint()) }

func (d *exchangeDecoder) headers() []telltale.Header {
	n := d.uvarint()
	if d.broken || n > uint64(len(d.rest)) { // each takes at least two bytes
		d.broken = true
		return nil
	}
	var headers []telltale.Header
	for range n {
		place := d.uvarint()
		var name string
		switch {
		case place == 0:
			name = d.text()
		case place > uint64(len(headerNames)):
			d.broken = true
		default:
			name = headerNames[place-1]
		}
		headers = append(headers, telltale.Header{Name: name, Value: d.text()})
		if d.broken {
			return nil
		}
	}
	return slices.Clip(headers)
}
