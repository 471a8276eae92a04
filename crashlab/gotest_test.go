package main

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatGoTestSaysIsRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, out string
		passed    int
		failures  []string // how they begin
		broken    string
	}{
		{"nothing", `{"Action":"start","Package":"p"}` + "\n" + `{"Action":"pass","Package":"p"}`, 0, nil, ""},
		{"one that passes", `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: figure attempts: 17\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`, 1, nil, ""},
		{"the innermost count", `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/1"}
{"Action":"run","Package":"p","Test":"TestA/2"}
{"Action":"output","Package":"p","Test":"TestA/2","Output":"wrong\n"}
{"Action":"pass","Package":"p","Test":"TestA/1"}
{"Action":"fail","Package":"p","Test":"TestA/2"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`, 1, []string{"TestA/2: wrong"}, ""},
		{"one that skips tried nothing", `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`, 0, []string{"TestA was skipped"}, ""},
		{"a panic", `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: no\n"}
{"Action":"fail","Package":"p"}`, 0, []string{"p: panic: no"}, ""},
		{"what does not build", `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: no\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`, 0, nil, "p.go:1: no\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			done, broken := readTests([]byte(tt.out))
			if got := len(done.Figures); got != strings.Count(tt.out, "figure") {
				t.Errorf("there are %d figures", got)
			}
			if done.Passed != tt.passed || broken != tt.broken || !slices.EqualFunc(done.Failures, tt.failures, strings.HasPrefix) {
				t.Errorf("it is %+v, broken %q", done, broken)
			}
		})
	}
}
