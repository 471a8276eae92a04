package main

import (
	"strings"
	"testing"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	const event = `{"type":"sent","user":{"id":123,"email":"a@b.c"},"message_id":"x"}`
	for _, tt := range []struct{ name, assignment, want string }{
		{"a value keeps its place", "user.id=9007199254740993", `{"type":"sent","user":{"id":9007199254740993,"email":"a@b.c"},"message_id":"x"}`},
		{"what is no JSON is a string", "user.email=c@d.e", `{"type":"sent","user":{"id":123,"email":"c@d.e"},"message_id":"x"}`},
		{"a number in quotes is a string", `user.id="123"`, `{"type":"sent","user":{"id":"123","email":"a@b.c"},"message_id":"x"}`},
		{"a new key comes last", "campaign.name=A=B", `{"type":"sent","user":{"id":123,"email":"a@b.c"},"message_id":"x","campaign":{"name":"A=B"}}`},
		{"an empty value is an empty string", "message_id=", `{"type":"sent","user":{"id":123,"email":"a@b.c"},"message_id":""}`},
		{"an object is taken whole", `user={"id":1}`, `{"type":"sent","user":{"id":1},"message_id":"x"}`},
		{"text that ends like JSON is text", `message_id={"a"`, `{"type":"sent","user":{"id":123,"email":"a@b.c"},"message_id":"{\"a\""}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := assign([]byte(event), tt.assignment)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
	for _, tt := range []struct{ name, assignment, want string }{
		{"no equals sign", "user.id", "expected key=value"},
		{"no key", "=5", "expected key=value"},
		{"a key below a number", "user.id.x=1", "what x would go into is no object"},
		{"a value that is no UTF-8", "a=\xff", "expected text in UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := assign([]byte(event), tt.assignment); err == nil || !strings.Contains(err.Error(), tt.want) || statusOf(err) != exitUsage {
				t.Errorf("got %v, want a usage error with %q", err, tt.want)
			}
		})
	}
}
