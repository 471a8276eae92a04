package inspect

import (
	"context"
	"slices"
	"sync"

	"telltale.example/telltale"
)

// memory is a store in memory.
type memory struct {
	mu       sync.Mutex
	bins     map[telltale.BinID]telltale.Bin
	webhooks []*telltale.Webhook // newest first
	caught   []telltale.CaughtRequest
	err      error         // what every method gives
	hold     chan struct{} // if not nil, Bin waits for it
	pages    int           // of webhooks that were asked for
	kept     chan struct{} // if not nil, is sent to for each request that is kept
}

func newMemory(bins ...telltale.Bin) *memory {
	m := &memory{bins: map[telltale.BinID]telltale.Bin{}}
	for _, b := range bins {
		m.bins[b.ID] = b
	}
	return m
}

func (m *memory) Bin(_ context.Context, id telltale.BinID) (telltale.Bin, error) {
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return telltale.Bin{}, m.err
	}
	b, ok := m.bins[id]
	if !ok {
		return telltale.Bin{}, telltale.Errorf(telltale.NotFound, "no bin %s", id)
	}
	return b, nil
}

func (m *memory) Webhooks(_ context.Context, project telltale.ProjectID, page telltale.Page) ([]*telltale.Webhook, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pages++
	var own []*telltale.Webhook
	for _, w := range m.webhooks {
		if w.ProjectID == project {
			own = append(own, w)
		}
	}
	if at := slices.IndexFunc(own, func(w *telltale.Webhook) bool { return string(w.ID) == page.After }); at >= 0 {
		own = own[at+1:]
	}
	return own[:min(len(own), page.Limit)], m.err
}

func (m *memory) CatchRequest(_ context.Context, r telltale.CaughtRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.caught = append(m.caught, r)
	if m.kept != nil {
		m.kept <- struct{}{}
	}
	return nil
}
