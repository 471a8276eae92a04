package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// TestResult is what became of a sample that was posted to a source.
type TestResult struct {
	Status       int // of the answer
	Requests     int // that were posted
	Accepted     int // events
	Duplicates   int
	Unrecognised int
	Message      string // what went wrong, as a sentence; empty if nothing did
}

// testTimeout bounds a test.
const testTimeout = 15 * time.Second

// Test signs a sample of the provider's with the source's own credentials, and
// posts it to the source's address as the provider would. What it says becomes
// events, and webhooks get them.
//
// It gives Conflict if that cannot be: for a provider that signs with a key which
// only it has, and while credentials are missing.
func (h *Handler) Test(ctx context.Context, _ telltale.Project, s *telltale.Source) (TestResult, error) {
	p := ProviderNamed(s.Provider)
	switch {
	case p == nil:
		return TestResult{}, telltale.Errorf(telltale.Conflict, "This version knows no provider %q.", s.Provider)
	case p.Signer == nil:
		return TestResult{}, telltale.Errorf(telltale.Conflict, "%s signs with a key that only it has, so nothing can be sent in its name. %s", p.Title, p.TestHint)
	}
	if missing := p.Missing(s); len(missing) > 0 {
		labels := make([]string, len(missing))
		for i, c := range missing {
			labels[i] = c.Label
		}
		return TestResult{}, telltale.Errorf(telltale.Conflict, "The source has no %s yet.", strings.Join(labels, " and no "))
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	now := time.Now()
	r := p.Samples(now)[0]
	r.URL = p.Address(h.PublicURL, &telltale.Source{Token: s.Token})
	if err := p.Signer(s.Credentials)(r, now); err != nil {
		return TestResult{}, fmt.Errorf("feed: signing a sample for source %s: %w", s.ID, err)
	}
	return h.post(ctx, r)
}

func (h *Handler) post(ctx context.Context, r *Request) (TestResult, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return TestResult{}, fmt.Errorf("feed: a test: %w", err)
	}
	request.Header = r.Header
	response, err := h.Post(request)
	if err != nil {
		return TestResult{}, fmt.Errorf("feed: a test: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return TestResult{}, fmt.Errorf("feed: a test: %w", err)
	}
	t := TestResult{Status: response.StatusCode, Requests: 1}
	if response.StatusCode != http.StatusOK {
		var problem struct{ Detail, Title string }
		t.Message = fmt.Sprintf("The source answered %d.", response.StatusCode)
		if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
			t.Message = problem.Detail
		}
		return t, nil
	}
	var said answer
	if err := json.Unmarshal(body, &said); err != nil {
		return TestResult{}, fmt.Errorf("feed: the answer to a test: %w", err)
	}
	t.Accepted, t.Duplicates, t.Unrecognised = said.Accepted, said.Duplicates, said.Unrecognised
	return t, nil
}
