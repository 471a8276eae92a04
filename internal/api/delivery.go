package api

import (
	"context"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

type DeliveryPath struct {
	ID string `path:"id" doc:"The delivery's id." example:"dlv_01JD0000000000000000000000"`
	ProjectQuery
}

func (a *api) listDeliveries(ctx context.Context, who auth.Identity, in *struct {
	Webhook string `query:"webhook" doc:"Only deliveries to this webhook." example:"whk_01JD0000000000000000000000"`
	State   string `query:"state" enum:"waiting,sending,succeeded,failed,held,cancelled" doc:"Only deliveries in this state."`
	Event   string `query:"event" enum:"sent,delivered,opened,clicked,failed,bounced,converted,unsubscribed,resubscribed,complained,user_created,user_updated,webhook.failing,webhook.disabled,webhook.recovered,delivery.failed" doc:"Only deliveries of events of this type."`
	Replay  string `query:"replay_id" doc:"Only deliveries that this replay made." example:"rpl_01JD0000000000000000000000"`
	Answer  string `query:"answer" enum:"2xx,3xx,4xx,5xx,none" doc:"Only deliveries whose last attempt got such an answer; none: no answer at all."`
	EventID string `query:"event_id" doc:"Only deliveries of this event." example:"evt_01JD0000000000000000000000"`
	Q       string `query:"q" maxLength:"998" doc:"Only deliveries with this id, or of events with this id, email address, user id or message id." example:"steve@example.com"`
	ReceivedQuery
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Delivery], error) {
	f := telltale.DeliveryFilter{
		WebhookID: telltale.WebhookID(in.Webhook), EventID: telltale.EventID(in.EventID),
		State: telltale.State(in.State), Type: telltale.EventType(in.Event), Since: in.Since, Until: in.Until,
	}
	f.ReplayID = telltale.ReplayID(in.Replay)
	for class := range telltale.Answers {
		if in.Answer == class.String() {
			f.Answer = &class
		}
	}
	var faults []telltale.Fault
	if in.Replay != "" && !telltale.ValidID("rpl_", in.Replay) {
		faults = append(faults, telltale.Fault{Location: "query.replay_id", Message: "This is no replay's id.", Expected: "rpl_ and 26 characters", Value: telltale.CutValue(in.Replay)})
	}
	if in.Webhook != "" && !telltale.ValidID("whk_", in.Webhook) {
		faults = append(faults, telltale.Fault{Location: "query.webhook", Message: "This is no webhook's id.", Expected: "whk_ and 26 characters", Value: telltale.CutValue(in.Webhook)})
	}
	if in.EventID != "" && !telltale.ValidID("evt_", in.EventID) {
		faults = append(faults, telltale.Fault{Location: "query.event_id", Message: "This is no event's id.", Expected: "evt_ and 26 characters", Value: telltale.CutValue(in.EventID)})
	}
	if err := telltale.Faulty("Invalid query.", faults); err != nil {
		return wire.Page[wire.Delivery]{}, err
	}
	switch q := in.Q; {
	case telltale.ValidID("dlv_", q):
		return a.deliveryWithID(ctx, who, telltale.DeliveryID(q), f)
	case telltale.ValidID("evt_", q) && in.EventID != "" && q != in.EventID:
		return wire.Page[wire.Delivery]{Data: []wire.Delivery{}}, nil
	case telltale.ValidID("evt_", q):
		f.EventID = telltale.EventID(q)
	default:
		f.Match = match(q)
	}
	return a.deliveries(ctx, who, f, in.PageQuery)
}

func (a *api) deliveries(ctx context.Context, who auth.Identity, f telltale.DeliveryFilter, q PageQuery) (wire.Page[wire.Delivery], error) {
	return paged(ctx, a, list{"deliveries", who.Project.ID}, q,
		func(d telltale.Delivery) string { return string(d.ID) }, wire.FromDelivery,
		func(ctx context.Context, page telltale.Page) ([]telltale.Delivery, error) {
			return a.config.Store.Deliveries(ctx, who.Project.ID, f, page)
		})
}

// deliveryWithID lists the one delivery with that id, if the filter lets it through.
func (a *api) deliveryWithID(ctx context.Context, who auth.Identity, id telltale.DeliveryID, f telltale.DeliveryFilter) (wire.Page[wire.Delivery], error) {
	page := wire.Page[wire.Delivery]{Data: []wire.Delivery{}}
	d, err := a.config.Store.Delivery(ctx, who.Project.ID, id)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return page, nil
	case err != nil:
		return page, err
	case f.WebhookID != "" && f.WebhookID != d.WebhookID,
		f.EventID != "" && f.EventID != d.EventID,
		f.ReplayID != "" && f.ReplayID != d.ReplayID,
		f.Answer != nil && (d.AttemptCount == 0 || *f.Answer != telltale.AnswerOf(lastStatus(d))),
		f.State != "" && f.State != d.State,
		f.Type != "" && f.Type != d.EventType,
		!within(d.CreatedAt, f.Since, f.Until):
		return page, nil
	}
	page.Data = append(page.Data, wire.FromDelivery(d))
	return page, nil
}

