package main

import (
	"math"
	"testing"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100 … 1: it sorts
	}
	for _, test := range []struct {
		name   string
		values []float64
		p      float64
		want   float64
	}{
		{"the median of a hundred is the fiftieth", hundred, 50, 50},
		{"p99 of a hundred is the last but one", hundred, 99, 99},
		{"p100 is the largest", hundred, 100, 100},
		{"p0 is the smallest", hundred, 0, 1},
		{"p99 of three is the largest", []float64{3, 1, 2}, 99, 3},
		{"one value is every percentile", []float64{7}, 50, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := percentile(test.values, test.p); got != test.want {
				t.Errorf("%v; want %v", got, test.want)
			}
		})
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("of no values: %v; want NaN", got)
	}
}

func TestSpreadOf(t *testing.T) {
	for _, test := range []struct {
		name             string
		values           []float64
		median, min, max float64
	}{
		{"of an odd number the one in the middle", []float64{3, 1, 2}, 2, 1, 3},
		{"of an even number the mean of two", []float64{4, 1, 3, 2}, 2.5, 1, 4},
		{"of one value itself", []float64{5}, 5, 5, 5},
		{"of none nothing", nil, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := spreadOf(test.values)
			if s.Median != test.median || s.Min != test.min || s.Max != test.max {
				t.Errorf("%+v; want %v, %v, %v", s, test.median, test.min, test.max)
			}
		})
	}
}
