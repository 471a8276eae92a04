package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"telltale.example/telltale/signature"
)

// yardstickConfig says what the bare loop does.
type yardstickConfig struct {
	URL     string        `json:"url"`
	Secret  string        `json:"secret"`
	Workers int           `json:"workers"`
	Rate    float64       `json:"rate"` // requests a second, in an open loop; 0: as fast as it goes
	Warm    time.Duration `json:"warm"` // not counted, before
	Length  time.Duration `json:"length"`
}

// yardstickResult is what the bare loop reached.
type yardstickResult struct {
	Requests  int64   `json:"requests"` // answered 200 within the length
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
}

// runYardstick is the yardstick's process: net/http's client with its
// keep-alive connections, and nothing else. Where it goes as fast as it can,
// the request is signed once: nothing is done that can be left out.
func runYardstick(ctx context.Context, c yardstickConfig, say func(any) error) error {
	secret, err := signature.ParseSecret(c.Secret)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: c.Workers, DisableCompression: true}
	defer transport.CloseIdleConnections()
	y := &yardstick{url: c.URL, signer: signature.NewSigner(secret), client: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
	if c.Rate > 0 {
		return y.pace(ctx, c, say)
	}
	return y.saturate(ctx, c, say)
}

type yardstick struct {
	url    string
	signer *signature.Signer
	client *http.Client
}

// sign makes an event and the headers that a delivery of it has.
func (y *yardstick) sign(number int64) (http.Header, []byte) {
	now := time.Now()
	body := appendEvent(nil, number, now)
	id := fmt.Sprintf("evt_%026d", number)
	header := http.Header{}
	for name, value := range map[string]string{
		"User-Agent":              "Telltale/yardstick",
		"Content-Type":            "application/json",
		signature.HeaderID:        id,
		signature.HeaderTimestamp: fmt.Sprint(now.Unix()),
		signature.HeaderSignature: y.signer.Sign(id, now, body),
		"Telltale-Event":          eventType,
		"Telltale-Delivery":       fmt.Sprintf("dlv_%026d", number),
		"Telltale-Attempt":        "1",
		"Telltale-Source":         "api",
		"Telltale-Occurred-At":    now.UTC().Format(time.RFC3339Nano),
	} {
		header.Set(name, value)
	}
	return header, body
}

func (y *yardstick) post(ctx context.Context, header http.Header, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, y.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	answer, err := y.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", y.url, answer.Status)
	}
	return nil
}

// saturate has all workers post the same request again and again.
func (y *yardstick) saturate(ctx context.Context, c yardstickConfig, say func(any) error) error {
	header, body := y.sign(1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var count atomic.Int64
	var done atomic.Bool
	var workers sync.WaitGroup
	for range c.Workers {
		workers.Go(func() {
			for !done.Load() {
				if err := y.post(ctx, header, body); err != nil {
					cancel(err)
					return
				}
				count.Add(1)
			}
		})
	}
	wait(ctx, c.Warm)
	before, start := count.Load(), time.Now()
	wait(ctx, c.Length)
	n, seconds := count.Load()-before, time.Since(start).Seconds()
	done.Store(true)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return say(yardstickResult{Requests: n, Seconds: seconds, PerSecond: float64(n) / seconds})
}

// pace posts at a fixed rate, each request at its time however long others take.
func (y *yardstick) pace(ctx context.Context, c yardstickConfig, say func(any) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var posts sync.WaitGroup
	start := time.Now()
	n := int64(0)
	for range ticks(ctx, c.Rate, c.Length) {
		n++
		number := n
		posts.Go(func() {
			header, body := y.sign(number)
			if err := y.post(ctx, header, body); err != nil {
				cancel(err)
			}
		})
	}
	posts.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	return say(yardstickResult{Requests: n, Seconds: seconds, PerSecond: float64(n) / seconds})
}
