package main

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestTheChartHasABarForEachLoad(t *testing.T) {
	p := &report{}
	for i, l := range []*load{oneByOne, oneNode, twoNodes, threeNodes} {
		for round := range 3 {
			p.Runs = append(p.Runs, &run{Load: l.Name, Round: round, DeliveredPerSecond: float64(5000 - 1000*i + 100*round)})
		}
	}
	var out strings.Builder
	if err := p.writeChart(&out); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(out.String()), new(struct{})); err != nil {
		t.Errorf("the picture is no XML: %v", err)
	}
	if bars := strings.Count(out.String(), "<rect"); bars != 4 {
		t.Errorf("%d bars; want 4", bars)
	}
	for _, want := range []string{"SQLite", "PostgreSQL, 3", ">5100<"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if err := (&report{}).writeChart(&out); err == nil {
		t.Error("nothing was measured, and something drawn")
	}
}