// lastStatus is what the last attempt got; 0 if that was no answer.
func lastStatus(d telltale.Delivery) int {
	if n := len(d.Attempts); n > 0 {
		return d.Attempts[n-1].Status
	}
	return d.LastStatus
}

func (a *api) getDelivery(ctx context.Context, who auth.Identity, in *DeliveryPath) (wire.Delivery, error) {
	id, err := deliveryID(in.ID)
	if err != nil {
		return wire.Delivery{}, err
	}
	d, err := a.config.Store.Delivery(ctx, who.Project.ID, id)
	if err != nil {
		return wire.Delivery{}, found(err, "delivery", in.ID)
	}
	e, err := a.config.Store.Event(ctx, who.Project.ID, d.EventID)
	if err != nil {
		return wire.Delivery{}, found(err, "delivery", in.ID) // its event goes only with it
	}
	extensions := false
	if w, err := a.config.Store.Webhook(ctx, who.Project.ID, d.WebhookID); err == nil { // it may be deleted
		extensions = w.Extensions
	}
	out := wire.FromDelivery(d)
	out.Attempts = make([]wire.Attempt, len(d.Attempts))
	for i := range d.Attempts {
		out.Attempts[i] = wire.FromAttempt(&d.Attempts[i], e.SentBody(d.Attempts[i].Request.Headers, extensions))
	}
	return out, nil
}

// retryDelivery makes the delivery due now, and tells the dispatcher.
func (a *api) retryDelivery(ctx context.Context, who auth.Identity, in *DeliveryPath) (wire.Delivery, error) {
	id, err := deliveryID(in.ID)
	if err != nil {
		return wire.Delivery{}, err
	}
	d, err := a.config.Store.RetryDelivery(ctx, who.Project.ID, id)
	if err != nil {
		return wire.Delivery{}, found(err, "delivery", in.ID)
	}
	// The delivery is due whatever comes now: a dispatcher that is not told finds it.
	if w, err := a.config.Store.Webhook(ctx, who.Project.ID, d.WebhookID); err == nil {
		a.config.Dispatcher.Due(w)
	} else {
		a.config.Log.WarnContext(ctx, "the dispatcher was not told of a retry", "delivery", d.ID, "error", err)
	}
	return wire.FromDelivery(d), nil
}

// cancelDelivery ends the delivery: nothing more is attempted.
func (a *api) cancelDelivery(ctx context.Context, who auth.Identity, in *DeliveryPath) (wire.Delivery, error) {
	id, err := deliveryID(in.ID)
	if err != nil {
		return wire.Delivery{}, err
	}
	d, err := a.config.Store.CancelDelivery(ctx, who.Project.ID, id)
	if err != nil {
		return wire.Delivery{}, found(err, "delivery", in.ID)
	}
	return wire.FromDelivery(d), nil
}
