package web

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/live"
)

// maxExport bounds an export, in rows.
const maxExport = 100_000

// exportedDelivery is a row of an export.
type exportedDelivery struct {
	ID        telltale.DeliveryID `json:"id"`
	State     telltale.State      `json:"state"`
	Event     telltale.EventType  `json:"event_type"`
	EventID   telltale.EventID    `json:"event_id"`
	Recipient string              `json:"recipient,omitempty"`
	WebhookID telltale.WebhookID  `json:"webhook_id"`
	URL       string              `json:"url,omitempty"`
	Attempts  int                 `json:"attempt_count"`
	Status    int                 `json:"status,omitempty"`
	Error     telltale.ErrorClass `json:"error,omitempty"`
	Created   string              `json:"created_at"`
	Completed string              `json:"completed_at,omitempty"`
}

var exportColumns = []string{"id", "state", "event_type", "event_id", "recipient", "webhook_id", "url", "attempt_count", "status", "error", "created_at", "completed_at"}

func (d exportedDelivery) cells() []string {
	status := ""
	if d.Status != 0 {
		status = strconv.Itoa(d.Status)
	}
	cells := []string{
		string(d.ID), string(d.State), string(d.Event), string(d.EventID), d.Recipient, string(d.WebhookID), d.URL, strconv.Itoa(d.Attempts), status, string(d.Error), d.Created, d.Completed,
	}
	for i := range cells {
		cells[i] = telltale.SpreadsheetCell(cells[i])
	}
	return cells
}

// exportDeliveries streams what the filter lists, page by page.
func exportDeliveries(c *call) error {
	kind := strings.TrimPrefix(c.r.URL.Path[strings.LastIndexByte(c.r.URL.Path, '.'):], ".")
	f := parseDeliveryFilter(c.r.URL.Query())
	webhooks, err := c.webhooksByID()
	if err != nil {
		return err
	}
	ids, err := chosen(c.r.URL.Query()["id"])
	if err != nil {
		return err
	}
	if f.delivery != "" {
		ids = append(ids, f.delivery)
	}
	page := telltale.Page{Limit: telltale.MaxPage - 1}
	var rows []telltale.Delivery
	if len(ids) > 0 {
		rows, err = c.deliveriesWithIDs(ids)
	} else {
		rows, err = c.Store.Deliveries(c.r.Context(), c.project.ID, f.DeliveryFilter, page)
	}
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Disposition", `attachment; filename="deliveries.`+kind+`"`)
	var write func(exportedDelivery) error
	flush := func() {}
	if kind == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		w := csv.NewWriter(c.w)
		if err := w.Write(exportColumns); err != nil {
			return nil //nolint:nilerr // the browser has gone
		}
		write, flush = func(d exportedDelivery) error { return w.Write(d.cells()) }, w.Flush
	} else {
		h.Set("Content-Type", "application/x-ndjson")
		w := json.NewEncoder(c.w)
		w.SetEscapeHTML(false)
		write = func(d exportedDelivery) error { return w.Encode(d) }
	}
	out := http.NewResponseController(c.w)
	for n := 0; len(rows) > 0 && n < maxExport; n += len(rows) {
		for _, row := range c.deliveryRows(rows, webhooks) {
			if err := write(exported(row)); err != nil {
				return nil //nolint:nilerr // the browser has gone
			}
		}
		flush()
		if out.SetWriteDeadline(time.Now().Add(live.WriteTimeout)) != nil || len(rows) < page.Limit || len(ids) > 0 {
			return nil
		}
		page.After = string(rows[len(rows)-1].ID)
		if rows, err = c.Store.Deliveries(c.r.Context(), c.project.ID, f.DeliveryFilter, page); err != nil {
			panic(http.ErrAbortHandler) // the file must not look whole
		}
	}
	return nil
}

// deliveriesWithIDs gives those that are still there.
func (c *call) deliveriesWithIDs(ids []telltale.DeliveryID) ([]telltale.Delivery, error) {
	var rows []telltale.Delivery
	for _, id := range ids {
		d, err := c.Store.Delivery(c.r.Context(), c.project.ID, id)
		switch {
		case telltale.CodeOf(err) == telltale.NotFound:
		case err != nil:
			return nil, err
		default:
			rows = append(rows, d)
		}
	}
	return rows, nil
}

func exported(d deliveryRow) exportedDelivery {
	e := exportedDelivery{
		ID: d.ID, State: d.State, Event: d.EventType, EventID: d.EventID, Recipient: d.Recipient, WebhookID: d.WebhookID,
		Attempts: d.AttemptCount, Created: d.CreatedAt.Format(time.RFC3339Nano),
	}
	if d.Webhook != nil {
		e.URL = d.Webhook.URL
	}
	if d.Last != nil {
		e.Status, e.Error = d.Last.Status, d.Last.Error
	}
	if !d.CompletedAt.IsZero() {
		e.Completed = d.CompletedAt.Format(time.RFC3339Nano)
	}
	return e
}
