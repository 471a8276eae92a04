package telltale

import (
	"testing"
	"time"

	"telltale.example/telltale/schema"
)

var receipt = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

func TestGolden(t *testing.T) {
	for _, et := range EventTypes() {
		in := schema.Sample(string(et))
		a, err := ParseActivity(in, "body")
		if err != nil { t.Error(et, err); continue }
		r, f := a.Render(receipt)
		if f != nil { t.Error(f) }
		if string(r.Payload) != string(in) { t.Errorf("%s\n%s", in, r.Payload) }
		t.Log(cap(r.Payload), len(r.Payload), r.UserID, r.Email, r.MessageID, r.CampaignID, r.OccurredAt)
	}
	for _, s := range []string{`{"type":"sentt","Type":1,"user":{"ID":3},"telltale":{"x":1}}`,`{"type":"sent","user":{"id":"\ud800"}}`,`{"a":{"b":[1,{"c":NaN}]}}`, `{"a":{"b":[1,{"c":1,"c":1}]}}`,`{} 1`,``,`{"a":`,"\ufeff{}",`{"type":"sent","user":{"id":1},"x":[1,{"y":1e9999}],"campaign":3,"sent_at":1435016238000}`, "{\"a\":\"\xff\"}"} {
		_, err := ParseActivity([]byte(s), "body[3]")
		t.Log(err)
	}
}

func BenchmarkParseActivity(b *testing.B) {
	raw := schema.Sample("sent")
	b.ReportAllocs()
	for b.Loop() {
		ParseActivity(raw, "body")
	}
}
func BenchmarkRender(b *testing.B) {
	raw := schema.Sample("sent")
	a, _ := ParseActivity(raw, "body")
	b.ReportAllocs()
	for b.Loop() {
		a.Render(receipt)
	}
}
