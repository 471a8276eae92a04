package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestEventsAreListedAndShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/p/default/events").want(http.StatusOK).says("No events yet")
	w.hook(receiver(t, func(http.ResponseWriter, *http.Request) {}), "")
	ids := w.accept(
		`{"type":"sent","user":{"id":1,"email":"a@example.com"},"campaign":{"name":"Spring <script>alert(1)</script>","subject":"Hello","channel":"email"},"message_id":"<a,b@mail.example>"}`,
		`{"type":"opened","user":{"id":1,"email":"a@example.com"},"message_id":"<a,b@mail.example>","telltale":{"machine":true}}`,
	)
	w.deliveries("succeeded", 2)
	w.get("/p/default/events").says("2 events", "Sent", "a@example.com", "Spring <script>alert(1)</script>", "email", "api", "1 succeeded").lacks("<script>alert")
	w.get("/p/default/events?event=opened").says("1 event")
	w.get("/p/default/events?q=evt_01JD0000000000000000000000").says("No events match these filters.")
	w.get("/p/default/events?q=nobody").says("No events match these filters.")
	if p := w.get("/p/default/events?q=" + ids[0]).want(http.StatusSeeOther); !strings.HasSuffix(p.Header.Get("Location"), ids[0]) {
		t.Errorf("an event's id leads to %s", p.Header.Get("Location"))
	}
	w.get("/p/default/events/"+ids[1]).want(http.StatusOK).says("Opened", "By a machine", "Valid", "Payload", "1 delivery", `"message_id": "<a,b@mail.example>"`)
	w.operator("viewer").get("/p/default/events/" + ids[1]).want(http.StatusOK).says("You have viewer access, which does not show bodies.").lacks("Payload")
	w.get("/p/default/events/evt_01JD0000000000000000000000").want(http.StatusNotFound).says("There is no such event. If it is older than 30 days")

	message := w.get("/p/default/messages/"+url.PathEscape("a,b@mail.example")).want(http.StatusOK).says("Message timeline", "Spring", "Sent", "Opened by a machine")
	if !strings.Contains(message.body, "topics=message%3Aa%2Cb%40mail.example") {
		t.Errorf("the page does not follow its message: %s", message.body)
	}
	w.get("/p/default/messages/unknown").want(http.StatusNotFound).says("Nothing is known of this message.")
}
