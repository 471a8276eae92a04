package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const inspector = "/p/default/inspect"

// newBin makes a bin on the page and gives its page and its address.
func (w *world) newBin() (at, address string) {
	w.t.Helper()
	made := w.post(inspector, nil).want(http.StatusSeeOther)
	at = made.Header.Get("Location")
	p := w.get(at).want(http.StatusOK).says("The bin is ready.", "Nothing caught yet")
	return at, regexp.MustCompile(`http://[^ "<]+/in/[a-z2-7]{24}`).FindString(p.body)
}

// catch lets a bin catch something, and gives the status of the answer; 0 for none.
func (w *world) catch(method, address, body string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := new(http.Client).Do(r)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestABinShowsWhatItCaught(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(inspector).want(http.StatusOK).says("No bins", "Make a bin")
	at, address := w.newBin()
	if code := w.catch("PUT", address+"/a?b=<i>", `{"text":"<script>alert(1)</script> \u202e"}`); code != 200 {
		t.Fatalf("the bin answers %d", code)
	}
	w.get(at).want(http.StatusOK).says("1 request", "PUT", "/a?b=<i>", "Unsigned", "Content-Length", "<script>alert(1)</script>", "Exact bytes").lacks("<script>alert", "<i>")
	live := w.part("GET", at, nil).want(http.StatusOK).says("1 request", "PUT")
	live.lacks("<h1>", "Answer with")
	w.get(inspector).says(address)
	if !regexp.MustCompile(`data-name="Caught">1<`).MatchString(w.get(inspector).body) {
		t.Error("the list does not say how many requests a bin holds")
	}

	id := regexp.MustCompile(`\?request=(req_[0-9A-Z]+)`).FindStringSubmatch(live.body)[1]
	w.catch("POST", address, "second")
	w.get(at).says("2 requests", "second")
	w.get(at+"?request="+id).says("2 requests", "/a?b=<i>")
	w.get(at + "?request=req_01M8DDGAF1AJY46AH5CPJ88MGN").want(http.StatusOK).says("This request is not kept any more")

	w.get(at+"/delete").want(http.StatusOK).says("Delete this bin?", "What it caught goes with it.")
	w.part("GET", at+"/delete", nil).want(http.StatusOK).lacks("<h1>")
	w.follow(w.post(at+"/delete", nil)).says("The bin is deleted.", "No bins")
	w.get(at).want(http.StatusNotFound).says("There is no such bin, or it has expired")
}

func TestABinAnswersAsItsPageSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, address := w.newBin()
	w.get(at).says("Answer with: 200 OK")
	w.follow(w.post(at+"/answer", url.Values{"status": {"503"}, "delay": {"0.01"}, "retry_after": {"120"}, "body": {"busy"}})).
		says("The bin answers so from now on.", "Answer with: 503 Service Unavailable, after 10 ms, Retry-After: 120")
	if code := w.catch("POST", address, ""); code != 503 {
		t.Errorf("it answers %d", code)
	}
	w.follow(w.post(at+"/answer", url.Values{"status": {"200"}, "delay": {""}, "reset": {"1"}})).says("Answer with: Nothing: the connection is closed")
	if code := w.catch("POST", address, ""); code != 0 {
		t.Errorf("it answers %d", code)
	}
	wrong := w.post(at+"/answer", url.Values{"status": {"99"}, "delay": {"36"}, "body": {"kept"}, "retry_after": {"sn\u00f6"}, "reset": {"1"}}).want(http.StatusUnprocessableEntity)
	wrong.says("Use seconds from 0 to 35.", "kept")
	if strings.Count(wrong.body, `aria-invalid="true"`) < 1 || !strings.Contains(wrong.body, `value="99"`) || !strings.Contains(wrong.body, "reset\" value=\"1\" checked") {
		t.Errorf("the form does not keep what was sent: %s", wrong.body)
	}
	w.post(at+"/answer", url.Values{"status": {"abc"}}).want(http.StatusUnprocessableEntity).says("Use a status from 200 to 599.")
}

func TestABinIsUsedAsWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, address := w.newBin()
	used := w.follow(w.post(at+"/use", nil)).says("A webhook sends all events to this bin now.", "Send a test", "A webhook (all events) sends here.")
	hook := regexp.MustCompile(`whk_[0-9A-Z]+`).FindString(used.body)
	w.follow(w.post(list+"/"+hook+"/test", nil)).says("Test succeeded.")
	w.get(at).says("1 request", "Sent", "Signature valid", "Signed ", "Telltale-Test")
	w.get(at).lacks("Use as webhook")
	w.follow(w.post(at+"/use", nil)).says("A webhook sends to this bin already.")
	w.get(at + "/delete").says("1 webhook sends here and will fail from then on.")

	// What is signed with another secret is told apart.
	r, _ := http.NewRequestWithContext(t.Context(), "POST", address, strings.NewReader("{}"))
	for name, value := range map[string]string{"webhook-id": "evt_1", "webhook-timestamp": "1614265330", "webhook-signature": "v1,AAAA"} {
		r.Header.Set(name, value)
	}
	response, err := new(http.Client).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	w.get(at).says("2 requests", "Signature not valid")
}

func TestBinsAreTheirProjectsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, address := w.newBin()
	w.api("POST", "/v1/projects", `{"name":"Other","slug":"other"}`, nil)
	elsewhere := strings.Replace(at, "/p/default/", "/p/other/", 1)
	for _, path := range []string{"", "/delete"} {
		w.get(elsewhere + path).want(http.StatusNotFound)
	}
	for _, path := range []string{"/answer", "/use", "/delete"} {
		w.post(elsewhere+path, url.Values{"status": {"500"}}).want(http.StatusNotFound)
	}
	if code := w.catch("POST", address, "secret of mine"); code != 200 {
		t.Errorf("the bin answers %d", code)
	}

	viewer := w.operator("viewer")
	viewer.get(inspector).want(http.StatusOK).says("You have viewer access").lacks("New bin")
	viewer.get(at).want(http.StatusOK).says("You have viewer access", "does not show bodies").lacks("secret of mine", "Save answer", "Use as webhook", "Delete…")
	viewer.part("GET", at, nil).want(http.StatusOK).lacks("secret of mine")
	for _, path := range []string{"/answer", "/use", "/delete"} {
		viewer.post(at+path, url.Values{"status": {"500"}}).want(http.StatusForbidden)
	}
	viewer.post(inspector, nil).want(http.StatusForbidden)
}
