package browser

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/dispatch"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/sqlite"
	"telltale.example/telltale/signature"
)

// newDay starts a node with a day's work behind it: a store, a dispatcher and
// receivers have lived through the 24 hours up to now, in the time of a bubble.
func newDay(t *testing.T) *world {
	t.Helper()
	cfg := config.Defaults()
	cfg.Listen, cfg.OpsListen, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	w := &world{T: t, config: cfg}
	w.start()
	setup, err := url.Parse(w.app.SetupURL())
	if err != nil {
		t.Fatal(err)
	}
	w.cookie = w.enter("/setup", url.Values{"token": {setup.Query().Get("token")}, "email": {"sam@acme.example"}, "password": {password}, "project": {"Acme"}})
	w.stop()
	end := time.Now()
	synctest.Test(t, func(t *testing.T) {
		pass(time.Until(end.Add(-24 * time.Hour)))
		d := &day{T: t, rng: rand.New(rand.NewPCG(7, 1)), end: end}
		d.live(cfg)
	})
	w.start()
	t.Cleanup(w.stop)
	return w
}

// day is what happens at a company that sends orders, newsletters and welcomes.
type day struct {
	*testing.T
	rng        *rand.Rand
	end        time.Time
	store      *sqlite.Store
	dispatcher *dispatch.Dispatcher
	ingest     *ingest.Ingest
	project    telltale.Project
	node       telltale.NodeID

	mu    sync.Mutex // of what receivers roll
	rolls *rand.Rand
}

func (d *day) live(cfg config.Config) {
	ring, err := auth.LoadOrCreateKeyFile(filepath.Join(cfg.Data, app.SecretKeyFile))
	d.must(err)
	d.node = telltale.NewNodeID()
	d.store, err = sqlite.Open(d.Context(), filepath.Join(cfg.Data, app.DatabaseFile), sqlite.Options{Node: d.node, Sealer: ring})
	d.must(err)
	d.rolls = rand.New(rand.NewPCG(7, 2))
	d.dispatcher = dispatch.New(dispatch.Config{Store: d.store, Sender: d, Node: d.node, Jitter: func() float64 { return 0.5 }})
	d.ingest = ingest.New(d.store, d.dispatcher, nil)
	running := make(chan error, 1)
	go func() { running <- d.dispatcher.Run(context.WithoutCancel(d.Context())) }()
	d.project, err = d.store.ProjectBySlug(d.Context(), telltale.DefaultProjectSlug)
	d.must(err)
	d.subscribe()
	for time.Until(d.end) > 2*time.Minute {
		d.happen()
		// A night lies behind the company, from 16 to 10 hours ago.
		night := math.Exp(-math.Pow((time.Until(d.end).Hours()-13)/3, 2))
		pass(time.Duration(float64(100*time.Second) * (1 + 8*night) * (0.3 + d.rng.ExpFloat64())))
	}
	pass(time.Until(d.end) - 10*time.Second)
	d.must(d.dispatcher.Stop(context.WithoutCancel(d.Context())))
	d.must(<-running)
	d.must(d.store.Close())
}

// pass lets time go by in the bubble.
func pass(d time.Duration) { <-time.After(d) }

func (d *day) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// The webhooks of the company.
const (
	toWarehouse = "https://ingest.acme.example/telltale"
	toZapier    = "https://hooks.zapier.com/hooks/catch/4823911/onboarding/"
	toSegment   = "https://events.acme.example/segment"
	toCRM       = "https://crm.acme.example/webhooks/email"
	toStaging   = "https://staging.acme.example/hooks/telltale"
)

