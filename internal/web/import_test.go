package web_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const imports = "/p/default/users/imports"

// upload sends the form of an import as a browser does.
func (b *browser) upload(kind, name, file string) page {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("kind", kind) // to memory, all of it
	if name != "" {
		part, err := form.CreateFormFile("file", name)
		if err != nil {
			b.t.Fatal(err)
		}
		_, _ = part.Write([]byte(file))
	}
	_ = form.Close()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+imports+"/new", &body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	return b.do(r)
}

func TestAFileIsImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(imports).want(http.StatusOK).says("Nothing was imported yet", "New import")
	w.get(imports+"/new").want(http.StatusOK).says("What the file is of", "Profiles", "Unsubscribes", "CSV file")
	started := w.upload("profiles", `C:\fakepath\<b>users.csv`, "id,plan\n1,gold\n2\n=3,free\n,<script>\n")
	w.follow(started).says("Import started.", "Profiles")
	at := started.Header.Get("Location")
	w.until("the import is over", func() bool { return strings.Contains(w.get(at).text(), "Finished") })
	w.get(at).says("Rows read 4", "Went in 2", "Refused 2", "<b>users.csv", "2 rows did not go in", "The row has 1 field and the head 2.", "The row has no id and no email", ",<script>")
	w.get(imports).says("<b>users.csv", "100%", "Finished")
	file := w.get(at + "/refused.csv").want(http.StatusOK)
	if want := "line,reason,row\n3,The row has 1 field and the head 2.,2\n5,The row has no id and no email: one of them says whom it is about.,\",<script>\"\n"; file.body != want {
		t.Errorf("the file is %q", file.body)
	}
	w.follow(w.post(at, url.Values{"to": {"paused"}})).says("The import has ended: it is finished.")
	w.post(at, url.Values{"to": {"finished"}}).want(http.StatusBadRequest)
	w.get(imports + "/jobs/imp_01JD0000000000000000000000").want(http.StatusNotFound)
	w.post(imports+"/jobs/imp_01JD0000000000000000000000", url.Values{"to": {"paused"}}).want(http.StatusNotFound)
	w.get(imports + "/jobs/imp_01JD0000000000000000000000/refused.csv").want(http.StatusNotFound)
}

func TestAFileThatIsNotImportedComesBackWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.upload("events", "users.csv", "id,plan\n1,gold\n").want(http.StatusUnprocessableEntity).says("1 thing needs your attention", "This looks like a file of profiles")
	w.upload("profiles", "", "").want(http.StatusUnprocessableEntity).says("Choose a file.")
	w.upload("nonsense", "users.csv", "id\n").want(http.StatusUnprocessableEntity).says("is nothing that is imported")
	w.post(imports+"/new", url.Values{"kind": {"profiles"}}).want(http.StatusBadRequest)
	w.get(imports).says("Nothing was imported yet")
	w.send(http.MethodPost, imports+"/new", url.Values{"kind": {"profiles"}}, http.Header{"Content-Encoding": {"gzip"}}).
		want(http.StatusUnsupportedMediaType).says("Send it uncompressed.")
}

func TestViewersImportNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.upload("profiles", "users.csv", "id,plan\n1\n").want(http.StatusSeeOther).Header.Get("Location")
	viewer := w.operator("viewer")
	viewer.get(imports).want(http.StatusOK).says("You have viewer access", "users.csv").lacks("New import")
	viewer.get(at).want(http.StatusOK).lacks("<form method=\"post\" action=\"" + imports)
	viewer.get(imports + "/new").want(http.StatusForbidden)
	viewer.post(at, url.Values{"to": {"cancelled"}}).want(http.StatusForbidden)
	viewer.upload("profiles", "users.csv", "id\n").want(http.StatusForbidden)
}
