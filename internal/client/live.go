package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"telltale.example/telltale/internal/wire"
)

// maxLiveLine bounds a line of a stream, in bytes: an event of 256 KiB in which
// every byte is escaped, and its headers.
const maxLiveLine = 4 << 20

// Live follows events as they come, from the place lastID on if it is not empty,
// and calls each for every one; ready is called with the secret that signs. It
// returns the last id that it saw, with which a later call goes on, when the stream
// or ctx ends, or with the error of a callback.
func (c *Client) Live(ctx context.Context, query url.Values, lastID string, ready func(wire.LiveReady) error, each func(wire.LiveEvent) error) (string, error) {
	if c.options.Project != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("project", c.options.Project)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.options.Server+"/v1/live?"+query.Encode(), nil)
	if err != nil {
		return lastID, fmt.Errorf("client: following events: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.options.Token)
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	req.Header.Set("User-Agent", c.options.UserAgent)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return lastID, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return lastID, problem(resp)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLiveLine)
	var name, data string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			lastID = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if lines.Text() != "" {
				continue // a comment
			}
			if err := dispatchLive(name, data, ready, each); err != nil {
				return lastID, err
			}
			name, data = "", ""
		}
	}
	if err := lines.Err(); err != nil {
		return lastID, c.unreachable(ctx, err)
	}
	return lastID, nil
}

func dispatchLive(name, data string, ready func(wire.LiveReady) error, each func(wire.LiveEvent) error) error {
	switch name {
	case "ready":
		var r wire.LiveReady
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			return fmt.Errorf("client: the stream begins with what is no JSON: %w", err)
		}
		return ready(r)
	case "event":
		var e wire.LiveEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("client: the stream has an event that is no JSON: %w", err)
		}
		return each(e)
	}
	return nil
}