func (d *day) subscribe() {
	set := telltale.NewEventTypeSet
	for _, s := range []struct {
		url, description string
		events           telltale.EventTypeSet
		change           func(*telltale.Webhook)
	}{
		{toStaging, "Staging", telltale.AllEventTypes, nil},
		{toCRM, "Marks contacts as unreachable in the CRM", set(telltale.Bounced, telltale.Complained, telltale.Unsubscribed), func(w *telltale.Webhook) {
			w.RetrySchedule = telltale.Schedule{3 * time.Hour, 6 * time.Hour, 12 * time.Hour}
		}},
		{toSegment, "Product analytics", set(telltale.Sent, telltale.Delivered, telltale.Opened, telltale.Clicked, telltale.Converted), nil},
		{toZapier, "Welcome workflow", set(telltale.UserCreated, telltale.Converted), func(w *telltale.Webhook) { w.RateLimit = 25 }},
		{toWarehouse, "Warehouse", telltale.AllEventTypes, func(w *telltale.Webhook) {
			w.Concurrency = 16
			w.Headers = []telltale.CustomHeader{{Name: "X-Team", Value: "data"}, {Name: "Authorization", Value: "Bearer not-shown", Secret: true}}
		}},
	} {
		w := telltale.NewWebhook(d.project.ID, s.url, s.events)
		w.Description = s.description
		if s.change != nil {
			s.change(&w)
		}
		made, err := d.store.CreateWebhook(d.Context(), w)
		d.must(err)
		if s.url == toStaging {
			made, err = d.store.DisableWebhook(d.Context(), d.project.ID, made.ID, telltale.DisabledManual)
			d.must(err)
		}
		d.dispatcher.Changed(made)
		pass(time.Second)
	}
}

var (
	people    = []string{"ada", "grace", "linus", "margaret", "dennis", "barbara", "ken", "radia", "edsger", "frances", "alan", "joan", "donald", "shafi", "tony", "leslie"}
	hosts     = []string{"example.com", "example.org", "example.net"}
	campaigns = []struct{ id, kind, name, group, subject, trigger string }{
		{"987", "transactional", "Order confirmation", "Order confirmation - Email 1", "Your order is being processed!", "purchased item"},
		{"1204", "newsletter", "November news", "Newsletter", "What is new in November", ""},
		{"1311", "workflow", "Welcome series", "Welcome - Email 2", "Three things to try first", "signed up"},
	}
)

// happen is one message to one person, with what follows from it.
func (d *day) happen() {
	number := 1000 + d.rng.IntN(400)
	email := fmt.Sprintf("%s.%d@%s", people[number%len(people)], number%97, hosts[number%len(hosts)])
	user := fmt.Sprintf(`"user":{"id":%d,"email":%q}`, number, email)
	c := campaigns[d.rng.IntN(len(campaigns))]
	campaign := fmt.Sprintf(`"campaign":{"id":%s,"type":%q,"name":%q,"group":%q,"channel":"email","subject":%q,"trigger-event":%q,"sent_to":%q,"variation":"Variation A","locale":"en-US"}`,
		c.id, c.kind, c.name, c.group, c.subject, c.trigger, email)
	message := fmt.Sprintf(`"message_id":"%d.%d.%s@mail.acme.example"`, time.Now().Unix(), number, strings.ToUpper(strconv.FormatUint(d.rng.Uint64()>>20, 16)))
	at := func(name string) string { return fmt.Sprintf(`%q:%d`, name, time.Now().Unix()) }
	const agent = `"user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"`

	if d.rng.IntN(7) == 0 {
		d.accept(fmt.Sprintf(`{"type":"user_created","user":{"firstname":%q,"company":"Example","id":%d,"email":%q}}`, people[number%len(people)], number, email))
	}
	d.accept("{" + strings.Join([]string{at("sent_at"), `"type":"sent"`, user, campaign, message}, ",") + "}")
	pass(time.Duration(1+d.rng.IntN(8)) * time.Second)
	if d.rng.IntN(11) == 0 {
		d.accept("{" + strings.Join([]string{at("bounced_at"), `"bounce_type":"hard","bounce_code":550,"bounce_message":"5.5.1 The email account that you tried to reach does not exist."`, `"type":"bounced"`, user, campaign, message}, ",") + "}")
		return
	}
	d.accept("{" + strings.Join([]string{at("delivered_at"), `"type":"delivered"`, user, campaign, message}, ",") + "}")
	for _, step := range []struct {
		chance    int // in 10
		name, key string
		more      string
	}{{6, "opened", "opened_at", agent}, {4, "clicked", "clicked_at", agent}, {3, "converted", "", ""}} {
		if d.rng.IntN(10) >= step.chance {
			break
		}
		pass(time.Duration(5+d.rng.IntN(40)) * time.Second)
		parts := []string{fmt.Sprintf(`"type":%q`, step.name), user, campaign, message}
		if step.more != "" {
			parts = append([]string{step.more}, parts...)
		}
		if step.key != "" {
			parts = append([]string{at(step.key)}, parts...)
		}
		d.accept("{" + strings.Join(parts, ",") + "}")
	}
	switch d.rng.IntN(40) {
	case 0:
		d.accept("{" + strings.Join([]string{at("complained_at"), `"type":"complained"`, user, campaign, message}, ",") + "}")
	case 1, 2:
		d.accept("{" + strings.Join([]string{at("unsubscribed_at"), `"type":"unsubscribed"`, user}, ",") + "}")
	}
}

