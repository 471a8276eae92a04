package send

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale/signature"
)

// sink answers every request with 204 as cheaply as can be.
func sink(b *testing.B) (url string) {
	return listenBadly(b, func(c net.Conn) {
		buf := make([]byte, 8<<10)
		held := 0
		for {
			n, err := c.Read(buf[held:])
			if err != nil {
				return
			}
			held += n
			end := bytes.Index(buf[:held], []byte("\r\n\r\n"))
			if end < 0 {
				continue
			}
			at := bytes.Index(buf[:end], []byte("Content-Length: "))
			line, _, _ := bytes.Cut(buf[at+len("Content-Length: "):], []byte("\r"))
			length, _ := strconv.Atoi(string(line))
			if held < end+4+length {
				continue
			}
			held = 0
			if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
				return
			}
		}
	})
}

var benchPayload = []byte(`{"sent_at":1435016238,"type":"sent","pad":"` + strings.Repeat("x", 650) + `"}`)

func BenchmarkSend(b *testing.B) {
	s, w, c := newSender(b, nil), newWebhook(sink(b)), newClaim()
	c.Event.Payload = benchPayload
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := s.Send(b.Context(), c, w); !a.Success() {
				b.Errorf("attempt %+v", a)
			}
		}
	})
}

// BenchmarkBareClient is the yardstick: a net/http client that signs and posts,
// and does nothing else.
func BenchmarkBareClient(b *testing.B) {
	url := sink(b)
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	secret, err := signature.ParseSecret(currentSecret)
	if err != nil {
		b.Fatal(err)
	}
	signer := signature.NewSigner(secret)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(benchPayload))
			if err != nil {
				b.Error(err)
				return
			}
			now := time.Now()
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("webhook-id", "evt_1")
			r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
			r.Header.Set("webhook-signature", signer.Sign("evt_1", now, benchPayload))
			response, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
}