func (d *day) accept(event string) {
	d.Helper()
	activity, err := telltale.ParseActivity([]byte(event), "api")
	if err != nil {
		d.Fatalf("%s: %v", event, err)
	}
	_, err = d.ingest.Accept(d.Context(), d.project, "api", []telltale.Activity{activity})
	if err != nil {
		d.Fatalf("%s: %v", event, err)
	}
}

// Send is every receiver of the day: the warehouse and Zapier always answer, the
// analytics are overloaded now and then, and the CRM has been down for a while.
func (d *day) Send(_ context.Context, c *telltale.Claim, w *telltale.Webhook) telltale.Attempt {
	started := time.Now()
	status, took, body := d.answer(w.URL)
	a := telltale.Attempt{
		Number: c.Attempt, Trigger: c.Trigger, StartedAt: started.UTC().Truncate(time.Millisecond), Duration: took,
		Status: status, RemoteAddr: "203.0.113.24:443", Node: d.node,
		Request: telltale.SentRequest{Method: http.MethodPost, URL: w.URL, Headers: d.headers(c, w, started)},
		Response: telltale.GotResponse{
			Headers: []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Date", Value: started.UTC().Format(http.TimeFormat)}, {Name: "Server", Value: "nginx"}},
			Body:    []byte(body),
		},
	}
	a.Timing = telltale.Timing{FirstByte: took * 9 / 10}
	if c.Attempt > 1 || d.roll() < 0.1 {
		a.Timing = telltale.Timing{DNS: took / 20, Connect: took / 8, TLS: took / 4, FirstByte: took / 2}
	}
	if !a.Success() {
		a.Error, a.Failure = telltale.ErrorHTTPStatus, telltale.FailureOfStatus(status)
	}
	pass(took)
	return a
}

func (d *day) roll() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rolls.Float64()
}

func (d *day) answer(address string) (status int, took time.Duration, body string) {
	took = time.Duration((0.6 + d.roll()) * float64(70*time.Millisecond))
	left := time.Until(d.end)
	switch address {
	case toCRM:
		if left < 100*time.Minute {
			return http.StatusServiceUnavailable, took / 2, "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
		}
	case toSegment:
		if hour := int(left / time.Hour); left > 30*time.Minute && (hour == 5 || hour == 6 && d.roll() < 0.5 || d.roll() < 0.01) && d.roll() < 0.6 {
			return http.StatusBadGateway, 3 * took, `{"error":"upstream timed out"}`
		}
		took *= 2
	}
	return http.StatusOK, took, `{"ok":true}`
}

func (d *day) headers(c *telltale.Claim, w *telltale.Webhook, at time.Time) []telltale.Header {
	secret, err := signature.ParseSecret(w.Secrets[0].Value)
	if err != nil {
		d.Error(err)
	}
	headers := []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "User-Agent", Value: "Telltale/1.0.0"}}
	for _, h := range w.Headers {
		if h.Secret {
			h.Value = telltale.Redacted
		}
		headers = append(headers, telltale.Header{Name: h.Name, Value: h.Value})
	}
	return append(headers,
		telltale.Header{Name: signature.HeaderID, Value: string(c.Event.ID)},
		telltale.Header{Name: signature.HeaderTimestamp, Value: strconv.FormatInt(at.Unix(), 10)},
		telltale.Header{Name: signature.HeaderSignature, Value: signature.NewSigner(secret).Sign(string(c.Event.ID), at, c.Event.Payload)},
		telltale.Header{Name: "telltale-event", Value: string(c.Event.Type)},
		telltale.Header{Name: "telltale-delivery", Value: string(c.DeliveryID)},
		telltale.Header{Name: "telltale-attempt", Value: strconv.Itoa(c.Attempt)},
		telltale.Header{Name: "telltale-source", Value: c.Event.Source},
	)
}
